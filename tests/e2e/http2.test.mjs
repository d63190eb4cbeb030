// Clients that speak HTTP/2: many streams on one socket, each for itself.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
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

  it('cell C58: a stream that is not read is held back; the others go on, then it comes whole', async () => {
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

  it('cell C61: a body that does not come is a 408 of its stream, an idle connection ends', async () => {
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
