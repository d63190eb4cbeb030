// The system calls that a started server makes, against those its filter lets through:
// scripts/syscalls starts this. Servers of several kinds are watched with strace from the moment the
// filter is in until their end.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Connection, ask, chat, request, send } from '../e2e/lib/http.mjs';
import { PROXY_KEY, makeCertificate, proxySettings, root, sleep } from '../e2e/lib/process.mjs';
import { randomOf } from '../e2e/lib/random.mjs';
import { Clients } from './clients.mjs';
import { nextOrder } from './orders.mjs';
import { Process } from './processes.mjs';

const USAGE = `usage: scripts/syscalls [--write]

Runs servers under strace and compares the system calls they make once their filter is in with
src/sandbox/syscalls.def. For x86-64. The traces and logs are in build/syscalls.

  --write   the table into docs/threat-model.md

Exit code 0: no call was refused, and every row of the table was made or says why it is there.`;

const DEF = path.join(root, 'src/sandbox/syscalls.def');
const DOC = path.join(root, 'docs/threat-model.md');
const [BEGIN, END] = ['<!-- written by scripts/syscalls --write -->', '<!-- end of what is written -->'];
const FOLDER = path.join(root, 'build/syscalls');
const ORDERS = 400;
const GAP_MS = 20;
const LIMIT_MS = 120_000;
const METRICS_KEY = 'syscalls-metrics';

