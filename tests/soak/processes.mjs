// The simulator and the proxy under test, their output in files; what the kernel says of them.
import { spawn } from 'node:child_process';
import { openSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { binary, cleanEnvironment, sleep } from '../e2e/lib/process.mjs';

const START_MS = 60_000;
const STOP_MS = 120_000;
const TICK_MS = 10; // of 100 ticks a second

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Process {
  /**
   * Starts the binary and waits until its output matches `listening`, whose groups are kept. `before`:
   * a command that becomes it, as `strace -D` does.
   */
  static async start(name, args, { env = {}, folder, listening, before = [] }) {
    const started = new Process(name, args, env, folder, before);
    for (const end = Date.now() + START_MS; Date.now() < end && started.exit === null; await sleep(20)) {
      const groups = listening.map((pattern) => pattern.exec(readFileSync(started.log, 'utf8'))?.[1]);
      if (groups.every(Boolean)) return Object.assign(started, { ports: groups.map(Number) });
    }
    started.child.kill('SIGKILL');
    throw new Error(`${name} does not listen: ${readFileSync(started.log, 'utf8')}`);
  }

  constructor(name, args, env, folder, before) {
    this.name = name;
    this.log = path.join(folder, `${name}.log`);
    const log = openSync(this.log, 'w');
    this.exit = null;
    const [command, ...rest] = [...before, binary, ...args];
    this.child = spawn(command, rest, { env: cleanEnvironment(env), cwd: folder, stdio: ['ignore', log, log] });
    running.add(this.child);
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => {
      running.delete(this.child);
      resolve((this.exit = { code, signal }));
    }));
  }

  #status(name) {
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))[1]);
  }

  cpuMs() {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  /** {rss_kb, anon_kb, descriptors, threads, cpu_ms} now. */
  look() {
    return {
      rss_kb: this.#status('VmRSS'), anon_kb: this.#status('RssAnon'), threads: this.#status('Threads'),
      descriptors: readdirSync(`/proc/${this.child.pid}/fd`).length, cpu_ms: this.cpuMs(),
    };
  }

  /** SIGTERM; resolves to {code, signal}. */
  async stop() {
    if (this.exit === null) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }
}
