// The proxy and its upstream over TLS and HTTP/2: certificates, aborts, a burst of streams, and
// two thousand of them open at once.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { Connection, ask, chat, readStream, request, send, watchStream } from './lib/http.mjs';
import { MODEL, PROXY_KEY, isSanitized, makeCertificate, sleep, startProxy, startSim, until } from './lib/process.mjs';

const CANCEL_MS_MAX = 50;
const STREAMS = isSanitized ? 1000 : 2000;

let certificate, sim, proxy;

before(async () => {
  certificate = makeCertificate();
  sim = await startSim(['--cert', certificate.cert, '--key', certificate.key]);
  proxy = await startProxy(sim, { UPSTREAM_CA_FILE: certificate.cert, WORKERS: '2' });
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await sim?.stop();
  }
});

async function withProxy(upstream, env, use) {
  const own = await startProxy(upstream, env);
  try {
    await use(own);
  } finally {
    await own.stop();
  }
}

describe('TLS', () => {
  it('a private certificate authority', async () => {
    const answer = await send(proxy.port, chat(ask("What's the capital of France?")));
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.json.choices[0].message.content, /Paris/);
  });

  it('a certificate that nobody vouches for is refused', async () => {
    await withProxy(sim, {}, async (own) => {
      const answer = await send(own.port, chat(ask('Hi')));
      assert.equal(answer.status, 502);
      assert.equal(answer.json.error.code, 'upstream_unreachable');
    });
  });

  it('a certificate for another name is refused', async () => {
    // 127.0.0.2 is loopback too, but does not stand in the certificate.
    const relay = net.createServer((socket) => {
      const onward = net.connect(sim.port, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()));
    });
    await new Promise((resolve) => relay.listen(0, '127.0.0.2', resolve));
    try {
      await withProxy(`https://127.0.0.2:${relay.address().port}`, { UPSTREAM_CA_FILE: certificate.cert }, async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 502);
      });
      await withProxy(`https://localhost:${sim.port}`, { UPSTREAM_CA_FILE: certificate.cert }, async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
      });
    } finally {
      relay.close();
    }
  });

  it('TLS 1.1 is refused, HTTP/1.1 without ALPN is spoken', async () => {
    const options = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    let asked = 0;
    const body = JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'over HTTP/1.1' }], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } });
    const serve = (more) => new Promise((resolve) => {
      const server = tls.createServer({ ...options, ...more }, (socket) => {
        socket.on('error', () => {});
        socket.on('data', (piece) => {
          if (!/^POST /.test(piece.toString())) return;
          asked++;
          socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        });
      }).on('tlsClientError', () => {}).listen(0, '127.0.0.1', () => resolve(server));
    });
    const old = await serve({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    const plain = await serve({});
    try {
      await withProxy(`https://127.0.0.1:${old.address().port}`, { UPSTREAM_CA_FILE: certificate.cert }, async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 502);
      });
      assert.equal(asked, 0);
      await withProxy(`https://127.0.0.1:${plain.address().port}`, { UPSTREAM_CA_FILE: certificate.cert }, async (own) => {
        const answer = await send(own.port, chat(ask('Hi')));
        assert.equal(answer.json?.choices?.[0].message.content, 'over HTTP/1.1', answer.text);
      });
    } finally {
      old.close();
      plain.close();
    }
  });

  it('a peer that accepts and says nothing: 502 or 504 after CONNECT_TIMEOUT', async () => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    try {
      await withProxy(`https://127.0.0.1:${silent.address().port}`, { CONNECT_TIMEOUT: '1' }, async (own) => {
        const started = performance.now();
        const answer = await send(own.port, chat(ask('Hi')));
        const ms = performance.now() - started;
        assert.ok([502, 504].includes(answer.status), String(answer.status));
        assert.ok(ms > 900 && ms < 4000, `${ms} ms`);
      });
    } finally {
      silent.close();
    }
  });
});

