// Memory refused: while one request is served over new connections on both sides, each allocation of
// the whole process in turn fails, those of OpenSSL, nghttp2 and libevent too. The client has the right
// answer, an error, or a connection that visibly broke; never a wrong answer that looks right, and the
// next request is served as if nothing had been. FAULTS_WALK=full takes every allocation, else a sample.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { readMetrics } from './lib/exposition.mjs';
import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { PROXY_KEY, isSanitized, sleep, startSim, until } from './lib/process.mjs';
import { ScarceProxy } from './lib/scarce.mjs';

const isFull = process.env.FAULTS_WALK === 'full';
const SAMPLES = isSanitized ? 25 : 60; // of each variant
const LASTING_SAMPLES = isFull ? 200 : isSanitized ? 10 : 20;
const LASTING_MS = 100;
const OVER_MS_MAX = isSanitized ? 6000 : 3000; // no time limit of the proxy may be needed to notice
const METRICS_KEY = 'e2e-metrics-key';

let authority, certificate, sims;

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  sims = { http: await startSim(), https: await startSim(['--cert', certificate.cert, '--key', certificate.key]) };
});
after(async () => {
  await sims?.http.stop();
  await sims?.https.stop();
});

/** A relay to `port` whose connections can be cut, so that the proxy has to dial again. */
async function startRelay(port) {
  const open = new Set();
  const server = net.createServer((socket) => {
    const onward = net.connect(port, '127.0.0.1');
    open.add(socket);
    socket.setNoDelay(true).on('close', () => open.delete(socket));
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => {}).on('close', () => (socket.destroy(), onward.destroy()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, cut: () => open.forEach((socket) => socket.destroy()), stop: () => (open.forEach((socket) => socket.destroy()), server.close()) };
}

// Requests, and what of their answers must be the same ------------------------------------------

const withoutIds = (calls) => calls?.map(({ id, ...call }) => call);

function ofStream(text) {
  const { content, calls, finish, usage, error } = readStream(text);
  return error ? { error } : { content, calls: withoutIds(calls), finish, usage };
}
function ofJson({ choices, usage, error }) {
  return error ? { error } : { choices: choices.map(({ message: { tool_calls, ...message }, ...choice }) => ({ ...choice, message, calls: withoutIds(tool_calls) })), usage };
}
const read = (body, text) => (text.startsWith('{') ? ofJson(JSON.parse(text)) : ofStream(text));

const weather = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } };
const bodies = {
  'an answer': () => ask("What's the capital of France?"),
  'a stream': () => ask('[[sim: words=60]]', { stream: true, stream_options: { include_usage: true } }),
  'tools, streamed': () => ask('get_weather [[sim: tool=get_weather calls=2]]', { stream: true, tools: [weather] }),
  'a schema': () => ask('Hi', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: weather.function.parameters } } }),
  'two choices': () => ask('Hi', { n: 2 }),
  'a large body': () => ask(`${'x'.repeat(600_000)} [[sim: words=3000 think=none]]`),
  'an error of the upstream': () => ask('[[sim: status=529]]', { stream: true }),
  'an error in the stream': () => ask('[[sim: words=20 error=overloaded_error after=10]]', { stream: true }),
};

// Clients ----------------------------------------------------------------------------------------

async function overHttp1(port, body, secure) {
  const connection = await Connection.open(port, { secure });
  try {
    await connection.write(chat(body, { headers: { connection: 'close' } }));
    const { status, text } = await connection.answer({ ms: OVER_MS_MAX });
    return { status, text };
  } finally {
    connection.close();
  }
}

async function overHttp2(port, body) {
  const session = http2.connect(`https://localhost:${port}`, { ca: authority.certPem, lookup: (name, options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) });
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject).on('close', () => reject(new Error('the session ended')));
      const stream = session.request({ ':path': '/v1/chat/completions', ':method': 'POST', authorization: `Bearer ${PROXY_KEY}`, 'content-type': 'application/json' });
      let status, text = '';
      stream.setEncoding('utf8').on('response', (head) => (status = head[':status'])).on('data', (piece) => (text += piece));
      stream.on('error', reject).on('close', () => (stream.rstCode || !status ? reject(new Error(`reset with ${stream.rstCode}`)) : resolve({ status, text })));
      stream.end(JSON.stringify(body));
    });
  } finally {
    session.destroy();
  }
}

