// Clients that fail, over HTTP/1.1, plain and inside TLS: they leave at every stage, dribble, stop
// reading, come in crowds, speak something else. Behind each the proxy answers a good request and
// holds nothing of the bad one. Promised outcomes: docs/faults.md.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { deflateSync, gzipSync } from 'node:zlib';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { METRICS_KEY, descriptors, scrape, settled } from './lib/ledger.mjs';
import { Recorder } from './lib/recorder.mjs';
import { PROXY_KEY, isSanitized, noise, sleep, startProxy, startSim, until, workers } from './lib/process.mjs';

const CANCEL_MS_MAX = 50;
const CROWD = 1000;
const MB = 1 << 20;

let authority, certificate, sim, recorder;
const sides = []; // {name, proxy, options, most}: the plain port and the one with TLS

// Sanitizers slow both sides down; a good client must not be late.
const LIMIT_S = isSanitized ? 3 : 1;
const quick = { HEAD_TIMEOUT: String(LIMIT_S), BODY_TIMEOUT: String(LIMIT_S), IDLE_TIMEOUT: '2', STALL_TIMEOUT: '2', MAX_CONCURRENT_REQUESTS: '5000', METRICS_KEY, WORKERS: workers };

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  const secure = { TLS_CERT: certificate.cert, TLS_KEY: certificate.key };
  for (const [name, env, options] of [['plain', {}, {}], ['TLS', secure, { secure: { ca: authority.certPem } }]]) {
    const proxy = await startProxy(recorder, { ...quick, ...env });
    sides.push({ name, proxy, options });
  }
  for (const side of sides) {
    for (let i = 0; i < 4; i++) await answersWell(side);
    side.most = descriptors(side.proxy) + 4; // idle connections to the upstream
  }
});
after(async () => {
  try {
    for (const { proxy } of sides) await proxy.stop(); // cleanly, and without a sanitizer's report
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

const plain = () => sides[0];
const secured = () => sides[1];
const open = ({ proxy, options }) => Connection.open(proxy.port, options);
let nTags = 0;
const newTag = (word) => `${word}-${++nTags}-`;

/** One good answer, whole and streamed. */
async function answersWell({ proxy, options }) {
  const connection = await Connection.open(proxy.port, options);
  try {
    await connection.write(Buffer.concat([chat(ask('[[sim: text="still well"]]')), chat(ask('[[sim: text="still well"]]', { stream: true }))]));
    assert.equal((await connection.answer()).json.choices[0].message.content, 'still well');
    assert.equal(readStream((await connection.answer()).text).content, 'still well');
  } finally {
    connection.close();
  }
}
/** Good answers, and nothing kept. */
async function isAsBefore(side, ms) {
  await answersWell(side);
  await settled(side.proxy, { most: side.most, options: side.options, ms });
}
const count = (cell, n) => console.log(`count: ${cell.replace(/^cell |:.*/g, '')}: ${n} cases`);

// Leaving -------------------------------------------------------------------------------------

const waysToLeave = [
  ['FIN', (c) => c.close()],
  ['half-close', (c) => c.finish()],
  ['RST', (c) => c.reset()],
  ['FIN without close_notify', (c) => c.plain.end()],
];
const silent = '[[sim: first=30s text=x]]';
const lull = '[[sim: lull=30s text=x]]';
const slow = '[[sim: words=100000 gap=5ms]]';

/** The first bytes of a TLS client. */
function clientHello() {
  return new Promise((resolve) => {
    const trap = net.createServer((socket) => socket.once('data', (piece) => {
      resolve(piece);
      socket.destroy();
      trap.close();
    })).listen(0, '127.0.0.1', () => tls.connect({ port: trap.address().port, host: '127.0.0.1', servername: 'localhost' }).on('error', () => {}));
  });
}

const begun = (c) => c.wait('the first content', () => c.data.includes('"content":"'));
const bigBody = () => chat(ask('x'.repeat(100_000)));
/** How a client gets where it leaves; what returns a tag has an upstream call to cancel. */
const stages = [
  ['cell C1: the client leaves behind the connect', async () => {}],
  ['cell C3: the client leaves in the request line', (c) => c.write('POST /v1/ch')],
  ['cell C4: the client leaves in the headers', (c) => c.write(bigBody().subarray(0, 60))],
  ['cell C5: the client leaves in the body', (c) => c.write(bigBody().subarray(0, 50_000))],
  ['cell C6: the client leaves while the upstream is silent', async (c, tag) => {
    await c.write(chat(ask(tag + silent, { stream: nTags % 2 === 0 })));
    return tag;
  }],
  ['cell C7: the client leaves behind the head of a stream', async (c, tag) => {
    await c.write(chat(ask(tag + lull, { stream: true })));
    await c.wait('the head of a stream', () => c.data.includes('\r\n\r\n'));
    return tag;
  }],
  ['cell C8: the client leaves in the middle of a stream', async (c, tag) => {
    await c.write(chat(ask(tag + slow, { stream: true })));
    await begun(c);
    return tag;
  }],
  ['cell C9: the client leaves while its answer is gathered', async (c, tag) => {
    await c.write(chat(ask(tag + slow)));
    await until('the upstream answers', () => recorder.find(tag));
    await sleep(30);
    return tag;
  }],
  ['cell C10: the client leaves while its answer is written', async (c) => {
    c.socket.pause();
    await c.write(chat(ask('[[sim: words=1000000 piece=2000]]')));
    await until('the answer has begun', () => c.socket.readableLength > 0 || c.socket.bytesRead > 0, 20_000);
  }],
  ['cell C11: the client leaves with more requests sent ahead', async (c, tag) => {
    await c.write(Buffer.concat([chat(ask(tag + slow, { stream: true })), chat(ask(`ahead-${tag}`)), request('GET', '/health')]));
    await begun(c);
    return tag;
  }],
];

/** Leaves, and says after how many milliseconds the upstream saw it. */
async function leave(side, way, arrive) {
  const tag = newTag('leave');
  const nBefore = recorder.messages.length;
  const connection = await open(side);
  const hasCall = await arrive(connection, tag);
  const call = hasCall && (await until('the upstream has the request', () => recorder.find(tag)));
  if (call) await sleep(10);
  const at = Date.now();
  assert.equal(call ? call.abortedAtMs : undefined, undefined, 'cancelled too early');
  way(connection);
  if (call) await until('the upstream sees it', () => call.abortedAtMs, 3000);
  connection.socket.resume();
  await connection.closed(3000);
  if (!call) assert.ok(recorder.messages.length - nBefore <= 1, 'nothing was sent upstream');
  connection.close();
  return call ? call.abortedAtMs - at : 0;
}

describe('clients that leave', () => {
  for (const [name, arrive] of stages)
    it(name, async (t) => {
      const all = [];
      for (const side of sides)
        for (const [how, way] of waysToLeave.slice(0, side === plain() ? 3 : 4)) {
          // A machine that is busy is slow at times; a proxy that is late is late each time.
          let ms = Infinity;
          for (let i = 0; i < 4 && ms > CANCEL_MS_MAX; i++) ms = await leave(side, way, arrive);
          assert.ok(ms <= CANCEL_MS_MAX, `${side.name}, ${how}: cancelled after ${ms} ms`);
          all.push(ms);
        }
      for (const side of sides) await isAsBefore(side);
      t.diagnostic(`cancelled after ${all.join(', ')} ms`);
      count(name, all.length);
    });

  it('cell C8: the client leaves in the middle of eight choices: each call is cancelled', async () => {
    for (const side of sides)
      for (const [how, way] of waysToLeave.slice(0, 3)) {
        const tag = newTag('choices');
        const connection = await open(side);
        await connection.write(chat(ask(tag + slow, { stream: true, n: 8 })));
        await connection.wait('all choices have begun', (c) => Array.from({ length: 8 }, (_, i) => i).every((i) => c.data.includes(`"index":${i},"delta":{"content"`)));
        const calls = recorder.messages.filter((call) => call.raw.includes(tag));
        assert.equal(calls.length, 8);
        way(connection);
        await until(`${how}: all calls are cancelled`, () => calls.every((call) => call.abortedAtMs), 1000);
        await connection.closed(3000);
        connection.close();
      }
    for (const side of sides) {
      side.most = Math.max(side.most, descriptors(side.proxy));
      await isAsBefore(side);
    }
    count('C8, eight choices', 6);
  });

  it('cell C2: the client leaves in the TLS handshake', async () => {
    const hello = await clientHello();
    const pieces = [hello.subarray(0, 1), hello.subarray(0, hello.length / 2), hello];
    for (const piece of pieces)
      for (const how of ['close', 'finish', 'reset']) {
        const connection = await Connection.open(secured().proxy.port);
        await connection.write(piece);
        if (piece === hello) await connection.wait('the server has answered', (c) => c.data.length > 0);
        connection[how]();
        if (how === 'finish') await connection.closed(1000);
        connection.close();
      }
    await isAsBefore(secured());
    count('C2', pieces.length * 3);
  });

  it('cell C12: a half-close behind the whole request is leaving, though the client would still read', async () => {
    for (const side of sides) {
      const tag = newTag('nc');
      const connection = await open(side);
      connection.socket.end(chat(ask(`${tag} [[sim: first=200ms text=x]]`)));
      await connection.closed(2000);
      assert.equal(connection.data.toString(), '');
      await sleep(50);
      assert.equal(recorder.find(tag)?.finishedAtMs, undefined);
      // What needs no upstream is answered before the end is seen.
      const ready = await open(side);
      ready.socket.end(request('GET', '/health'));
      assert.equal((await ready.answer()).status, 200);
      await ready.closed(2000);
      await isAsBefore(side);
    }
    count('C12', 4);
  });

  it('cell C72: the client leaves at any moment', async () => {
    const n = isSanitized ? 100 : 300;
    const orders = [silent, lull, '[[sim: words=60 gap=1ms]]', '[[sim: text=x]]', '[[sim: words=30000]]', '[[sim: status=529]]', '[[sim: words=50 cut=10]]'];
    for (const side of sides) {
      for (let k = 0; k < n; k += 50)
        await Promise.all(Array.from({ length: 50 }, async (_, i) => {
          const dice = noise(k + i + 1, 4);
          const connection = await open(side);
          connection.write(chat(ask(orders[dice[0] % orders.length], { stream: dice[1] % 2 === 0 })));
          await sleep(dice[2] % 60);
          waysToLeave[dice[3] % 4][1](connection);
          connection.socket.resume();
          await connection.closed(5000);
          connection.close();
        }));
      side.most = Math.max(side.most, descriptors(side.proxy)); // idle connections to the upstream
      await isAsBefore(side);
    }
    count('C72', n * sides.length);
  });

  it('cell C23: a thousand clients leave at once in mid-stream', { timeout: 60_000 }, async (t) => {
    const sizes = isSanitized ? [200, 50] : [CROWD, CROWD / 4];
    for (const [i, side] of sides.entries()) {
      const size = sizes[i];
      const tag = newTag('crowd');
      const before = side.proxy.residentBytes();
      const crowd = [];
      while (crowd.length < size)
        crowd.push(...await Promise.all(Array.from({ length: 50 }, async () => {
          const connection = await open(side);
          await connection.write(chat(ask(`${tag} [[sim: words=1000 gap=1s]]`, { stream: true })));
          return connection;
        })));
      await Promise.all(crowd.map(begun));
      const metrics = await scrape(side.proxy.port, side.options);
      assert.equal(metrics.sum('claude_proxy_streams_open'), size);
      const peak = side.proxy.residentBytes();
      const at = Date.now();
      crowd.forEach((connection, k) => waysToLeave[k % 3][1](connection));
      const calls = recorder.messages.filter((call) => call.raw.includes(tag));
      assert.equal(calls.length, size);
      await until('all upstream streams are cancelled', () => calls.every((call) => call.abortedAtMs), 5000);
      const ms = Math.max(...calls.map((call) => call.abortedAtMs)) - at;
      await isAsBefore(side, 8000);
      for (const connection of crowd) connection.close();
      const kept = side.proxy.residentBytes() - before;
      t.diagnostic(`${side.name}: ${size} streams, ${((peak - before) / size / 1024).toFixed(0)} KB each, all cancelled after ${ms} ms, ${(kept / MB).toFixed(1)} MB kept`);
      if (!isSanitized) assert.ok(kept < 24 * MB, `${kept} bytes are kept`);
    }
    count('C23', sizes[0] + sizes[1]);
  });

  it('cell C24: a thousand clients come at once', { timeout: 60_000 }, async () => {
    const n = isSanitized ? CROWD / 4 : CROWD;
    const side = plain();
    const crowd = await Promise.all(Array.from({ length: n }, async (_, i) => {
      const connection = await open(side);
      await connection.write(i % 4 ? request('GET', '/v1/models') : chat(ask('[[sim: text="one of many"]]', { stream: true })));
      return connection;
    }));
    for (const [i, connection] of crowd.entries()) {
      const answer = await connection.answer({ ms: 30_000 });
      assert.equal(answer.status, 200, answer.text);
      if (i % 4 === 0) assert.equal(readStream(answer.text).content, 'one of many');
      connection.close();
    }
    side.most = Math.max(side.most, descriptors(side.proxy)); // idle connections to the upstream
    await isAsBefore(side, 8000);
    count('C24', n);
  });
});

// Slow ----------------------------------------------------------------------------------------

/** Sends a byte at a time, without end, until the proxy closes; [what it said, after how long]. */
async function drip(side, first, next, everyMs = 50) {
  const connection = await open(side);
  const started = performance.now();
  await connection.write(first);
  while (!connection.isEnded && performance.now() - started < 12_000) {
    connection.socket.write(next);
    await sleep(everyMs);
  }
  assert.ok(connection.isEnded, 'it goes on and on');
  connection.close();
  return [connection.data.toString('latin1'), performance.now() - started];
}

describe('clients that are slow', () => {
  const chunked = request('POST', '/v1/chat/completions', { headers: { 'transfer-encoding': 'chunked' } });
  const drips = [
    ['cell C14: a head that drips without end', 'GET /health HTTP/1.1\r\nhost: a\r\nx: ', 'y', /^HTTP\/1\.1 408 /],
    ['cell C16: a body that drips without end', request('POST', '/v1/chat/completions', { headers: { 'content-length': '100000' } }), ' ', /^HTTP\/1\.1 408 /],
    ['cell C17: blank lines without end in front of a request', '\r\n', '\r\n', /^$/],
    ['cell C18: chunk extensions that drip without end', Buffer.concat([chunked, Buffer.from('1;')]), 'x', /^HTTP\/1\.1 408 /],
    ['cell C18: trailers that drip without end', Buffer.concat([chunked, Buffer.from('0\r\nx: ')]), 'x', /^HTTP\/1\.1 408 /],
  ];
  for (const [name, first, next, says] of drips)
    it(name, async () => {
      const ends = await Promise.all(sides.map((side) => drip(side, first, next)));
      for (const [text, ms] of ends) {
        assert.match(text, says);
        assert.ok(ms > 900 * LIMIT_S && ms < 4000 + 1000 * LIMIT_S, `${ms} ms`);
      }
      for (const side of sides) await isAsBefore(side);
      count(name, ends.length);
    });

  for (const [name, stream] of [['cell C20: a reader that stops for good, of a stream', true], ['cell C20: a reader that stops for good, of a whole answer', false]])
    it(name, async () => {
      const calls = await Promise.all(sides.map(async (side) => {
        const tag = newTag('stalled');
        const nBefore = side.proxy.stderr.split('client_stalled').length;
        const connection = await open(side);
        connection.socket.pause();
        connection.socket.on('error', () => {});
        // More than the kernel's buffers on the way swallow.
        await connection.write(chat(ask(`${tag} [[sim: words=1000000 piece=${stream ? 20 : 2000}]]`, { stream })));
        const call = await until('the upstream has it', () => recorder.find(tag));
        const started = performance.now();
        if (stream) await until('the upstream is cancelled', () => call.abortedAtMs, 30_000);
        else await until('the connection is dropped', async () => (await scrape(side.proxy.port, side.options)).sum('claude_proxy_connections_open') === 1, 30_000);
        const ms = performance.now() - started;
        assert.ok(ms > 1800, `${ms} ms`);
        if (stream) await until('the log says so', () => side.proxy.stderr.split('client_stalled').length > nBefore);
        connection.socket.resume();
        await connection.closed();
        assert.ok(connection.data.length > 1000 && connection.data.length < 5 * MB, `${connection.data.length} bytes came`);
        connection.close();
      }));
      for (const side of sides) await isAsBefore(side);
      count(name, calls.length);
    });
});

// What is no request --------------------------------------------------------------------------

/** Sends bytes, and waits until the proxy closes or `ms` are over. */
async function say(side, bytes, { finish = false, ms = 5000 } = {}) {
  const connection = await open(side);
  connection.write(bytes);
  if (finish) connection.finish();
  await connection.closed(ms);
  const text = connection.data.toString('latin1');
  connection.close();
  return text;
}

describe('what is no request', () => {
  it('cell C25: TLS on a plain port', async () => {
    const hello = await clientHello();
    assert.match(await say(plain(), hello), /^(HTTP\/1\.1 400 |$)/);
    await isAsBefore(plain());
  });

  it('cell C28: random bytes', async () => {
    const n = isSanitized ? 50 : 200;
    for (const side of [...sides, { ...secured(), options: {} }])
      await Promise.all(Array.from({ length: n }, async (_, seed) => {
        const text = await say(side, noise(seed + 1, 1 + (seed * 37) % 3000), { finish: seed % 2 === 0 });
        if (side.options.secure || side === plain()) assert.match(text, /^(HTTP\/1\.1 4\d\d |$)/);
      }));
    for (const side of sides) await isAsBefore(side);
    count('C28', 3 * n);
  });

  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PROXY_KEY}\r\nContent-Type: application/json\r\n`;
  const body = JSON.stringify(ask('[[sim: text="went through"]]'));
  const hidden = `GET /v1/models?hidden HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PROXY_KEY}\r\n\r\n`;
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  /** Shapes that two parsers may read differently: refused, and what hides behind is never answered. */
  const shapes = [
    ['chunked, then a length', `${head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${chunks}`],
    ['a length, then chunked', `${head}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`],
    ['equal lengths twice', `${head}Content-Length: ${body.length}\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['a list of lengths', `${head}Content-Length: ${body.length}, ${body.length}\r\n\r\n${body}`],
    ['a length with a sign', `${head}Content-Length: +${body.length}\r\n\r\n${body}`],
    ['a length in hexadecimal', `${head}Content-Length: 0x10\r\n\r\n${body}`],
    ['an empty length', `${head}Content-Length: \r\n\r\n${body}`],
    ['chunked twice', `${head}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`],
    ['chunked, chunked', `${head}Transfer-Encoding: chunked, chunked\r\n\r\n${chunks}`],
    ['chunked with a vertical tab', `${head}Transfer-Encoding: \x0bchunked\r\n\r\n${chunks}`],
    ['chunked with a NUL', `${head}Transfer-Encoding: chunked\0\r\n\r\n${chunks}`],
    ['identity', `${head}Transfer-Encoding: identity\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['chunked of HTTP/1.0', `${head.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n${chunks}`],
    ['a tab before the colon', `${head}Transfer-Encoding\t: chunked\r\n\r\n${chunks}`],
    ['a blank before a header', `${head} Transfer-Encoding: chunked\r\n\r\n${chunks}`],
    ['a folded coding', `${head}Transfer-Encoding:\r\n chunked\r\n\r\n${chunks}`],
    ['a bare CR in a header', `${head}X-A: b\rTransfer-Encoding: chunked\r\n\r\n${chunks}`],
    ['a bare LF as the end of a header', `${head}X-A: b\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['a bare LF as the end of the head', `${head}Content-Length: ${body.length}\r\n\n${body}`],
    ['bare LFs in chunks', `${head}Transfer-Encoding: chunked\r\n\r\n${chunks.replaceAll('\r\n', '\n')}`],
    ['a bare CR behind a chunk size', `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r${body}\r\n0\r\n\r\n`],
    ['a chunk without its end', `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}0\r\n\r\n`],
    ['a chunk size beyond 64 bits', `${head}Transfer-Encoding: chunked\r\n\r\n1${'0'.repeat(16)}\r\n${body}\r\n0\r\n\r\n`],
    ['a chunk size with 0x', `${head}Transfer-Encoding: chunked\r\n\r\n0x${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
    ['a negative chunk size', `${head}Transfer-Encoding: chunked\r\n\r\n-1\r\n${body}\r\n0\r\n\r\n`],
    ['an empty chunk size', `${head}Transfer-Encoding: chunked\r\n\r\n\r\n${body}\r\n0\r\n\r\n`],
    ['a blank before a chunk size', `${head}Transfer-Encoding: chunked\r\n\r\n ${chunks}`],
    ['a NUL in a name', `${head}X\0A: b\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['a header without a name', `${head}: b\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['a header without a colon', `${head}Nonsense\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
    ['three words in front of the version', `${head.replace(' HTTP', ' x HTTP')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['a tab in the request line', `${head.replace('POST ', 'POST\t')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['a NUL in the target', `${head.replace('/v1/', '/v1\0/')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['HTTP/1.2', `${head.replace('1.1', '1.2')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['HTTP/2.0', `${head.replace('1.1', '2.0')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['http/1.1 in small letters', `${head.replace('HTTP/1.1', 'http/1.1')}Content-Length: ${body.length}\r\n\r\n${body}`],
    ['no version', 'GET /health\r\n\r\n'],
  ];
  it('cell C29: what two parsers may read differently is refused, and ends the connection', async () => {
    for (const side of sides) {
      const nBefore = recorder.messages.length;
      await Promise.all(shapes.map(async ([name, bytes]) => {
        const text = await say(side, Buffer.from(bytes + hidden, 'latin1'));
        assert.match(text, /^(HTTP\/1\.1 400 |$)/, `${side.name}, ${name}: ${text.slice(0, 300)}`);
        assert.equal(text.split('HTTP/1.1 ').length <= 2, true, `${name}: more than one answer`);
        assert.doesNotMatch(text, /"object":"list"/, name);
      }));
      assert.equal(recorder.messages.length, nBefore, 'none went upstream');
      await isAsBefore(side);
    }
    count('C29', shapes.length * sides.length);
  });

  it('cell C31: chunk extensions and trailers beyond all measure', async () => {
    const bytes = [
      `${head}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(200_000)}`,
      `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n${'x: y\r\n'.repeat(40_000)}`,
      `${head}Transfer-Encoding: chunked\r\n\r\n0\r\nx: ${'y'.repeat(200_000)}`,
    ];
    for (const side of sides) {
      for (const text of await Promise.all(bytes.map((one) => say(side, Buffer.from(one))))) assert.match(text, /^HTTP\/1\.1 400 .*chunk framing/s);
      await isAsBefore(side);
    }
    count('C31', bytes.length * sides.length);
  });

  it('cell C32: heads beyond all measure', async () => {
    const bytes = [
      `GET /${'a'.repeat(MB)} HTTP/1.1\r\nhost: a\r\n\r\n`,
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(MB)}\r\n\r\n`,
      `GET / HTTP/1.1\r\nhost: a\r\n${'a'.repeat(MB)}: x\r\n\r\n`,
      `GET / HTTP/1.1\r\nhost: a\r\n${'a: x\r\n'.repeat(100_000)}\r\n\r\n`,
      `GET / HTTP/1.1\r\nhost: a\r\n${'a: \r\n'.repeat(101)}\r\n\r\n`,
    ];
    for (const side of sides) {
      const before = side.proxy.residentBytes();
      for (const text of await Promise.all(bytes.map((one) => say(side, Buffer.from(one))))) assert.match(text, /^HTTP\/1\.1 431 /);
      if (!isSanitized) assert.ok(side.proxy.residentBytes() - before < 4 * MB);
      await isAsBefore(side);
    }
    count('C32', bytes.length * sides.length);
  });
});

// Bodies, methods, order ----------------------------------------------------------------------

describe('requests that ask for too much', () => {
  it('cell C36: JSON cut at every byte', async () => {
    const whole = Buffer.from(JSON.stringify(ask([{ type: 'text', text: 'Gr\u00fc\u00df \ud83d\ude00 \\u00e9' }], { temperature: 0.5, stream: true, tools: [], stop: ['a'], user: null })));
    for (const side of sides) {
      const nBefore = recorder.messages.length;
      const connection = await open(side);
      for (let i = 0; i < whole.length; i++) {
        await connection.write(chat(whole.subarray(0, i)));
        const answer = await connection.answer();
        assert.equal(answer.status, 400, `${i} bytes`);
        assert.equal(answer.json.error.type, 'invalid_request_error');
      }
      connection.close();
      assert.equal(recorder.messages.length, nBefore);
      await isAsBefore(side);
    }
    count('C36', whole.length * sides.length);
  });

  it('cell C38: a body that is compressed, or calls itself something else', async () => {
    const bytes = Buffer.from(JSON.stringify(ask('[[sim: text="as it is"]]')));
    for (const side of sides) {
      for (const [name, packed] of [['gzip', gzipSync(bytes)], ['deflate', deflateSync(bytes)], ['br', noise(7, 200)]]) {
        const answer = await send(side.proxy.port, chat(packed, { headers: { 'content-encoding': name } }), side.options);
        assert.equal(answer.status, 400);
        assert.equal(answer.json.error.type, 'invalid_request_error');
      }
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/json; charset=utf-16', '', undefined])
        assert.equal((await send(side.proxy.port, chat(bytes, { headers: { 'content-type': type } }), side.options)).json.choices[0].message.content, 'as it is');
      await isAsBefore(side);
    }
    count('C38', 9 * sides.length);
  });

  it('cell C39: an expectation that nobody knows is passed over', async () => {
    for (const side of sides)
      for (const expect of ['200-ok', '100-continue, 200-ok', '', 'x'.repeat(2000)])
        assert.equal((await send(side.proxy.port, chat(ask('[[sim: text=x]]'), { headers: { expect } }), side.options)).status, 200, expect);
    // One that waits for the word and then leaves.
    for (const side of sides) {
      const connection = await open(side);
      await connection.write(request('POST', '/v1/chat/completions', { headers: { expect: '100-continue', 'content-length': '100' } }));
      assert.equal((await connection.answer()).status, 100);
      connection.reset();
      await isAsBefore(side);
    }
    count('C39', 5 * sides.length);
  });

  it('cell C40: methods of every kind, on every URL', async () => {
    const methods = ['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'BREW', 'get', 'GE T', 'G\x00T'];
    const targets = ['/health', '/v1/models', '/v1/chat/completions', '/nowhere', '*', ''];
    for (const side of sides) {
      await Promise.all(methods.flatMap((method) => targets.map(async (target) => {
        const connection = await open(side);
        await connection.write(request(method, target, { headers: { connection: 'close' } }));
        await connection.closed(3000);
        const text = connection.data.toString('latin1');
        const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? assert.fail(`${method} ${target}: ${text}`);
        const isFine = method === 'HEAD' ? ['200', '404', '405', '400'] : method === 'OPTIONS' ? ['204', '404', '405', '400'] : ['400', '404', '405'];
        assert.ok(isFine.includes(status), `${method} ${target}: ${status}`);
        if (method === 'HEAD') assert.ok(text.endsWith('\r\n\r\n') || status === '400', text);
        connection.close();
      })));
      await isAsBefore(side);
    }
    count('C40', methods.length * targets.length * sides.length);
  });

  it('cell C41: a hundred requests sent ahead are answered in order', async () => {
    for (const side of sides) {
      const bytes = Array.from({ length: 100 }, (_, i) => [
        () => request('GET', `/nowhere/${i}`),
        () => chat(ask(`[[sim: text="answer ${i}"]]`)),
        () => chat(ask(`[[sim: text="answer ${i}"]]`, { stream: true })),
        () => chat('{'),
      ][i % 4]());
      const connection = await open(side);
      await connection.write(Buffer.concat(bytes));
      for (let i = 0; i < 100; i++) {
        const answer = await connection.answer();
        if (i % 4 === 0) assert.match(answer.json.error.message, new RegExp(`/nowhere/${i}\\)`));
        else if (i % 4 === 1) assert.equal(answer.json.choices[0].message.content, `answer ${i}`);
        else if (i % 4 === 2) assert.equal(readStream(answer.text).content, `answer ${i}`);
        else assert.equal(answer.status, 400);
      }
      connection.close();
      await isAsBefore(side);
    }
    count('C41', 100 * sides.length);
  });
});