describe('an upstream that keeps its answer open', () => {
  it('a list of models that does not come holds no shutdown', async () => {
    const silent = http.createServer(() => {});
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    try {
      const own = await startProxy(`http://127.0.0.1:${silent.address().port}`, { DRAIN_TIMEOUT: '20' });
      const asked = send(own.port, request('GET', '/v1/models'));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const started = performance.now();
      const [answer] = await Promise.all([asked, own.stop()]);
      assert.equal(answer.status, 200);
      assert.ok(answer.json.data.length > 0);
      assert.ok(performance.now() - started < 5000, 'it waited for what could not come');
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  it('is let go soon after the last event', async () => {
    const data = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
    const usage = { input_tokens: 1, output_tokens: 1 };
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', content: [], stop_reason: null, usage };
    let nOpen = 0;
    const upstream = http.createServer((req, res) => {
      req.resume();
      if (req.method === 'GET') return res.end('{"data":[]}');
      nOpen++;
      res.on('close', () => nOpen--);
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(data({ type: 'message_start', message }) +
        data({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'whole' } }) +
        data({ type: 'content_block_stop', index: 0 }) +
        data({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage }) +
        data({ type: 'message_stop' }));
    });
    await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    try {
      await withProxy(`http://127.0.0.1:${upstream.address().port}`, { WORKERS: '1' }, async (own) => {
        const answers = await Promise.all([0, 1, 2].map(() => send(own.port, chat(ask('Hi', { stream: true })))));
        for (const answer of answers) assert.equal(readStream(answer.text).content, 'whole');
        assert.equal(nOpen, 3);
        await until('the upstream is let go', () => nOpen === 0, 4000);
      });
    } finally {
      upstream.closeAllConnections();
      upstream.close();
    }
  });
});

describe('many streams over HTTP/2', () => {
  it('a burst opens no storm of connections', async (t) => {
    await withProxy(sim, { UPSTREAM_CA_FILE: certificate.cert, WORKERS: '2' }, async (own) => {
      const answers = await Promise.all(Array.from({ length: 200 }, () => send(own.port, chat(ask('[[sim: text=burst first=300ms]]')))));
      assert.ok(answers.every((answer) => answer.json.choices[0].message.content === 'burst'));
      const connections = connectionsTo(own.pid, sim.port);
      t.diagnostic(`200 requests at once over ${connections} upstream connections of 2 workers`);
      assert.ok(connections >= 1 && connections <= 16, String(connections));
    });
  });

  it(`${STREAMS} streams open at once, all whole`, { timeout: 120_000 }, async (t) => {
    const words = Array.from({ length: 24 }, (_, i) => `word${String(i).padStart(2, '0')}`).join(' ');
    const body = chat(ask(`[[sim: text="${words}" piece=7 gap=500ms]]`, { stream: true }));
    // Warm: what the first requests allocate for good is not a stream's memory.
    await Promise.all(Array.from({ length: 20 }, () => send(proxy.port, chat(ask('[[sim: text=x]]', { stream: true })))));
    const before = proxy.residentBytes();
    const started = performance.now();
    const connections = [];
    for (let i = 0; i < STREAMS; i += 50) {
      const opened = await Promise.all(Array.from({ length: Math.min(50, STREAMS - i) }, () => Connection.open(proxy.port)));
      for (const connection of opened) connection.write(body);
      connections.push(...opened);
    }
    const hasContent = (connection) => connection.data.includes('"content":"w');
    await until('every stream has begun', () => connections.every(hasContent), 30_000);
    const opening = performance.now() - started;
    assert.ok(connections.every((connection) => !connection.data.includes('[DONE]')), 'all are open at the same time');
    const peak = proxy.residentBytes();
    const upstream = connectionsTo(proxy.pid, sim.port);
    let whole = 0;
    for (const connection of connections) {
      const answer = await connection.answer({ ms: 60_000 });
      assert.equal(answer.status, 200);
      const stream = readStream(answer.text);
      assert.equal(stream.content, words);
      assert.equal(stream.finish, 'stop');
      whole++;
      connection.close();
    }
    const perStream = (peak - before) / STREAMS;
    t.diagnostic(`${whole} streams whole, all open after ${Math.round(opening)} ms, over ${upstream} upstream connections`);
    t.diagnostic(`resident: ${(before / 1024).toFixed(0)} KB before, ${(peak / 1024).toFixed(0)} KB with all open: ${Math.round(perStream)} bytes a stream`);
    assert.equal(whole, STREAMS);
    if (!isSanitized) assert.ok(perStream < 64 * 1024, `${perStream} bytes a stream`);
  });
});

/** What the simulator saw of the request whose body holds `tag`. */
async function seen(tag) {
  const body = await new Promise((resolve, reject) => {
    https.get(`${sim.url}/__sim/stats`, { rejectUnauthorized: false, agent: false }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece)).on('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
    }).on('error', reject);
  });
  return JSON.parse(body).recent.find((call) => JSON.stringify(call.body).includes(tag));
}

