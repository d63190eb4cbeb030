// Clients that speak HTTP/2: many streams on one socket, each for itself; and what clients do who
// mean no good.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { ask, readStream } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { PROXY_KEY, sleep, startProxy, startSim, until } from './lib/process.mjs';

let authority, certificate, sim, recorder, proxy;
const quick = { HEAD_TIMEOUT: '2', BODY_TIMEOUT: '1', IDLE_TIMEOUT: '2', MAX_BODY_BYTES: '8000000', WORKERS: '1' };
const settings = () => ({ TLS_CERT: certificate.cert, TLS_KEY: certificate.key });

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder.url, { ...settings(), WORKERS: '2' });
});
after(async () => {
  await proxy?.stop();
  await recorder?.stop();
  await sim?.stop();
});

async function withProxy(env, use) {
  const own = await startProxy(recorder.url, { ...settings(), ...env });
  try {
    await use(own);
  } finally {
    await own.stop();
  }
}

async function connect(port) {
  const session = http2.connect(`https://localhost:${port}`, { ca: authority.certPem, lookup: (name, options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) });
  session.on('error', (error) => (session.failure = error));
  session.on('goaway', (code) => (session.wentWith = code));
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
  return session;
}

async function withSession(port, use) {
  const session = await connect(port);
  try {
    return await use(session);
  } finally {
    session.destroy();
  }
}

/** A stream whose answer is kept: {status, headers, text, error} of `done`. */
function start(session, { path = '/v1/chat/completions', method = 'POST', body, key = PROXY_KEY, headers = {}, hold = false } = {}) {
  const stream = session.request({ ':path': path, ':method': method, ...(key ? { authorization: `Bearer ${key}` } : {}), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers });
  const answer = { text: '' };
  stream.setEncoding('utf8');
  stream.on('response', (head) => Object.assign(answer, { status: head[':status'], headers: head }));
  stream.on('data', (piece) => (answer.text += piece));
  stream.on('error', (error) => (answer.error = error));
  stream.answer = answer;
  stream.done = new Promise((resolve) => stream.on('close', () => resolve({ ...answer, code: stream.rstCode })));
  if (!hold) stream.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  return stream;
}
const fetch2 = (session, options) => start(session, options).done;
const healthy = async (port) => withSession(port, async (session) => assert.equal((await fetch2(session, { path: '/health', method: 'GET' })).status, 200));

describe('many streams on one socket', () => {
  it('answers, streams, models and errors, all at once', async () => {
    await withSession(proxy.port, async (session) => {
      assert.equal(session.alpnProtocol, 'h2');
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => fetch2(session, { body: ask(`number ${i} [[sim: text="answer ${i}"]]`, { stream: i % 2 === 0 }) })));
      for (const [i, answer] of answers.entries()) {
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.code, 0);
        assert.equal(i % 2 === 0 ? readStream(answer.text).content : JSON.parse(answer.text).choices[0].message.content, `answer ${i}`);
        assert.equal('connection' in answer.headers || 'transfer-encoding' in answer.headers, false);
      }
      const models = await fetch2(session, { path: '/v1/models', method: 'GET' });
      assert.ok(JSON.parse(models.text).data.length > 0);
      const head = await fetch2(session, { path: '/v1/models', method: 'HEAD' });
      assert.deepEqual([head.status, head.text], [200, '']);
      assert.equal((await fetch2(session, { key: '', body: ask('Hi') })).status, 401);
      assert.equal((await fetch2(session, { key: 'wrong', body: ask('Hi') })).status, 401);
      assert.equal((await fetch2(session, { path: '/nowhere', method: 'GET' })).status, 404);
      assert.equal((await fetch2(session, { path: '/v1/models', method: 'DELETE' })).status, 405);
      assert.equal((await fetch2(session, { body: '{' })).status, 400);
    });
  });

  it('more streams than are open at once wait their turn', async () => {
    await withSession(proxy.port, async (session) => {
      const answers = await Promise.all(Array.from({ length: 250 }, () => fetch2(session, { body: ask('[[sim: text=x first=20ms]]') })));
      assert.ok(answers.every((answer) => answer.status === 200));
      assert.equal(session.remoteSettings.maxConcurrentStreams, 100);
    });
  });

  it('an upload of megabytes, an answer of megabytes', async () => {
    await withSession(proxy.port, async (session) => {
      const answer = await fetch2(session, { body: ask(`${'x'.repeat(3_000_000)} [[sim: words=300000]]`) });
      assert.equal(answer.status, 200, answer.text.slice(0, 300));
      assert.ok(answer.text.length > 1_000_000);
      assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.text));
    });
  });

  it('a stream that is cancelled leaves the others alone', async () => {
    await withSession(proxy.port, async (session) => {
      const other = start(session, { body: ask('[[sim: words=100 gap=10ms]]', { stream: true }) });
      const cancelled = start(session, { body: ask('h2-cancel [[sim: words=500 gap=20ms]]', { stream: true }) });
      await until('its first content', () => cancelled.answer.text.includes('"content":"'));
      cancelled.close(http2.constants.NGHTTP2_CANCEL);
      await until('the upstream is cancelled', () => recorder.find('h2-cancel').abortedAtMs, 2000);
      const whole = await other.done;
      assert.equal(readStream(whole.text).finish, 'stop');
    });
  });

  it('a socket that is gone cancels all of its streams', async () => {
    const session = await connect(proxy.port);
    const streams = Array.from({ length: 10 }, (_, i) => start(session, { body: ask(`h2-gone-${i}- [[sim: words=500 gap=20ms]]`, { stream: true }) }));
    await until('all of them began', () => streams.every((stream) => stream.answer.text.includes('"content":"')));
    session.destroy();
    await until('the upstream is cancelled', () => streams.every((_, i) => recorder.find(`h2-gone-${i}-`).abortedAtMs), 3000);
  });

  it('a stream that is not read is held back; the others go on, then it comes whole', async () => {
    await withSession(proxy.port, async (session) => {
      const slow = start(session, { body: ask('[[sim: words=400000]]', { stream: true }) });
      slow.pause();
      await until('its head', () => slow.answer.status);
      const before = proxy.residentBytes();
      await sleep(500);
      for (let i = 0; i < 5; i++) assert.equal((await fetch2(session, { body: ask('Hi') })).status, 200);
      assert.ok(proxy.residentBytes() - before < 30e6, `${proxy.residentBytes() - before} bytes more`);
      slow.resume();
      const whole = await slow.done;
      assert.equal(readStream(whole.text).finish, 'stop');
      assert.ok(whole.text.length > 5e6);
    });
  });

  it('an upstream that breaks off: the error chunk, and an orderly end of the stream alone', async () => {
    await withSession(proxy.port, async (session) => {
      const answer = await fetch2(session, { body: ask('[[sim: words=50 cut=10]]', { stream: true }) });
      assert.ok(readStream(answer.text).error, answer.text);
      assert.equal((await fetch2(session, { body: ask('Hi') })).status, 200);
    });
  });
});

