// One steady hour of everything at once: scripts/soak starts this. Clients that do all sorts of
// things arrive at a fixed rate whether or not the proxy keeps up; each request is accounted for,
// and the proxy's memory, descriptors and own counts are held against that.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { readMetrics } from '../e2e/lib/exposition.mjs';
import { PROXY_KEY, makeCertificate, root, sleep } from '../e2e/lib/process.mjs';
import { randomOf } from '../e2e/lib/random.mjs';
import { Account, compare, countLogLines } from './account.mjs';
import { Clients } from './clients.mjs';
import { nextOrder } from './orders.mjs';
import { Process } from './processes.mjs';
import { judge, writeReport, writeSamples } from './report.mjs';

const USAGE = `usage: scripts/soak [SECONDS] [--rate N] [--seed N] [--out FOLDER]

  SECONDS       how long requests are made, 3600 unless given; what is open then is waited for
  --rate N      requests a second (50)
  --seed N      of the orders and their arrival (1)
  --out FOLDER  for README.md, soak.svg and soak.csv: docs/soak for an hour or more, else build/soak

Logs and what went wrong are in build/soak. SIGTERM and SIGINT end it early, with a report.
Exit code 0: nothing was lost or wrong, the counts agree, memory and descriptors stayed flat.`;

const SAMPLE_MS = 10_000;
// The machine may be shared: what is slow is not lost.
const LIMIT_MS = 240_000;
const CLOSE_MS = 240_000;
// Early on so many arrive at once, as after any standstill of the machine: the memory that takes is
// then in use before the states that are compared. Later no more may pile up, arrivals are left out.
const BURST = 500;
const BURST_AT_S = 120;
const OPEN_MAX = 800;
const METRICS_KEY = 'soak-metrics-key';
const UPSTREAM_KEYS = ['a', 'b', 'c'].map((name) => `sk-ant-soak-${name}`).join(',');