const clients = {
  'HTTP/1.1': (port, body) => overHttp1(port, body),
  'HTTP/1.1 over TLS': (port, body) => overHttp1(port, body, { ca: authority.certPem }),
  'HTTP/2': (port, body) => overHttp2(port, body),
};

class Hang extends Error {}

/** {answer: what a reader has} or {broken: how}; throws when it is not over in time. */
async function outcomeOf(ask_, port, body) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Hang(`nothing after ${OVER_MS_MAX} ms`)), OVER_MS_MAX)));
  try {
    return { ...(await Promise.race([ask_(port, body), late])) };
  } catch (error) {
    if (error instanceof Hang || /^after \d+ ms still not/.test(error.message)) throw new Hang(error.message);
    return { broken: error.message };
  } finally {
    clearTimeout(timer);
  }
}

/** What kind of outcome it is; asserts that it is one that was promised. */
function judge(outcome, body, expected) {
  if (outcome.broken) return 'broken';
  const answer = read(body, outcome.text);
  if (answer.error) {
    assert.equal(typeof answer.error.message, 'string');
    assert.ok(answer.error.message && answer.error.type, outcome.text);
    assert.ok(outcome.status >= 400 || body.stream, outcome.text);
    if (outcome.status === 200) assert.doesNotMatch(outcome.text, /\[DONE\]/);
    return 'error';
  }
  assert.equal(outcome.status, 200);
  assert.deepEqual(answer, expected.answer);
  return 'answer';
}

// The walk ---------------------------------------------------------------------------------------

class Stage {
  static async start(client, upstream) {
    const stage = new Stage();
    stage.relay = await startRelay(sims[upstream].port);
    stage.client = clients[client];
    stage.scarce = await ScarceProxy.start(`${upstream}://127.0.0.1:${stage.relay.port}`, {
      UPSTREAM_CA_FILE: authority.cert, METRICS_KEY, MAX_BODY_BYTES: '4000000', REQUEST_TIMEOUT: '60',
      ...(client === 'HTTP/1.1' ? {} : { TLS_CERT: certificate.cert, TLS_KEY: certificate.key }),
    });
    stage.secure = client === 'HTTP/1.1' ? undefined : { ca: authority.certPem };
    return stage;
  }
  get proxy() {
    return this.scarce.proxy;
  }
  /** One request over connections that are new. */
  one(body) {
    this.relay.cut();
    return outcomeOf(this.client, this.proxy.port, body);
  }
  async settle(body) {
    const outcome = await this.one(body);
    assert.ok(outcome.text, outcome.broken);
    return { ...outcome, answer: read(body, outcome.text) };
  }
  descriptors() {
    return readdirSync(`/proc/${this.proxy.pid}/fd`).length;
  }
  async gauges() {
    const { text } = await send(this.proxy.port, request('GET', '/metrics', { key: METRICS_KEY }), { secure: this.secure });
    const { sum } = readMetrics(text); // this request, and its connection, count too
    return { connections: sum('claude_proxy_connections_open') - 1, streams: sum('claude_proxy_streams_open'), inFlight: sum('claude_proxy_requests_in_flight') - 1 };
  }
  async stop() {
    this.relay.stop();
    await this.scarce.stop();
  }
}

/** Each of `at` in turn; counts what became of it. */
async function walk(stage, name, body, expected, at, isLasting, tally) {
  for (const k of at) {
    stage.relay.cut();
    stage.scarce.refuse(k, { isLasting });
    const asked = outcomeOf(stage.client, stage.proxy.port, body);
    asked.catch(() => {});
    let outcome, kind;
    try {
      if (isLasting) {
        await Promise.race([asked.catch(() => {}), sleep(LASTING_MS)]);
        stage.scarce.relent();
      }
      outcome = await asked;
      tally.refused += isLasting ? 1 : stage.scarce.relent().refused;
      kind = judge(outcome, body, expected);
      tally[kind]++;
      const next = await stage.settle(body);
      assert.deepEqual(next.answer, expected.answer, 'the next one');
    } catch (error) {
      stage.scarce.relent();
      const failure = `${name}, allocation ${k}${isLasting ? ' and all behind it' : ''}, ${kind ?? 'no outcome'}: ${stage.proxy.isOver ? 'the proxy ended' : error.message}\n${stage.scarce.whence()}\n${stage.proxy.stderr.slice(-1500)}`;
      if (!isFull || stage.proxy.isOver) throw new Error(failure);
      console.log(failure);
      tally.failures++;
    }
  }
}

