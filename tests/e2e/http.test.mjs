// The HTTP/1.1 server: what the field expects of one, and what attackers and bad networks send.
// A stream runs beside every abuse and must come through whole.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, eventData, readStream, request, send, watchStream } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { isSanitized, PROXY_KEY, sleep, startProxy, startSim, until } from './lib/process.mjs';

const MB = 1 << 20;
const BODY_MAX = 32 * MB;

let sim, recorder, proxy;

before(async () => {
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder, {
    HEAD_TIMEOUT: '2', BODY_TIMEOUT: '2', IDLE_TIMEOUT: '3', CORS_ORIGINS: '', WORKERS: '2',
  });
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

const open = () => Connection.open(proxy.port);
const sendHere = (bytes, options) => send(proxy.port, bytes, options);

function checkError(answer, status, { code, param } = {}) {
  assert.equal(answer.status, status);
  assert.equal(answer.headers['content-type'].split(';')[0], 'application/json');
  assert.ok(answer.headers['x-request-id']);
  const { error } = answer.json;
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
  assert.ok(error.message.length > 0);
  if (code !== undefined) assert.equal(error.code, code);
  if (param !== undefined) assert.equal(error.param, param);
  return error;
}

const NEIGHBOUR_TEXT = 'The neighbour goes on undisturbed. '.repeat(30);
const NEIGHBOUR_ORDER = `[[sim: text=${JSON.stringify(NEIGHBOUR_TEXT)} piece=7 gap=4ms]]`;

describe('abuse', () => {
  let isOver = false;
  let neighbours;
  const streams = { whole: 0 };

  // One stream after the other, each compared from its first to its last byte.
  async function keepStreaming() {
    while (!isOver) {
      await (await watchStream(proxy.port, NEIGHBOUR_ORDER, NEIGHBOUR_TEXT)).check();
      streams.whole++;
    }
  }
  before(() => {
    neighbours = keepStreaming();
    neighbours.catch(() => {}); // `after` reports it
  });
  after(async () => {
    isOver = true;
    await neighbours;
    assert.ok(streams.whole > 2, `${streams.whole} streams ran beside it all`);
  });

  it('cell C34: a body of 32 MB + 1 byte is a 413', async () => {
    const connection = await open();
    await connection.write(request('POST', '/v1/chat/completions', {
      headers: { 'content-type': 'application/json', 'content-length': BODY_MAX + 1 },
    }));
    checkError(await connection.answer(), 413);
    // Whoever sends it all the same gets the answer too, not a reset before it was read.
    const stubborn = await open();
    stubborn.write(chat(Buffer.alloc(BODY_MAX + 1, 0x20)));
    checkError(await stubborn.answer(), 413);
    connection.close();
    stubborn.close();
  });

  it('cell C34: a chunked body of 32 MB + 1 byte is a 413', async () => {
    const connection = await open();
    connection.write(request('POST', '/v1/chat/completions', {
      headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
    }));
    const piece = Buffer.concat([Buffer.from(`${MB.toString(16)}\r\n`), Buffer.alloc(MB, 0x20), Buffer.from('\r\n')]);
    for (let i = 0; i < 32; i++) connection.write(piece);
    connection.write('1\r\n \r\n0\r\n\r\n');
    checkError(await connection.answer(), 413);
    connection.close();
  });

  it('cell C34: a body just below the limit is read', async () => {
    const text = `x${' '.repeat(24 * MB)}x`; // blanks: few tokens
    const answer = await sendHere(chat(ask([{ type: 'text', text }, { type: 'text', text: '[[sim: text="read it" input=1]]' }])), { ms: 60_000 });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.choices[0].message.content, 'read it');
    assert.equal(recorder.find('read it').body.messages[0].content[0].text.length, text.length);
  });

  it('cell C32: a head of 40 KB is a 431 and the connection closes', async () => {
    const connection = await open();
    connection.write(request('GET', '/health', { headers: { 'x-long': 'a'.repeat(40 * 1024) } }));
    const answer = await connection.answer();
    assert.ok([431, 400].includes(answer.status), String(answer.status));
    checkError(answer, answer.status);
    await connection.closed();
    const target = await sendHere(request('GET', `/${'a'.repeat(40 * 1024)}`));
    assert.ok([414, 431, 400].includes(target.status), String(target.status));
  });

  it('cell C32: more than 100 headers are refused', async () => {
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-header-${i}`, 'v']));
    const answer = await sendHere(request('GET', '/health', { headers: many }));
    assert.ok([431, 400].includes(answer.status), String(answer.status));
    const fine = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`x-header-${i}`, 'v']));
    assert.equal((await sendHere(request('GET', '/health', { headers: fine }))).status, 200);
  });

  for (const [name, headers] of [
    ['two Content-Lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['Content-Length and Transfer-Encoding', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
    ['a negative Content-Length', 'Content-Length: -5\r\n'],
    ['a Content-Length beyond 64 bits', 'Content-Length: 99999999999999999999999\r\n'],
    ['an unknown transfer coding', 'Transfer-Encoding: rot13\r\n'],
    ['chunked not last', 'Transfer-Encoding: chunked, gzip\r\n'],
    ['a blank before the colon', 'Content-Length : 5\r\n'],
    ['a folded header', 'X-A: b\r\n c\r\nContent-Length: 5\r\n'],
    ['a NUL in a header', 'X-A: b\0c\r\nContent-Length: 5\r\n'],
  ])
    it(`cell C29: framing that is refused, ${name}: 400 and close`, async () => {
      const connection = await open();
      await connection.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PROXY_KEY}\r\n${headers}\r\nhello`);
      const answer = await connection.answer();
      assert.ok([400, 411, 413, 501].includes(answer.status), String(answer.status));
      checkError(answer, answer.status);
      await connection.closed();
    });

  for (const [name, bytes] of [
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.repeat(20)],
    ['an unknown method', 'BREW /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['an unknown version', 'GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n'],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a bad chunk size', `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PROXY_KEY}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`],
  ])
    it(`cell C27: what is no HTTP/1.1, ${name}: an error or the end, and never a hang`, async () => {
      const connection = await open();
      await connection.write(Buffer.from(bytes, 'latin1'));
      await connection.closed(8000);
      const text = connection.data.toString('latin1');
      assert.ok(text === '' || /^HTTP\/1\.[01] (400|405|408|501|505) /.test(text), text.slice(0, 200));
    });

  it('cell C15: a body that stops coming ends at the body timeout', async () => {
    const connection = await open();
    connection.write(request('POST', '/v1/chat/completions', { headers: { 'content-type': 'application/json', 'content-length': 100 } }));
    connection.write('{"model"');
    const started = performance.now();
    await connection.closed(8000);
    const ms = performance.now() - started;
    assert.ok(ms > 1500 && ms < 6000, `${ms} ms`);
    assert.match(connection.data.toString('latin1'), /^(HTTP\/1\.1 408 .*)?$/s);
  });

  for (const [name, open_, close] of [['arrays', '[', ']'], ['objects', '{"a":', '}'], ['unclosed arrays', '[', '']])
    it(`cell C35: 2 million nested ${name} are a 400, fast`, async () => {
      const depth = 2_000_000;
      const body = Buffer.from(`{"model":"m","messages":${open_.repeat(depth)}1${close.repeat(depth)}}`);
      const started = performance.now();
      checkError(await sendHere(chat(body)), 400);
      const ms = performance.now() - started;
      assert.ok(ms < (isSanitized ? 5000 : 1000), `${ms} ms`);
    });

  for (const [name, body] of [
    ['invalid UTF-8', Buffer.from([...Buffer.from('{"messages":[{"role":"user","content":"'), 0xff, 0xfe, 0xc0, 0x80, ...Buffer.from('"}]}')])],
    ['an overlong encoding', Buffer.from([...Buffer.from('{"messages":[{"role":"user","content":"'), 0xc0, 0xaf, ...Buffer.from('"}]}')])],
    ['a surrogate in UTF-8', Buffer.from([...Buffer.from('{"messages":[{"role":"user","content":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}]}')])],
    ['a lone surrogate escape', '{"messages":[{"role":"user","content":"\\ud800"}]}'],
    ['no JSON', 'hello'],
    ['a cut JSON', '{"messages":[{"role":"user","content":"x"'],
    ['something behind the JSON', '{"messages":[]} x'],
    ['an empty body', ''],
    ['a JSON array', '[]'],
    ['a JSON string', '"x"'],
    ['NaN', '{"temperature":NaN}'],
  ])
    it(`cell C37: what is no JSON, ${name}: 400`, async () => {
      const error = checkError(await sendHere(chat(body)), 400);
      assert.equal(error.type, 'invalid_request_error');
    });

  it('a wrong key is a 401, a missing one too, before the body is looked at', async () => {
    for (const options of [{ key: 'wrong' }, { key: '' }, { key: `${PROXY_KEY}x` }, { key: PROXY_KEY.slice(0, -1) }, { key: '', headers: { authorization: `Basic ${PROXY_KEY}` } }]) {
      const error = checkError(await sendHere(chat(ask('Hi'), options)), 401, { code: 'invalid_api_key' });
      assert.doesNotMatch(error.message, new RegExp(PROXY_KEY));
    }
    assert.equal((await sendHere(request('GET', '/v1/models', { key: '', headers: { 'x-api-key': PROXY_KEY } }))).status, 200);
    assert.equal((await sendHere(request('GET', '/v1/models', { key: '', headers: { authorization: `bearer ${PROXY_KEY}` } }))).status, 200);
    assert.equal((await sendHere(request('GET', '/v1/models', { key: 'wrong', headers: { 'x-api-key': PROXY_KEY } }))).status, 401);
  });

  it('an unknown route is a 404, a wrong method a 405', async () => {
    for (const target of ['/', '/v1', '/v1/chat', '/v1/chat/completions/x', '/v2/models', '/%00', '/v1/../health', '//health', '/health/x'])
      checkError(await sendHere(request('GET', target)), 404, { code: 'unknown_url' });
    for (const [method, target, allow] of [['GET', '/v1/chat/completions', 'POST'], ['POST', '/v1/models', 'GET'], ['DELETE', '/v1/models/x', 'GET'], ['PUT', '/health', 'GET']]) {
      const answer = await sendHere(request(method, target));
      checkError(answer, 405, { code: 'method_not_allowed' });
      assert.ok(answer.headers.allow.split(/,\s*/).includes(allow), answer.headers.allow);
    }
    assert.equal((await sendHere(request('GET', '/health?x=1'))).status, 200);
  });

  it('cell C30: header injection: the names of unknown fields do not reach the headers raw', async () => {
    const answer = await sendHere(chat({ ...ask('[[sim: text=x]]'), 'a\r\nx-injected: y': 1, plain_unknown: 2 }));
    assert.equal(answer.status, 200);
    assert.equal('x-injected' in answer.headers, false);
    assert.match(answer.headers['x-ignored-params'], /plain_unknown/);
    assert.doesNotMatch(answer.headers['x-ignored-params'], /injected: /);
  });

  it('cell C30: a thousand unknown fields keep the head small', async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`field_${i}_${'x'.repeat(100)}`, i]));
    const answer = await sendHere(chat({ ...ask('[[sim: text=x]]'), ...many }));
    assert.equal(answer.status, 200);
    assert.ok(answer.headers['x-ignored-params'].length < 4096);
  });
});