/** Rows {kind, name, why} of the filter's table, but for the deadly ones. */
function readTable() {
  const rows = [...readFileSync(DEF, 'utf8').matchAll(/^(ALLOW|UNSEEN|LIMITED|REFUSED)\((\w+),\s*"([^"]*)"\)$/gm)];
  assert.ok(rows.length > 20, `${DEF} is not understood`);
  return rows.map(([, kind, name, why]) => ({ kind, name, why })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Adds the calls of a trace, behind the one that loads the filter: name -> {n, refused}. */
function readTrace(file, calls) {
  const lines = readFileSync(file, 'utf8').split('\n');
  const from = lines.findIndex((line) => /\bseccomp\(SECCOMP_SET_MODE_FILTER,.* = 0$/.test(line));
  assert.ok(from > 0, `no filter was loaded in ${file}`);
  for (const line of lines.slice(from + 1)) {
    const [, name] = /^\d+ +(\w+)\(/.exec(line) ?? [];
    const [, refused] = /^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed).* = -1 ENOSYS/.exec(line) ?? [];
    if (/killed by SIGSYS/.test(line)) calls.set('a deadly one', { n: 1, refused: 1 });
    for (const one of [name, refused]) if (one && !calls.has(one)) calls.set(one, { n: 0, refused: 0 });
    if (name) calls.get(name).n++;
    if (refused) calls.get(refused).refused++;
  }
  return calls;
}

const traced = (name) => ['strace', '-D', '-f', '-qq', '-e', 'trace=all', '-s', '16', '-o', path.join(FOLDER, `${name}.trace`)];
const chatOf = (content, more) => chat(ask(content, more));

async function watch(name, args, { env, listening = [/"listening".*"port":(\d+)/] }, use) {
  const server = await Process.start(name, args, { folder: FOLDER, env, listening, before: traced(name) });
  try {
    await use(server);
  } finally {
    const exit = await server.stop();
    assert.deepEqual(exit, { code: 0, signal: null }, `${name}: ${readFileSync(server.log, 'utf8').slice(-2000)}`);
  }
}

/** TLS and HTTP/2 on both sides, everything of the soak, reloads, a drain with open streams. */
async function underLoad(certificate, sim) {
  const env = proxySettings(`https://localhost:${sim.ports[0]}`, {
    UPSTREAM_CA_FILE: certificate.cert, TLS_CERT: certificate.cert, TLS_KEY: certificate.key, WORKERS: '2', RETRIES: '2',
    METRICS_KEY, METRICS_ADDRESS: '127.0.0.1:0', REQUEST_TIMEOUT: '5', IDLE_TIMEOUT: '2', DRAIN_TIMEOUT: '2', THINKING_MEMORY_BYTES: '65536',
  });
  const listening = [/"listening".*"port":(\d+)/, /"metrics_port":(\d+)/];
  await watch('load', ['serve'], { env, listening }, async (server) => {
    const clients = new Clients({ port: server.ports[0], key: PROXY_KEY, certificate: readFileSync(certificate.cert), random: randomOf(2) });
    const random = randomOf(1);
    const all = [];
    const ends = {};
    for (let i = 0; i < ORDERS; i++) {
      const order = nextOrder(random);
      if (order.seconds < 90) all.push(clients.exchange(order, LIMIT_MS).then(({ end }) => (ends[end] = (ends[end] ?? 0) + 1)));
      if (i % 100 === 50) server.child.kill('SIGHUP');
      if (i % 50 === 0) await send(server.ports[1], request('GET', '/metrics', { key: METRICS_KEY }));
      await sleep(GAP_MS);
    }
    await Promise.all(all);
    assert.equal((ends.answered ?? 0) + (ends.left ?? 0), all.length, JSON.stringify(ends));
    await sleep(3000); // idle connections are closed, timers fire
    for (let i = 0; i < 3; i++) clients.exchange({ body: ask('[[sim: words=100 gap=100ms]]', { stream: true }), stream: true }, LIMIT_MS);
    await sleep(500);
    clients.close();
  });
}

/** Plain HTTP as under systemd; an upstream that is not there, and one that no name server knows. */
async function underManager(sim) {
  const manager = ['python3', '-c', MANAGER, ...traced('manager')];
  const env = proxySettings(`http://localhost:${sim.ports[0]}`, { WORKERS: '0', WATCHDOG_USEC: '500000', LOG_FORMAT: 'text', RETRIES: '1' });
  const server = await Process.start('manager', ['serve'], { folder: FOLDER, env, listening: [/listening.* port=(\d+)/], before: manager });
  for (let i = 0; i < 30; i++) assert.equal((await send(server.ports[0], chatOf('Hi', { stream: i % 2 === 1 }))).status, 200);
  assert.equal((await send(server.ports[0], chatOf('x'.repeat(20_000_000)))).status, 400); // too long a prompt
  const slow = await Connection.open(server.ports[0]);
  await slow.write(chatOf('[[sim: words=200000]]', { stream: true }));
  slow.socket.pause();
  await sleep(1500);
  slow.reset();
  server.child.kill('SIGHUP');
  await sleep(1000);
  assert.deepEqual(await server.stop(), { code: 0, signal: null }, readFileSync(server.log, 'utf8').slice(-2000));
  for (const [name, upstream] of [['refused', 'http://127.0.0.1:9'], ['unknown', 'https://no-such-host.invalid']])
    await watch(name, ['serve'], { env: proxySettings(upstream, { CONNECT_TIMEOUT: '2', TAKE_OVER: 'on' }) }, async ({ ports }) => {
      assert.equal((await send(ports[0], chatOf('Hi'))).status, 502);
    });
}

// Hands over a socket and becomes the command: what systemd does with Type=notify and a socket unit.
const MANAGER = `
import os, socket, sys
s = socket.create_server(('127.0.0.1', 0))
n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
n.bind('notify')
os.set_inheritable(n.fileno(), True)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=os.path.abspath('notify'))
os.execvp(sys.argv[1], sys.argv[1:])
`;

async function demo() {
  await watch('demo', ['demo', '--port', '0', '--log-format', 'json'], { env: {} }, async ({ ports }) => {
    for (let i = 0; i < 10; i++) assert.equal((await send(ports[0], chatOf('Hi', { stream: i % 2 === 1 }))).status, 200);
  });
}

function tableOf(rows, calls) {
  const seen = ({ kind, name }) => (kind === 'REFUSED' ? 'refused' : calls.has(name) ? 'yes' : 'no');
  const lines = rows.map((row) => `| \`${row.name}\` | ${row.why} | ${seen(row)} |`);
  return `| call | what for | seen |\n|---|---|---|\n${lines.join('\n')}`;
}

function writeDoc(text) {
  const doc = readFileSync(DOC, 'utf8');
  const [from, to] = [doc.indexOf(BEGIN), doc.indexOf(END)];
  assert.ok(from > 0 && to > from, `${DOC} has no place for it`);
  writeFileSync(DOC, `${doc.slice(0, from)}${BEGIN}\n\n${text}\n\n${doc.slice(to)}`);
}

async function run() {
  const args = process.argv.slice(2);
  if (args.some((arg) => arg !== '--write')) {
    console.error(USAGE);
    return 2;
  }
  assert.equal(process.arch, 'x64', 'the table names the calls of x86-64');
  execFileSync('strace', ['-V'], { stdio: 'ignore' });
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path.join(FOLDER, '.env'), 'LOG_LEVEL=info\n'); // read again on SIGHUP
  const certificate = makeCertificate();
  const secure = await Process.start('sim-tls', ['sim', '--port', '0', '--cert', certificate.cert, '--key', certificate.key], { folder: FOLDER, listening: [/listening on https:\/\/\S+:(\d+)/] });
  const plain = await Process.start('sim', ['sim', '--port', '0'], { folder: FOLDER, listening: [/listening on http:\/\/\S+:(\d+)/] });
  await underLoad(certificate, secure);
  await underManager(plain);
  await demo();
  for (const sim of [secure, plain]) await sim.stop();

  const calls = new Map();
  for (const name of ['load', 'manager', 'refused', 'unknown', 'demo']) readTrace(path.join(FOLDER, `${name}.trace`), calls);
  const rows = readTable();
  const known = new Map(rows.map((row) => [row.name, row]));
  const unknown = [...calls].filter(([name]) => !known.has(name));
  const refused = [...calls].filter(([name, { refused: n }]) => n > 0 && known.get(name)?.kind !== 'REFUSED');
  const unseen = rows.filter(({ kind, name }) => (kind === 'ALLOW' || kind === 'LIMITED') && !calls.has(name));
  const seen = rows.filter(({ kind, name }) => kind === 'UNSEEN' && calls.has(name));
  for (const [name, { n, refused: no }] of [...calls].sort()) console.log(`${String(n).padStart(8)} ${name}${no ? ` (${no} refused)` : ''}`);
  for (const [name] of unknown) console.log(`FAILED: ${name} is made, and in no row`);
  for (const [name] of refused) console.log(`FAILED: ${name} is made with arguments that the filter refuses`);
  for (const { name } of unseen) console.log(`FAILED: ${name} has a row, and was not made: UNSEEN needs a reason`);
  for (const { name } of seen) console.log(`FAILED: ${name} is UNSEEN, and was made`);
  const count = (kind) => rows.filter((row) => row.kind === kind).length;
  console.log(`${calls.size} different calls made; allowed: ${count('ALLOW') + count('LIMITED')} that were made, ${count('UNSEEN')} for other machines and rare ways`);
  if (args.includes('--write')) writeDoc(tableOf(rows, calls));
  return unknown.length + refused.length + unseen.length + seen.length ? 1 : 0;
}

run().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