describe('HTTP/2 streams', () => {
  const slow = '[[sim: words=100000 gap=10ms]]';
  const waiting = '[[sim: first=30s text=x]]';
  const client = () => new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });

  async function abort(tag, content, stream, isStreaming) {
    const controller = new AbortController();
    const promise = client().chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: `${tag} ${content}` }], stream }, { signal: controller.signal });
    promise.catch(() => {}); // the abort
    if (isStreaming) {
      const iterator = (await promise)[Symbol.asyncIterator]();
      for (let i = 0; i < 3; i++) await iterator.next();
    } else {
      await until('the simulator has the request', () => seen(tag));
    }
    const at_us = Date.now() * 1000;
    controller.abort();
    const call = await until('the simulator saw the abort', async () => {
      const found = await seen(tag);
      return found.end === 'aborted' && found;
    });
    assert.equal(call.protocol, '2');
    return (call.ended_us - at_us) / 1000;
  }

  for (const [when, content, stream, isStreaming] of [
    ['waiting, streamed', waiting, true, false],
    ['waiting, not streamed', waiting, false, false],
    ['streaming', slow, true, true],
    ['answer under way, not streamed', slow, false, false],
  ])
    it(`an abort of the SDK, ${when}: the simulator sees it within ${CANCEL_MS_MAX} ms`, async (t) => {
      const ms = [];
      for (let i = 0; i < 5; i++) ms.push(await abort(`abort-${when.replaceAll(/\W+/g, '-')}-${i}`, content, stream, isStreaming));
      t.diagnostic(`seen after ${ms.map((x) => x.toFixed(1)).join(', ')} ms`);
      assert.ok(Math.max(...ms) <= CANCEL_MS_MAX, `${ms} ms`);
    });

  it('faults are errors, and the streams beside them go on', async () => {
    const text = 'A stream on the same connection. '.repeat(20);
    const neighbour = await watchStream(proxy.port, `[[sim: text=${JSON.stringify(text)} piece=5 gap=5ms]]`, text);
    const words = 'one two three four five six';
    for (const [directives, status, code] of [
      ['cut=head', 502], ['cut=start', 502], ['end=start', 502], ['garbage=start', 502], ['status=529', 503], ['error=api_error', 500],
      ['cut=3', 200, 'upstream_disconnected'], ['cut_bytes=700', 200, 'upstream_disconnected'], ['end=3', 200, 'upstream_disconnected'],
      ['garbage=3', 200], ['error=overloaded_error after=3', 200, 'overloaded'],
    ])
      for (const stream of [false, true]) {
        const answer = await send(proxy.port, chat(ask(`[[sim: text="${words}" piece=4 gap=5ms ${directives}]]`, { stream })));
        if (stream && status === 200) {
          assert.equal(answer.status, 200, directives);
          const { error, content } = readStream(answer.text);
          assert.ok(error, directives);
          if (code) assert.equal(error.code, code, directives);
          assert.ok(words.startsWith(content), directives);
        } else {
          assert.ok(answer.status >= 500, `${directives}: ${answer.status}`);
          if (status !== 200) assert.equal(answer.status, status, directives);
          assert.ok(answer.json.error.message.length > 0);
        }
      }
    await neighbour.check();
  });

  it('a client that stops reading holds back its own stream alone', { timeout: 60_000 }, async (t) => {
    await withProxy(sim, { UPSTREAM_CA_FILE: certificate.cert, WORKERS: '1' }, async (own) => {
      await send(own.port, chat(ask('[[sim: text=warm]]', { stream: true })));
      const before = own.residentBytes();
      const stopped = [];
      for (let i = 0; i < 8; i++) {
        const connection = await Connection.open(own.port);
        connection.socket.pause();
        connection.write(chat(ask(`stopped-h2-${i} [[sim: words=1000000 piece=20]]`, { stream: true })));
        stopped.push(connection);
      }
      await until('all are under way', () => seen('stopped-h2-7'));
      let peak = 0;
      for (let i = 0; i < 15; i++) {
        await sleep(100);
        peak = Math.max(peak, own.residentBytes());
      }
      const text = 'Others on the same connection go on. '.repeat(10);
      await (await watchStream(own.port, `[[sim: text=${JSON.stringify(text)} piece=7 gap=2ms]]`, text)).check(5000);
      for (let i = 0; i < 8; i++) assert.equal((await seen(`stopped-h2-${i} `)).end, 'open');
      t.diagnostic(`8 readers stopped: the proxy grew by ${((peak - before) / 1024).toFixed(0)} KB`);
      if (!isSanitized) assert.ok(peak - before < 16 * 1024 * 1024, `${peak - before} bytes`);
      stopped[0].socket.resume();
      const stream = readStream((await stopped[0].answer({ ms: 50_000 })).text);
      assert.equal(stream.error, null);
      assert.ok(stream.content.length > 4_000_000, String(stream.content.length));
      for (const connection of stopped) connection.reset();
    });
  });
});

/** Established TCP connections of a process to a port of 127.0.0.1. */
function connectionsTo(pid, port) {
  const inodes = new Set();
  for (const fd of readdirSync(`/proc/${pid}/fd`))
    try {
      inodes.add(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]);
    } catch {
      // closed meanwhile
    }
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
    .filter((field) => field[2] === remote && field[3] === '01' && inodes.has(field[9])).length;
}