describe('limits', () => {
  it('a head and a body that are too large', async () => {
    await withProxy(quick, async (own) => {
      await withSession(own.port, async (session) => {
        const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'y']));
        assert.equal((await fetch2(session, { path: '/health', method: 'GET', headers: many })).status, 431);
        assert.equal((await fetch2(session, { body: ask('x'.repeat(8_100_000)) })).status, 413);
        const early = await fetch2(session, { hold: false, body: ask('x'.repeat(4_000_000)), key: 'wrong' });
        assert.equal(early.status, 401);
        assert.equal((await fetch2(session, { body: ask('Hi') })).status, 200);
      });
    });
  });

  it('a body that does not come is a 408 of its stream, an idle connection ends', async () => {
    await withProxy(quick, async (own) => {
      const session = await connect(own.port);
      const held = start(session, { hold: true });
      held.write('{"model":');
      const answer = await Promise.race([held.done, sleep(8000)]);
      assert.equal(answer?.status ?? held.answer.status, 408);
      const closed = new Promise((resolve) => session.on('close', resolve));
      held.close();
      const started = performance.now();
      await closed;
      assert.ok(performance.now() - started < 6000);
      assert.equal(session.wentWith, 0);
      session.destroy();
    });
  });

  it('a body that is not as long as it says breaks its stream', async () => {
    await withSession(proxy.port, async (session) => {
      const answer = await fetch2(session, { body: ask('Hi'), headers: { 'content-length': '5' } }).catch((error) => ({ error }));
      assert.ok(answer.error || answer.code);
      assert.equal((await fetch2(session, { body: ask('Hi') })).status, 200);
    });
  });
});

describe('SIGTERM', () => {
  it('open streams finish, then the connection ends', async () => {
    const own = await startProxy(recorder.url, settings());
    const session = await connect(own.port);
    const stream = start(session, { body: ask('[[sim: words=60 gap=10ms]]', { stream: true }) });
    await until('its first content', () => stream.answer.text.includes('"content":"'));
    own.child.kill('SIGTERM');
    const answer = await stream.done;
    assert.equal(readStream(answer.text).finish, 'stop');
    await until('the end', () => own.isOver, 3000);
    await own.stop();
    session.destroy();
  });

  it('twice: open streams end in an error', async () => {
    const own = await startProxy(recorder.url, settings());
    const session = await connect(own.port);
    const stream = start(session, { body: ask('[[sim: words=600 gap=20ms]]', { stream: true }) });
    await until('its first content', () => stream.answer.text.includes('"content":"'));
    own.child.kill('SIGTERM');
    await sleep(100);
    own.child.kill('SIGTERM');
    const answer = await stream.done;
    assert.doesNotMatch(answer.text, /\[DONE\]/);
    await until('the end', () => own.isOver, 3000);
    await own.stop();
    session.destroy();
  });
});