const SETTINGS = {
  ANTHROPIC_API_KEY: UPSTREAM_KEYS, CLAUDE_PROXY_API_KEY: PROXY_KEY, METRICS_KEY, METRICS_ADDRESS: '127.0.0.1:0',
  HOST: '127.0.0.1', PORT: '0', WORKERS: '2', LOG_LEVEL: 'info', LOG_FORMAT: 'json',
  REQUESTS_PER_MINUTE: '1000000', TOKENS_PER_MINUTE: '10000000000', RETRIES: '2', CIRCUIT_BREAKER: 'on',
  // Small, so that they reach their limits long before the state at five minutes is taken.
  THINKING_MEMORY_BYTES: '131072', REQUEST_TIMEOUT: '20', IDLE_TIMEOUT: '60',
};

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rate: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' }, out: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const [seconds, rate, seed] = [positionals[0] ?? '3600', values.rate, values.seed].map(Number);
  if (values.help || positionals.length > 1 || !(seconds > 0 && rate > 0 && rate <= 1000 && Number.isInteger(seed))) {
    console.error(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  const folder = path.join(root, 'build/soak');
  return { seconds, rate, seed, folder, isOutGiven: Boolean(values.out), out: path.resolve(values.out ?? (seconds >= 3600 ? path.join(root, 'docs/soak') : folder)) };
}

class Soak {
  constructor(given) {
    Object.assign(this, given);
    this.account = new Account();
    this.samples = [];
    this.missed = 0;
    this.visits = 0;
    this.lag = { max: 0, now: 0 };
  }

  async start() {
    const certificate = makeCertificate();
    const tls = { TLS_CERT: certificate.cert, TLS_KEY: certificate.key };
    this.sim = await Process.start('sim', ['sim', '--port', '0', '--workers', '2', '--cert', certificate.cert, '--key', certificate.key], { folder: this.folder, listening: [/listening on https:\/\/\S+:(\d+)/] });
    this.proxy = await Process.start('proxy', ['serve'], {
      folder: this.folder, listening: [/"listening".*"port":(\d+)/, /"metrics_port":(\d+)/],
      env: { ...SETTINGS, ...tls, ANTHROPIC_BASE_URL: `https://localhost:${this.sim.ports[0]}`, UPSTREAM_CA_FILE: certificate.cert },
    });
    this.clients = new Clients({ port: this.proxy.ports[0], key: PROXY_KEY, certificate: readFileSync(certificate.cert), random: randomOf(this.seed + 1) });
    this.atStart = this.proxy.look();
    this.startedAt = performance.now();
  }

  get elapsedMs() {
    return performance.now() - this.startedAt;
  }

  async play(order) {
    this.account.begin();
    const answer = await this.clients.exchange(order, LIMIT_MS + (order.seconds ?? 0) * 1000);
    const end = this.account.end(order, answer);
    if (end === 'well' && order.next) await this.play(order.next(answer));
  }

  /** Arrivals at the times that chance has set, until the time is up or somebody says stop. */
  async offer() {
    const random = randomOf(this.seed);
    const pause = () => (-Math.log((random(1e6) + 1) / 1e6) * 1000) / this.rate;
    let next = pause();
    let burstAtMs = Math.min(BURST_AT_S, this.seconds * 0.2) * 1000;
    while (!this.isStopped && this.elapsedMs < this.seconds * 1000) {
      for (let n = 0; next <= this.elapsedMs; next += pause(), n++)
        if (n < BURST && this.account.open < OPEN_MAX) this.#arrive(random);
        else this.missed++;
      if (this.elapsedMs >= burstAtMs) {
        for (let n = 0; n < BURST; n++) this.#arrive(random);
        burstAtMs = Infinity;
      }
      await sleep(Math.min(50, Math.max(1, next - this.elapsedMs)));
    }
    this.offeredMs = this.elapsedMs;
  }

  #arrive(random) {
    if (random(100) === 0) {
      this.visits++;
      this.clients.visit();
    } else {
      this.play(nextOrder(random)).catch((error) => this.fail(`of the soak itself: ${error.stack}`));
    }
  }

  fail(why) {
    this.failure ??= why;
    this.isStopped = true;
  }

  async scrape() {
    const answer = await fetch(`http://127.0.0.1:${this.proxy.ports[1]}/metrics`, { headers: { authorization: `Bearer ${METRICS_KEY}` }, signal: AbortSignal.timeout(60_000) });
    return readMetrics(await answer.text());
  }

  async sample() {
    const metrics = await this.scrape();
    const own = process.cpuUsage();
    const { ends } = this.account;
    const { p50, p99 } = this.account.takeLatencies();
    this.samples.push({
      seconds: Math.round(this.elapsedMs / 1000), ...this.proxy.look(),
      streams_open: metrics.sum('claude_proxy_streams_open'), in_flight: metrics.sum('claude_proxy_requests_in_flight') - 1,
      connections: metrics.sum('claude_proxy_connections_open') - 1, thinking_evicted: metrics.sum('claude_proxy_thinking_messages_total', { result: 'evicted' }),
      sent: this.account.sent, well: ends.well, failed: ends.failed, left: ends.left, bad: ends.wrong + ends.unexpected + ends.broken + ends.hung,
      first_byte_p50_ms: p50.toFixed(1), first_byte_p99_ms: p99.toFixed(1), clients_late_ms: Math.round(this.lag.now),
      sim_cpu_ms: this.sim.cpuMs(), clients_cpu_ms: Math.round((own.user + own.system) / 1000),
    });
    this.lag.now = 0;
    if (this.samples.length % 6 === 0) this.say();
  }

  say() {
    writeSamples(this.samples, this.folder);
    const last = this.samples.at(-1);
    console.log(`${last.seconds} s: ${last.sent} sent, ${last.well} well, ${last.failed} failed as ordered, ${last.left} left, ${last.bad} bad; ${last.streams_open} streams open, ${last.rss_kb} KB, ${last.descriptors} descriptors`);
  }

  /** A sample each ten seconds, until `isOver`. */
  async watch(isOver) {
    for (let next = SAMPLE_MS; !isOver() && this.proxy.exit === null; ) {
      if (this.elapsedMs >= next) {
        await this.sample().catch((error) => this.fail(`a scrape: ${error.message}`));
        next = Math.max(next + SAMPLE_MS, this.elapsedMs);
      }
      const before = performance.now();
      await sleep(100);
      this.lag.now = Math.max(this.lag.now, performance.now() - before - 100);
      this.lag.max = Math.max(this.lag.max, this.lag.now);
    }
    if (this.proxy.exit !== null) this.fail(`the proxy ended: ${JSON.stringify(this.proxy.exit)}`);
  }

  /** Waits for what is open; then for the proxy to have noticed. Returns the last metrics. */
  async close() {
    const until = async (isThere) => {
      for (const end = Date.now() + CLOSE_MS; !(await isThere()) && Date.now() < end && this.proxy.exit === null; ) await sleep(200);
    };
    await until(() => this.account.open === 0);
    this.clients.close();
    let metrics = await this.scrape();
    await until(async () => {
      metrics = await this.scrape();
      return metrics.sum('claude_proxy_requests_in_flight') === 1 && metrics.sum('claude_proxy_connections_open') === 1;
    });
    this.atRest = this.proxy.look();
    return metrics;
  }
}

async function run() {
  const given = options();
  for (const folder of [given.folder, given.out]) mkdirSync(folder, { recursive: true });
  const soak = new Soak(given);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => (soak.isStopped = true));
  await soak.start();
  let isOver = false;
  const watching = soak.watch(() => isOver);
  await soak.offer();
  const metrics = await soak.close();
  isOver = true;
  await watching;
  const counts = compare(soak.account, metrics);
  const exits = { proxy: await soak.proxy.stop(), sim: await soak.sim.stop() };
  counts.push(['lines of the access log', soak.account.sent - soak.account.models, await countLogLines(soak.proxy.log, '"path":"/v1/chat/completions"'), soak.account.chats.leftUnanswered]);
  writeFileSync(path.join(given.folder, 'problems.json'), JSON.stringify(soak.account.problems, null, 1));
  if (soak.isStopped && !given.isOutGiven) soak.out = given.folder; // a part is not for the tree
  const verdict = judge({ soak, counts, exits });
  writeReport({ soak, counts, verdict, metrics });
  for (const line of verdict.lines) console.log(line);
  return verdict.isGood ? 0 : 1;
}

run().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