describe('HTTP as clients speak it', () => {
  it('keep-alive: many requests on one connection', async () => {
    const connection = await open();
    for (let i = 0; i < 20; i++) {
      await connection.write(i % 2 ? request('GET', '/health') : chat(ask(`[[sim: text="answer ${i}"]]`, { stream: i % 4 === 0 })));
      const answer = await connection.answer();
      assert.equal(answer.status, 200);
      if (i % 4 === 0) assert.equal(readStream(answer.text).content, `answer ${i}`);
      else if (i % 2 === 0) assert.equal(answer.json.choices[0].message.content, `answer ${i}`);
    }
    connection.close();
  });

  it('Connection: close is heeded', async () => {
    const connection = await open();
    await connection.write(request('GET', '/health', { headers: { connection: 'close' } }));
    assert.equal((await connection.answer()).headers.connection, 'close');
    await connection.closed(2000);
  });

  it('errors that leave the framing intact keep the connection', async () => {
    const connection = await open();
    for (const [bytes, status] of [[chat('{}'), 400], [request('GET', '/nowhere'), 404], [chat(ask('x'), { key: 'wrong' }), 401], [request('GET', '/health'), 200]]) {
      await connection.write(bytes);
      assert.equal((await connection.answer()).status, status);
    }
    connection.close();
  });

  it('pipelining: three requests in one write, three answers in order', async () => {
    const connection = await open();
    await connection.write(Buffer.concat([
      chat(ask('[[sim: text="the first" first=150ms]]')),
      chat(ask('[[sim: text="the second"]]', { stream: true })),
      request('GET', '/health'),
    ]));
    assert.equal((await connection.answer()).json.choices[0].message.content, 'the first');
    assert.equal(readStream((await connection.answer()).text).content, 'the second');
    assert.equal((await connection.answer()).json.status, 'ok');
    connection.close();
  });

  it('a request cut at every byte', async () => {
    const bytes = chat(ask('[[sim: text="whole"]]'));
    const connection = await open();
    for (let i = 0; i < bytes.length; i++) await connection.write(bytes.subarray(i, i + 1));
    assert.equal((await connection.answer()).json.choices[0].message.content, 'whole');
    connection.close();
  });

  it('cell C39: Expect: 100-continue', async () => {
    const bytes = chat(ask('[[sim: text="went on"]]'), { headers: { expect: '100-continue' } });
    const at = bytes.indexOf('\r\n\r\n') + 4;
    const connection = await open();
    await connection.write(bytes.subarray(0, at));
    assert.equal((await connection.answer({ ms: 2000 })).status, 100);
    await connection.write(bytes.subarray(at));
    assert.equal((await connection.answer()).json.choices[0].message.content, 'went on');
    connection.close();
  });

  it('cell C39: Expect: 100-continue with a body that is too large is refused before it is sent', async () => {
    const connection = await open();
    await connection.write(request('POST', '/v1/chat/completions', { headers: { expect: '100-continue', 'content-type': 'application/json', 'content-length': BODY_MAX + 1 } }));
    checkError(await connection.answer(), 413);
    connection.close();
  });

  it('cell C40: HEAD: the head of GET without its body', async () => {
    const connection = await open();
    await connection.write(Buffer.concat([request('HEAD', '/health'), request('GET', '/health')]));
    const head = await connection.answer({ isHead: true });
    const get = await connection.answer();
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], get.headers['content-length']);
    assert.equal(get.json.status, 'ok');
    connection.close();
  });

  it('cell C33: HTTP/1.0: no chunks, and the connection closes', async () => {
    for (const stream of [false, true]) {
      const connection = await open();
      await connection.write(chat(ask('[[sim: text="old client"]]', { stream }), { version: '1.0' }));
      const answer = await connection.answer();
      assert.equal(answer.status, 200);
      assert.equal('transfer-encoding' in answer.headers, false);
      assert.equal(stream ? readStream(answer.text).content : answer.json.choices[0].message.content, 'old client');
      await connection.closed(2000);
    }
  });

  it('cell C27: an offer to go on as HTTP/2 or WebSocket is not taken', async () => {
    const offers = [
      { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA' },
      { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    ];
    for (const headers of offers) {
      const connection = await open();
      await connection.write(chat(ask('[[sim: text="still HTTP/1.1"]]'), { headers }));
      assert.equal((await connection.answer()).json.choices[0].message.content, 'still HTTP/1.1');
      await connection.write(request('GET', '/health', { headers }));
      assert.equal((await connection.answer()).status, 200);
      connection.close();
    }
  });

  it('cell C33: the target in absolute form, percent-encoded, with a query', async () => {
    assert.equal((await sendHere(request('GET', 'http://localhost/health'))).status, 200);
    assert.equal((await sendHere(request('GET', '/v1/models/claude%2Dhaiku-5-5?x=y'))).json.id, 'claude-haiku-5-5');
  });

  it('no Host, two Hosts: 400', async () => {
    for (const host of ['', 'Host: a\r\nHost: b\r\n'])
      assert.equal((await sendHere(Buffer.from(`GET /health HTTP/1.1\r\n${host}\r\n`))).status, 400);
  });

  it('cell C31: a chunked request, with extensions and trailers', async () => {
    const body = Buffer.from(JSON.stringify(ask('[[sim: text="from chunks"]]')));
    const pieces = [body.subarray(0, 1), body.subarray(1, 30), body.subarray(30)];
    const chunks = pieces.map((piece) => `${piece.length.toString(16)};ext=1\r\n${piece}\r\n`).join('');
    const connection = await open();
    await connection.write(request('POST', '/v1/chat/completions', { headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' } }));
    await connection.write(`${chunks}0\r\nX-Trailer: y\r\n\r\n`);
    assert.equal((await connection.answer()).json.choices[0].message.content, 'from chunks');
    await connection.write(request('GET', '/health'));
    assert.equal((await connection.answer()).status, 200);
    connection.close();
  });

  it('the head of a stream: SSE, no caching, and not before there is something to say', async () => {
    const connection = await open();
    await connection.write(chat(ask('[[sim: text="late" first=400ms]]', { stream: true })));
    await sleep(200);
    assert.equal(connection.data.length, 0);
    const answer = await connection.answer();
    assert.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.match(answer.headers['cache-control'], /no-cache/);
    assert.equal(answer.headers['transfer-encoding'], 'chunked');
    assert.match(answer.headers['x-request-id'], /^req_/);
    assert.ok(answer.headers['openai-version']);
    assert.equal(eventData(answer.text).at(-1), '[DONE]');
    connection.close();
  });

  it('each delta is flushed as it comes', async () => {
    const connection = await open();
    await connection.write(chat(ask('[[sim: text="abcdefgh" piece=1 gap=100ms]]', { stream: true })));
    const times = [];
    let seen = 0;
    await connection.wait('[DONE]', (c) => {
      const n = c.data.toString('utf8').split('"content":"').length - 1;
      for (; seen < n; seen++) times.push(performance.now());
      return c.data.includes('[DONE]');
    });
    const gaps = times.slice(2).map((time, i) => time - times[i + 1]);
    assert.ok(gaps.filter((gap) => gap > 50).length >= 4, `gaps ${gaps.map(Math.round)}`);
    connection.close();
  });

  it('an idle connection is closed after IDLE_TIMEOUT, a fresh one too', async () => {
    const connection = await open();
    await connection.write(request('GET', '/health'));
    await connection.answer();
    const started = performance.now();
    await connection.closed(8000);
    const ms = performance.now() - started;
    assert.ok(ms > 2000 && ms < 6000, `${ms} ms`);
    const silent = await open();
    await silent.closed(8000);
  });
});

describe('requests sent ahead', () => {
  const waiting = '[[sim: first=30s text=x]]';

  it('cell C22: a megabyte pipelined while busy: the client is dropped, memory stays', async () => {
    const tag = `flood-${Date.now()}`;
    const connection = await open();
    await connection.write(chat(ask(`${tag} ${waiting}`)));
    await until('the upstream has the request', () => recorder.find(tag));
    const before = proxy.residentBytes();
    connection.socket.write(Buffer.alloc(4 * MB, 'x'));
    await connection.closed(3000);
    await until('the upstream is cancelled', () => recorder.find(tag).abortedAtMs, 1000);
    assert.ok(proxy.residentBytes() - before < 8 * MB);
  });

  it('cell C21: requests sent ahead by a client that never reads: answers do not pile up', async () => {
    const before = proxy.residentBytes();
    const connection = await open();
    connection.socket.pause();
    const some = Buffer.concat(Array(150).fill(request('GET', '/health')));
    // Each piece is below what may be sent ahead; in time the answers fill every socket buffer.
    for (let i = 0; i < 600 && !connection.isEnded; i++) {
      connection.socket.write(some);
      await sleep(5);
    }
    assert.ok(connection.isEnded, 'the client was not dropped');
    if (!isSanitized) assert.ok(proxy.residentBytes() - before < 8 * MB);
    assert.equal((await sendHere(request('GET', '/health'))).status, 200);
  });

  it('cell C21: requests sent ahead are all answered to a client that reads late', async () => {
    const connection = await open();
    connection.socket.pause();
    const { id } = (await sendHere(request('GET', '/v1/models'))).json.data[0];
    const count = 400; // within the 64 KB that are kept of what is sent ahead
    for (let i = 0; i < count; i += 100) {
      connection.socket.write(Buffer.concat(Array(100).fill(request('GET', `/v1/models/${id}`))));
      await sleep(5);
    }
    await sleep(200);
    connection.socket.resume();
    for (let i = 0; i < count; i++) assert.equal((await connection.answer()).status, 200);
    connection.close();
  });

  it('one pipelined byte while busy harms nobody', async () => {
    const connection = await open();
    await connection.write(chat(ask('[[sim: text="first" first=200ms]]')));
    await connection.write('G');
    assert.equal((await connection.answer()).json.choices[0].message.content, 'first');
    await connection.write(request('GET', '/health').subarray(1));
    assert.equal((await connection.answer()).status, 200);
    connection.close();
  });
});

describe('clients that stop reading', () => {
  it('cell C19: the upstream pauses, memory stays bounded, others go on', { timeout: 60_000 }, async (t) => {
    const own = await startProxy(recorder);
    t.after(() => own.stop());
    await send(own.port, chat(ask('[[sim: text=warm]]', { stream: true })));
    // Far more than the sockets' buffers on the way swallow: the rest would grow the proxy.
    const order = '[[sim: words=1000000 piece=20]]';
    const count = 8;
    const before = own.residentBytes();
    const stopped = [];
    for (let i = 0; i < count; i++) {
      const connection = await Connection.open(own.port);
      connection.socket.pause();
      connection.write(chat(ask(`stopped-${i} ${order}`, { stream: true })));
      stopped.push(connection);
    }
    await until('all are under way', () => recorder.find(`stopped-${count - 1}`));
    let peak = 0;
    for (let i = 0; i < 15; i++) {
      await sleep(100);
      peak = Math.max(peak, own.residentBytes());
    }
    const neighbour = await watchStream(own.port, NEIGHBOUR_ORDER, NEIGHBOUR_TEXT);
    await neighbour.check();
    const grown = peak - before;
    for (let i = 0; i < count; i++) assert.equal(recorder.find(`stopped-${i} `).finishedAtMs, undefined, 'the answer was too small to be held back');
    t.diagnostic(`${count} readers stopped: the proxy grew by ${(grown / 1024).toFixed(0)} KB`);
    if (!isSanitized) assert.ok(grown < count * 2 * MB, `${grown} bytes`);
    // One reads on and gets everything.
    const [reader] = stopped;
    reader.socket.resume();
    const answer = await reader.answer({ ms: 50_000 });
    const stream = readStream(answer.text);
    assert.equal(stream.error, null);
    assert.ok(stream.content.length > 4_000_000, String(stream.content.length));
    for (const connection of stopped) connection.reset();
  });
});
