// Starts the binary under test and stops it: every stop checks that it ended cleanly.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const binary = path.resolve(process.env.CLAUDE_PROXY_BIN ?? path.join(root, 'build/claude-proxy'));
export const shared = path.resolve(process.env.SHARED_DIR ?? path.join(root, '../shared'));
export const isSanitized = Boolean(process.env.CLAUDE_PROXY_SANITIZED);
/** Threads of a proxy under test, where a suite has no opinion: more of them for ThreadSanitizer. */
export const workers = process.env.CLAUDE_PROXY_WORKERS ?? '2';

export const UPSTREAM_KEY = 'sk-ant-e2e-upstream-3141592653';
export const PROXY_KEY = 'e2e-client-key-2718281828';
// A model that takes no sampling parameters and does not think unless asked, and one that takes them.
export const MODEL = 'claude-haiku-5-5';
export const SAMPLING_MODEL = 'claude-haiku-4-5';

const START_MS = 20_000;
const STOP_MS = 45_000;
const SANITIZER = /(?:ERROR|WARNING): \w+Sanitizer|runtime error:/;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `check` gives something truthy; fails with `what` after `ms`. */
export async function until(what, check, ms = 5000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) assert.fail(`after ${ms} ms still not: ${what}`);
    await sleep(5);
  }
}

/** Random bytes that a seed repeats. */
export function noise(seed, n) {
  const bytes = Buffer.alloc(n);
  for (let i = 0, a = Math.imul(seed, 2654435761) >>> 0; i < n; i++) {
    a = (Math.imul(a, 1664525) + 1013904223) >>> 0;
    bytes[i] = a >>> 24;
  }
  return bytes;
}

/** A folder that is gone when the test process ends. */
export function scratch() {
  const folder = mkdtempSync(path.join(tmpdir(), 'claude-proxy-e2e-'));
  folders.push(folder);
  return folder;
}

/** The environment without anything that the programs under test would read as a setting. */
export function cleanEnvironment(more = {}) {
  const env = {};
  for (const name of ['PATH', 'HOME', 'LANG', 'TMPDIR', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'])
    if (process.env[name] !== undefined) env[name] = process.env[name];
  return { ...env, ...more };
}

const running = new Set();
const folders = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  for (const child of running) child.kill('SIGKILL');
});

/** A child process whose output is kept. */
export class Child {
  constructor(command, args, { env = {}, cwd = scratch() } = {}) {
    this.stdout = '';
    this.stderr = '';
    this.child = spawn(command, args, { env: cleanEnvironment(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => resolve({ code: null, signal: null, error }));
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        this.isOver = true;
        resolve({ code, signal });
      });
    });
  }

  get pid() {
    return this.child.pid;
  }

  /** Waits for the end; kills after `ms`. */
  async end(ms = STOP_MS) {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), ms);
    const how = await this.exited;
    clearTimeout(timer);
    return how;
  }

  /** Processor time so far, in the kernel too. */
  cpuMs() {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10; // of 100 ticks a second
  }

  /** Resident memory in bytes. */
  residentBytes() {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024;
  }
}

/** `serve`, `demo` or `sim`, listening. */
export class Server extends Child {
  static async start(args, options) {
    assert.ok(existsSync(binary), `${binary} is not built`);
    const server = new Server(binary, args, options);
    await until(
      `${args[0]} listens; it wrote: ${server.stderr}`,
      () => {
        if (server.isOver) assert.fail(`${args.join(' ')} ended at the start: ${server.stderr}`);
        return (server.port = server.findPort());
      },
      START_MS,
    ).catch((error) => {
      server.child.kill('SIGKILL');
      throw error;
    });
    server.scheme = args.includes('--cert') ? 'https' : 'http';
    return server;
  }

  // The proxy's log: `... listening host=127.0.0.1 port=8000` or {"message":"listening",...,"port":8000};
  // the simulator's standard output: `listening on http://127.0.0.1:8000`.
  findPort() {
    for (const line of (this.stderr + this.stdout).split('\n').slice(0, -1)) {
      const port = /\blistening\b/.test(line) && (/\bport"?[=:]\s*"?(\d+)/.exec(line) ?? /:\/\/\S+:(\d+)$/.exec(line));
      if (port) return Number(port[1]);
    }
    return 0;
  }

  get url() {
    return `${this.scheme}://127.0.0.1:${this.port}`;
  }

  /** SIGTERM, then: exit code 0 and not a word of a sanitizer. */
  async stop() {
    if (!this.isOver) this.child.kill('SIGTERM');
    const how = await this.end();
    assert.doesNotMatch(this.stderr, SANITIZER);
    assert.deepEqual({ ...how, stderr: how.code === 0 ? '' : this.stderr.slice(-4000) }, { code: 0, signal: null, stderr: '' });
  }
}

/** Runs the binary to its end. */
export async function runBinary(args, { env, cwd, ms = 10_000 } = {}) {
  const child = new Child(binary, args, { env, cwd });
  const how = await child.end(ms);
  assert.doesNotMatch(child.stderr, SANITIZER);
  return { ...how, stdout: child.stdout, stderr: child.stderr };
}

export function startSim(flags = []) {
  return Server.start(['sim', '--port', '0', ...flags]);
}

/**
 * The settings of a proxy in front of `upstream` (a Server or a URL), without rate limits. Without
 * retries too: a test that provokes a failure wants to see it (retries.test.mjs has those that
 * do not).
 */
export function proxySettings(upstream, env = {}) {
  return {
    ANTHROPIC_API_KEY: UPSTREAM_KEY,
    CLAUDE_PROXY_API_KEY: PROXY_KEY,
    ANTHROPIC_BASE_URL: typeof upstream === 'string' ? upstream : upstream.url,
    HOST: '127.0.0.1',
    PORT: '0',
    REQUESTS_PER_MINUTE: '0',
    TOKENS_PER_MINUTE: '0',
    RETRIES: '0',
    CIRCUIT_BREAKER: 'off',
    ...env,
  };
}

export function startProxy(upstream, env = {}, flags = []) {
  return Server.start(['serve', ...flags], { env: proxySettings(upstream, env) });
}

/** A self-signed certificate for localhost and 127.0.0.1: {cert, key} as paths. */
export function makeCertificate() {
  const folder = scratch();
  const cert = path.join(folder, 'cert.pem');
  const key = path.join(folder, 'key.pem');
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', key, '-out', cert,
  ], { stdio: 'pipe' });
  return { cert, key };
}