const spread = (n, samples, shift) => (n <= samples ? Array.from({ length: n }, (_, i) => i) : Array.from({ length: samples }, (_, i) => Math.floor(((i + shift) * n) / samples)));

describe('memory refused', () => {
  it('cell S1: an answer of our own, in a process that has made none before', async () => {
    const tally = { whole: 0, broken: 0 }, heads = {};
    const asked = Array.from({ length: 25 }, (_, i) => `x-header-of-an-application-${i}`).join(', ');
    for (const method of ['OPTIONS', 'GET'])
      for (let k = 0; k >= 0; k++) {
        const scarce = await ScarceProxy.start(`http://127.0.0.1:${sims.http.port}`, { CORS_ORIGINS: '*' });
        const connection = await Connection.open(scarce.proxy.port);
        try {
          scarce.refuse(k);
          await connection.write(request(method, '/health', { headers: { origin: 'https://app.example', 'access-control-request-headers': asked } }));
          const answer = await connection.answer({ ms: OVER_MS_MAX }).catch((error) => assert.match(error.message, /ended|reset|closed/i));
          tally[answer ? 'whole' : 'broken']++;
          if (answer) assert.deepEqual(Object.keys(answer.headers), heads[`${method} ${answer.status}`] ??= Object.keys(answer.headers), `allocation ${k}`);
          if (answer?.status === 200) assert.equal(answer.json.status, 'ok');
          if (scarce.relent().refused === 0) k = -2;
          await until('the log', () => /"message":"request"/.test(scarce.proxy.stderr) || !answer);
          if (!answer) assert.doesNotMatch(scarce.proxy.stderr, /"end":"done"/, `allocation ${k}`);
        } finally {
          connection.close();
          await scarce.stop();
        }
      }
    assert.ok(tally.whole > 2 && tally.broken > 0, JSON.stringify(tally));
  });

  const sides = [
    ['HTTP/1.1', 'http', ['a stream', 'two choices', 'an error of the upstream', 'an error in the stream']],
    ['HTTP/1.1 over TLS', 'http', ['an answer', 'tools, streamed']],
    ['HTTP/2', 'https', ['a stream', 'an answer', 'a schema', 'a large body', 'an error in the stream']],
  ];
  for (const [client, upstream, names] of sides)
    it(`cell S1: ${client} to the client, ${upstream} to the upstream`, { timeout: isFull ? 3_600_000 : 60_000 }, async () => {
      const stage = await Stage.start(client, upstream);
      const tally = { total: 0, refused: 0, answer: 0, error: 0, broken: 0, failures: 0 };
      try {
        let descriptors;
        for (const [i, name] of names.entries()) {
          const body = bodies[name]();
          await stage.settle(body); // what is made once only is made
          const expected = await stage.settle(body);
          stage.relay.cut();
          stage.scarce.count();
          await stage.one(body);
          const n = stage.scarce.relent().seen;
          descriptors ??= stage.descriptors();
          tally.total += n;
          const shift = (i + 0.5) / names.length;
          await walk(stage, name, body, expected, spread(n, isFull ? n : SAMPLES, shift), false, tally);
          await walk(stage, name, body, expected, spread(n, LASTING_SAMPLES, shift), true, tally);
        }
        stage.relay.cut();
        await until('its descriptors are closed', () => stage.descriptors() <= descriptors);
        let gauges; // the last client's connection may be closing still
        await until('nothing is open', async () => Object.values((gauges = await stage.gauges())).every((n) => n === 0)).catch(() => {});
        assert.deepEqual(gauges, { connections: 0, streams: 0, inFlight: 0 });
        assert.equal(tally.failures, 0);
      } finally {
        await stage.stop();
      }
      console.log(`count: memory refused, ${client} <- ${upstream}: ${tally.total} allocations in ${names.length} kinds of request, ${tally.refused} refusals: ${tally.answer} right answers, ${tally.error} errors, ${tally.broken} broken connections`);
    });
});
