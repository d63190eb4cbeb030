// Many clients at once that do all sorts of things for some seconds, among them some that count on
// their answers. Then everything is given back: connections, descriptors, memory.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, it } from 'node:test';

import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { isSanitized, makeCertificate, sleep, startProxy, startSim, until } from './lib/process.mjs';
import { randomOf } from './lib/random.mjs';

const SOAK_MS = 8000;
const CLIENTS = 40;

let certificate;
const servers = [];
before(() => (certificate = makeCertificate()));
after(async () => {
  for (const server of servers.reverse()) await server.stop();
});

const faults = [
  'status=500', 'status=529', 'status=429', 'cut=head', 'cut=2', 'end=2', 'garbage=2', 'error=overloaded_error after=2',
  'status=502 body=html', 'split=1', 'eol=crlf', 'cut_bytes=300', 'stall=2 stall_for=200ms', 'first=200ms', 'gap=20ms',
];

/** A client that counts on its answer. */
async function honest(port, random) {
  const text = `Answer number ${random(1e6)}. `.repeat(1 + random(20));
  const order = `[[sim: text=${JSON.stringify(text)} piece=${1 + random(30)} gap=${random(3)}ms]]`;
  const stream = random(2) === 1;
  const answer = await send(port, chat(ask(order, { stream })));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(stream ? readStream(answer.text).content : answer.json.choices[0].message.content, text);
}

/** One that does not. */
async function other(port, random) {
  const connection = await Connection.open(port);
  const fault = faults[random(faults.length)];
  const bytes = [
    () => chat(ask(`[[sim: text="some words that come" piece=3 ${fault}]]`, { stream: random(2) === 1 })),
    () => chat(ask('[[sim: words=2000 gap=1ms]]', { stream: random(2) === 1 })),
    () => chat('{"messages":'),
    () => request('GET', ['/health', '/v1/models', '/nowhere'][random(3)]),
    () => Buffer.from('POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n'),
    () => Buffer.concat([chat(ask('[[sim: text=one]]')), chat(ask('[[sim: text=two]]', { stream: true })), request('GET', '/health')]),
    () => Buffer.from(Array.from({ length: 200 }, () => random(256))),
  ][random(7)]();
  const at = random(3) ? bytes.length : random(bytes.length);
  await connection.write(bytes.subarray(0, at));
  if (random(4) === 0) connection.socket.pause();
  await sleep(random(60));
  if (random(2)) await connection.write(bytes.subarray(at));
  await sleep(random(200));
  connection[['close', 'reset', 'finish'][random(3)]]();
  if (!connection.socket.destroyed) {
    await sleep(50);
    connection.close();
  }
}

for (const [name, flags] of [['HTTP/1.1', []], ['HTTP/2 over TLS', ['tls']]])
  it(`${name}: nothing crashes, nothing is left behind`, { timeout: 90_000 }, async (t) => {
    const sim = await startSim(flags.length ? ['--cert', certificate.cert, '--key', certificate.key] : []);
    servers.push(sim);
    const proxy = await startProxy(sim, { WORKERS: '2', IDLE_TIMEOUT: '2', HEAD_TIMEOUT: '2', BODY_TIMEOUT: '2', REQUEST_TIMEOUT: '5', ...(flags.length ? { UPSTREAM_CA_FILE: certificate.cert } : {}) });
    servers.push(proxy);
    for (let i = 0; i < 20; i++) await honest(proxy.port, randomOf(i));
    const descriptors = () => readdirSync(`/proc/${proxy.pid}/fd`).length;
    const idle = descriptors();
    const end = Date.now() + SOAK_MS;
    const counts = { honest: 0, other: 0 };
    await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => {
      const random = randomOf(i * 7919 + 1);
      while (Date.now() < end)
        if (i % 4 === 0) {
          await honest(proxy.port, random);
          counts.honest++;
        } else {
          await other(proxy.port, random);
          counts.other++;
        }
    }));
    const resident = proxy.residentBytes();
    t.diagnostic(`${counts.honest} answers compared, ${counts.other} clients that did as they liked; resident ${(resident / 1024).toFixed(0)} KB`);
    assert.ok(counts.honest > 50 && counts.other > 100);
    await honest(proxy.port, randomOf(1));
    // What is left is the pool to the upstream.
    await until(`descriptors are given back: ${idle} before, ${descriptors()} now`, () => descriptors() <= idle + 64, 15_000);
    if (!isSanitized) assert.ok(resident < 150 * 1024 * 1024, `${resident} bytes`);
  });