describe('clients that mean no good', () => {
  const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (type, flags, id, payload = Buffer.alloc(0)) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(id, 5);
    return Buffer.concat([head, payload]);
  };
  const SETTINGS = frame(4, 0, 0);
  // :method GET, :scheme https, :path /, :authority a: from the static table, and a literal.
  const GET = Buffer.from([0x82, 0x87, 0x84, 0x41, 0x01, 0x61]);

  /** Sends `bytes` as HTTP/2 and waits for the end; {received, ms}. */
  async function attack(port, pieces, { reads = true } = {}) {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem, ALPNProtocols: ['h2'] });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const started = performance.now();
    let received = Buffer.alloc(0);
    let isOver = false;
    if (reads) socket.on('data', (piece) => (received = Buffer.concat([received, piece])));
    else socket.pause();
    socket.setMaxListeners(0);
    socket.on('error', () => {}).on('close', () => (isOver = true)).on('end', () => (isOver = true));
    socket.write(Buffer.concat([PREFACE, SETTINGS]));
    for (const piece of pieces) {
      if (isOver) break;
      if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve).once('close', resolve)), sleep(3000)]);
    }
    if (reads) await until('the connection is closed', () => isOver, 8000);
    socket.destroy();
    return { received, ms: performance.now() - started };
  }
  /** Whether a GOAWAY is among the frames. */
  function goaway(bytes) {
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) if (bytes[at + 3] === 7) return true;
    return false;
  }
  const repeat = function* (n, make) {
    for (let i = 0; i < n; i++) yield make(i);
  };

  it('rapid reset', async () => {
    const nBefore = recorder.calls.length;
    const { received } = await attack(proxy.port, repeat(200, (k) => Buffer.concat(Array.from({ length: 50 }, (_, i) => {
      const id = 1 + 2 * (50 * k + i);
      return Buffer.concat([frame(1, 5, id, GET), frame(3, 0, id, Buffer.from([0, 0, 0, 8]))]);
    }))));
    assert.ok(goaway(received));
    assert.ok(recorder.calls.length - nBefore < 5);
    await healthy(proxy.port);
  });

  it('an endless head of CONTINUATION frames', async () => {
    const before = proxy.residentBytes();
    const piece = frame(9, 0, 1, Buffer.concat([Buffer.from([0x00, 0x01, 0x78, 0x7f, 0x81, 0x7e]), Buffer.alloc(16_000, 0x79)]));
    await attack(proxy.port, [frame(1, 1, 1, GET), ...repeat(4000, () => piece)]);
    assert.ok(proxy.residentBytes() - before < 30e6);
    await healthy(proxy.port);
  });

  for (const [name, piece] of [['settings', SETTINGS], ['pings', frame(6, 0, 0, Buffer.alloc(8))]])
    it(`a flood of ${name} whose answers are not read`, async () => {
      const before = proxy.residentBytes();
      const many = Buffer.concat(Array.from({ length: 2000 }, () => piece));
      await attack(proxy.port, repeat(500, () => many), { reads: false });
      assert.ok(proxy.residentBytes() - before < 30e6, `${proxy.residentBytes() - before} bytes more`);
      await healthy(proxy.port);
    });

  it('no HTTP/2 at all, a frame that is too large, data for no stream', async () => {
    for (const bytes of [Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'), Buffer.concat([frame(0, 0, 0, Buffer.alloc(10))]), frame(1, 5, 2, GET), frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))])
      assert.ok(goaway((await attack(proxy.port, [bytes])).received));
    const huge = Buffer.alloc(9);
    huge.writeUIntBE(0xffffff, 0, 3);
    assert.ok(goaway((await attack(proxy.port, [huge])).received));
    await healthy(proxy.port);
  });

  it('a window that is never opened costs its stream, within bounds', async () => {
    const before = proxy.residentBytes();
    await withSession(proxy.port, async (session) => {
      const streams = Array.from({ length: 20 }, () => start(session, { body: ask('[[sim: words=100000]]', { stream: true }) }));
      for (const stream of streams) stream.pause();
      await sleep(1500);
      assert.ok(proxy.residentBytes() - before < 60e6, `${proxy.residentBytes() - before} bytes more`);
    });
    await healthy(proxy.port);
  });

  it('a preface that never comes', async () => {
    await withProxy(quick, async (own) => {
      const socket = tls.connect({ port: own.port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem, ALPNProtocols: ['h2'] });
      let isOver = false;
      socket.on('close', () => (isOver = true)).on('error', () => {}).resume();
      await until('it is closed', () => isOver, 6000);
    });
  });
});
