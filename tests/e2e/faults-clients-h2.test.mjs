// Clients that fail, over HTTP/2: frames written by hand that break the rules, waste our time, ask
// for too much or stop. Each costs its own stream or its own connection; a stream of another client
// runs beside it and comes whole; nothing is kept. Promised outcomes: docs/faults.md.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { CODE, Client, FLAG, GET, POST, PREFACE, TYPE, block, chatFrames, data, frame, headers, literal, ping, rst, settings, u32, windowUpdate } from './lib/h2-frames.mjs';
import { ask, chat, readStream, send, watchStream } from './lib/http.mjs';
import { METRICS_KEY, descriptors, scrape, settled } from './lib/ledger.mjs';
import { Recorder } from './lib/recorder.mjs';
import { isSanitized, noise, sleep, startProxy, startSim, until, workers } from './lib/process.mjs';

const CANCEL_MS_MAX = 50;
// Sanitizers slow both sides down; a good client must not be late.
const LIMIT_S = isSanitized ? '3' : '1';
const MB = 1 << 20;

let authority, sim, recorder, proxy, most;
const options = () => ({ secure: { ca: authority.certPem } });

before(async () => {
  authority = makeAuthority();
  const certificate = issue(authority);
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder, {
    TLS_CERT: certificate.cert, TLS_KEY: certificate.key, METRICS_KEY, WORKERS: workers, MAX_CONCURRENT_REQUESTS: '5000',
    HEAD_TIMEOUT: LIMIT_S, BODY_TIMEOUT: LIMIT_S, IDLE_TIMEOUT: '2', STALL_TIMEOUT: '2', MAX_BODY_BYTES: '8000000',
  });
  for (let i = 0; i < 8; i++) assert.equal((await send(proxy.port, chat(ask('[[sim: text=x]]')), options())).status, 200);
  most = descriptors(proxy) + 4; // idle connections to the upstream
});
after(async () => {
  try {
    await proxy?.stop(); // cleanly, and without a sanitizer's report
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

const NEIGHBOUR_TEXT = 'The neighbour goes on undisturbed. '.repeat(5);
const NEIGHBOUR = `[[sim: text=${JSON.stringify(NEIGHBOUR_TEXT)} piece=7 gap=4ms]]`;
const count = (name, n) => console.log(`count: ${name.replace(/^cell |:.*/g, '')}: ${n} cases`);
let nTags = 0;
const newTag = (word) => `${word}-${++nTags}-`;

/** A cell: beside it a stream of another client, behind it a good answer and nothing kept. */
function cell(name, run) {
  it(name, async (t) => {
    const neighbour = await watchStream(proxy.port, NEIGHBOUR, NEIGHBOUR_TEXT, options());
    const n = await run(t);
    await neighbour.check();
    await withClient(async (client) => {
      client.write(chatFrames(1, ask('[[sim: text="still well"]]', { stream: true })));
      assert.equal(readStream((await client.answer(1)).text).content, 'still well');
    });
    most = Math.max(most, isCrowded ? descriptors(proxy) : 0);
    await settled(proxy, { most, options: options() });
    count(name, n ?? 1);
  });
}
let isCrowded = false;

async function withClient(use, more) {
  const client = await Client.open(proxy.port, authority.certPem, more);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Sends pieces until the connection ends or they do. */
async function flood(client, n, make) {
  for (let i = 0; i < n && client.write(make(i)); i++) if (!(await client.drained())) break;
}

describe('rules of HTTP/2', () => {
  const ONE = headers(1, GET);
  const OPEN = headers(1, POST, FLAG.END_HEADERS);
  const empty = Buffer.alloc(0);
  /** [what, frames, the code of the GOAWAY]: costs the connection. */
  const fatal = [
    ['DATA on stream 0', data(0, 'x'), CODE.PROTOCOL_ERROR],
    ['DATA on an idle stream', data(1, 'x'), CODE.PROTOCOL_ERROR],
    ['HEADERS on stream 0', headers(0, GET), CODE.PROTOCOL_ERROR],
    ['HEADERS on an even stream', headers(2, GET), CODE.PROTOCOL_ERROR],
    ['HEADERS that HPACK cannot read', headers(1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])), CODE.COMPRESSION_ERROR],
    ['HEADERS with an index beyond the table', headers(1, Buffer.from([0xc0])), CODE.COMPRESSION_ERROR],
    ['HEADERS cut in a literal', headers(1, block(GET).subarray(0, -1)), CODE.COMPRESSION_ERROR],
    ['HEADERS with padding longer than themselves', frame(TYPE.HEADERS, FLAG.PADDED | 5, 1, Buffer.from([200, 0x82])), CODE.PROTOCOL_ERROR],
    ['DATA with padding longer than itself', Buffer.concat([OPEN, frame(TYPE.DATA, FLAG.PADDED, 1, Buffer.from([9, 1]))]), CODE.PROTOCOL_ERROR],
    ['another frame within a head', Buffer.concat([headers(1, GET, 0), ping()]), CODE.PROTOCOL_ERROR],
    ['CONTINUATION of another stream', Buffer.concat([headers(1, GET, 0), frame(TYPE.CONTINUATION, 4, 3, empty)]), CODE.PROTOCOL_ERROR],
    ['CONTINUATION of nothing', frame(TYPE.CONTINUATION, 4, 1, block(GET)), CODE.PROTOCOL_ERROR],
    ['RST_STREAM of an idle stream', rst(1), CODE.PROTOCOL_ERROR],
    ['RST_STREAM of stream 0', rst(0), CODE.PROTOCOL_ERROR],
    ['RST_STREAM of three bytes', Buffer.concat([OPEN, frame(TYPE.RST_STREAM, 0, 1, Buffer.alloc(3))]), CODE.FRAME_SIZE_ERROR],
    ['SETTINGS on a stream', frame(TYPE.SETTINGS, 0, 1), CODE.PROTOCOL_ERROR],
    ['SETTINGS of seven bytes', frame(TYPE.SETTINGS, 0, 0, Buffer.alloc(7)), CODE.FRAME_SIZE_ERROR],
    ['SETTINGS with a window of 2 GB', settings({ INITIAL_WINDOW_SIZE: 2 ** 31 }), CODE.FLOW_CONTROL_ERROR],
    ['SETTINGS with a frame size of 1', settings({ MAX_FRAME_SIZE: 1 }), CODE.PROTOCOL_ERROR],
    ['SETTINGS with ENABLE_PUSH 2', settings({ ENABLE_PUSH: 2 }), CODE.PROTOCOL_ERROR],
    ['PING on a stream', frame(TYPE.PING, 0, 1, Buffer.alloc(8)), CODE.PROTOCOL_ERROR],
    ['PING of seven bytes', frame(TYPE.PING, 0, 0, Buffer.alloc(7)), CODE.FRAME_SIZE_ERROR],
    ['GOAWAY on a stream', frame(TYPE.GOAWAY, 0, 1, Buffer.alloc(8)), CODE.PROTOCOL_ERROR],
    ['WINDOW_UPDATE of nothing', windowUpdate(0, 0), CODE.PROTOCOL_ERROR],
    ['WINDOW_UPDATE of three bytes', frame(TYPE.WINDOW_UPDATE, 0, 0, Buffer.alloc(3)), CODE.FRAME_SIZE_ERROR],
    ['WINDOW_UPDATE of an idle stream', windowUpdate(1, 1), CODE.PROTOCOL_ERROR],
    ['PUSH_PROMISE by a client', Buffer.concat([ONE, frame(TYPE.PUSH_PROMISE, 4, 1, Buffer.concat([u32(2), block(GET)]))]), CODE.PROTOCOL_ERROR],
    ['a frame of 16 MB', frame(TYPE.DATA, 0, 1, empty, 0xffffff), CODE.FRAME_SIZE_ERROR],
    ['HTTP/1.1 behind the preface', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'), CODE.FRAME_SIZE_ERROR],
  ];
  cell('cell C43: frames that break the rules of a connection', async () => {
    await Promise.all(fatal.map(([what, bytes, code]) => withClient(async (client) => {
      client.write(bytes);
      await client.closed().catch((error) => assert.fail(`${what}: ${error.message}`));
      assert.equal(client.goaway(), code, what);
    })));
    return fatal.length;
  });

  cell('cell C42: frames that mean nothing are passed over', () => withClient(async (client) => {
    await client.isWell(5);
    const nothing = [
      headers(3, GET), headers(5, GET), rst(5), windowUpdate(5, 1), data(5, 'late', 0), // of streams that are over
      frame(0x42, 0, 0, Buffer.alloc(100)), frame(0x42, 0xff, 7, Buffer.alloc(100)), // of a type that nobody knows
      frame(TYPE.SETTINGS, 0, 0, Buffer.from([0x7f, 0x7f, 0, 0, 0, 1])), frame(TYPE.SETTINGS, FLAG.ACK, 0), frame(TYPE.PING, FLAG.ACK, 0, Buffer.alloc(8)),
      frame(TYPE.PRIORITY, 0, 9, Buffer.concat([u32(0), Buffer.from([1])])),
    ];
    for (const [i, bytes] of nothing.entries()) {
      client.write(bytes);
      await client.isWell(11 + 2 * i);
    }
    return nothing.length;
  }));

  cell('cell C44: no HTTP/2 where ALPN promised it', async () => {
    const said = [Buffer.from('GET /health HTTP/1.1\r\nhost: a\r\n\r\n'), Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), Buffer.alloc(5000, 0x41), Buffer.concat([PREFACE, ping()])];
    await Promise.all(said.map((preface) => withClient(async (client) => {
      await client.closed();
      assert.equal(client.goaway(), CODE.PROTOCOL_ERROR);
    }, { preface })));
    return said.length;
  });

  const without = (name) => GET.filter(([one]) => one !== name);
  /** [what, frames of stream 1, the codes of its RST_STREAM]: costs the stream alone. */
  const broken = [
    ['no :method', headers(1, without(':method'))],
    ['no :path', headers(1, without(':path'))],
    ['no :scheme', headers(1, without(':scheme'))],
    ['an empty :path', headers(1, [...without(':path'), [':path', '']])],
    ['two :paths', headers(1, [...GET, [':path', '/x']])],
    ['an unknown pseudo-header', headers(1, [...GET, [':status', '200']])],
    [':protocol without CONNECT', headers(1, [...GET, [':protocol', 'websocket']])],
    ['a pseudo-header behind a header', headers(1, [...without(':path'), ['a', 'b'], [':path', '/health']])],
    ['a header in capitals', headers(1, [...GET, ['X-Upper', 'y']])],
    ['a header with a blank', headers(1, [...GET, ['x y', 'z']])],
    ['a value with a NUL', headers(1, [...GET, ['x', 'a\0b']])],
    ['a value with a line end', headers(1, [...GET, ['x', 'a\r\nx-b: c']])],
    ['connection', headers(1, [...GET, ['connection', 'keep-alive']])],
    ['keep-alive', headers(1, [...GET, ['keep-alive', '1']])],
    ['transfer-encoding', headers(1, [...POST, ['transfer-encoding', 'chunked']], FLAG.END_HEADERS)],
    ['upgrade', headers(1, [...GET, ['upgrade', 'h2c']])],
    ['te other than trailers', headers(1, [...GET, ['te', 'gzip']])],
    ['two content-lengths', headers(1, [...POST, ['content-length', '3'], ['content-length', '4']], FLAG.END_HEADERS)],
    ['a content-length that is no number', headers(1, [...POST, ['content-length', '3x']], FLAG.END_HEADERS)],
    ['trailers with a pseudo-header', Buffer.concat([headers(1, POST, FLAG.END_HEADERS), headers(1, [[':path', '/']])])],
    ['DATA beyond content-length', Buffer.concat([headers(1, [...POST, ['content-length', '3']], FLAG.END_HEADERS), data(1, '{"a":1}')])],
    ['DATA short of content-length', Buffer.concat([headers(1, [...POST, ['content-length', '30']], FLAG.END_HEADERS), data(1, '{}')])],
    ['WINDOW_UPDATE of nothing', Buffer.concat([headers(1, POST, FLAG.END_HEADERS), windowUpdate(1, 0)])],
    ['WINDOW_UPDATE beyond 2 GB', Buffer.concat([headers(1, POST, FLAG.END_HEADERS), windowUpdate(1, 2 ** 31 - 1)]), CODE.FLOW_CONTROL_ERROR],
  ];
  cell('cell C45: requests that break the rules of a message', async () => {
    const nBefore = recorder.messages.length;
    await Promise.all(broken.map(([what, bytes, code = CODE.PROTOCOL_ERROR]) => withClient(async (client) => {
      client.write(bytes);
      const answer = await client.answer(1).catch((error) => assert.fail(`${what}: ${error.message}`));
      // A window of no width is an error of the connection to some, of the stream to others.
      if (client.goaway() === undefined) {
        assert.equal(answer.code, code, what);
        await client.isWell(3);
      } else assert.equal(client.goaway(), code, what);
    })));
    assert.equal(recorder.messages.length, nBefore);
    return broken.length;
  });

  cell('cell C46: a window of the connection beyond 2 GB', () => withClient(async (client) => {
    client.write(Buffer.concat([windowUpdate(0, 2 ** 31 - 1), windowUpdate(0, 2 ** 31 - 1)]));
    await client.closed();
    assert.equal(client.goaway(), CODE.FLOW_CONTROL_ERROR);
  }));

  cell('cell C47: more of a body than the window admits', () => withClient(async (client) => {
    client.write(headers(1, POST, FLAG.END_HEADERS));
    const piece = Buffer.alloc(16384, 0x20);
    // All in one write: the proxy has no chance to open the window again.
    client.write(Buffer.concat(Array.from({ length: 1200 }, () => data(1, piece, 0))));
    await until('an answer or the end', () => client.isOver || client.isDone(1), 5000);
    assert.ok(client.goaway() === CODE.FLOW_CONTROL_ERROR || client.resetCode(1) === CODE.FLOW_CONTROL_ERROR || client.status(1) === 413, `GOAWAY ${client.goaway()}, RST ${client.resetCode(1)}, ${client.status(1)}`);
  }));

  cell('cell C73: frames at random', async () => {
    const n = isSanitized ? 60 : 200;
    for (let k = 0; k < n; k += 20)
      await Promise.all(Array.from({ length: 20 }, (_, i) => withClient(async (client) => {
        const dice = noise(k + i + 1, 6000);
        if (i % 2) client.write(Buffer.concat([headers(1, POST, FLAG.END_HEADERS), headers(3, GET)]));
        for (let at = 0; at < 5000 && client.write(frame(dice[at] % 12, dice[at + 1], dice[at + 2] % 8, dice.subarray(at + 3, at + 3 + (dice[at + 3] % 64)))); at += 70);
        client.socket.end();
        await client.closed();
      })));
    return n;
  });

  cell('cell C48: more streams than there may be', () => withClient(async (client) => {
    const ids = Array.from({ length: 150 }, (_, i) => 1 + 2 * i);
    client.write(Buffer.concat(ids.map((id) => chatFrames(id, ask('[[sim: text="in time" first=300ms]]')))));
    isCrowded = true; // connections to the upstream are many from now on
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    const refused = answers.filter(({ code }) => code === CODE.REFUSED_STREAM).length;
    const answered = answers.filter(({ text }) => text.includes('in time')).length;
    assert.deepEqual([answered, refused], [100, 50], JSON.stringify(answers.filter(({ code, text }) => !code && !text.includes('in time'))));
    await client.isWell(1001);
    return ids.length;
  }));
});

describe('floods', () => {
  /** Writes until the proxy has had enough; then it must have said so, and grown little. */
  async function isCalmed(n, make, { code = CODE.ENHANCE_YOUR_CALM, first, check = () => {} } = {}) {
    const before = proxy.residentBytes();
    await withClient(async (client) => {
      if (first) client.write(first);
      await flood(client, n, make);
      await client.closed(6000);
      assert.ok([code].flat().includes(client.goaway()), `GOAWAY ${client.goaway()}`);
      await check(client);
    });
    if (!isSanitized) assert.ok(proxy.residentBytes() - before < 16 * MB, `${proxy.residentBytes() - before} bytes more`);
  }
  const many = (n, make) => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));

  cell('cell C49: a thousand requests that are reset at once', async (t) => {
    const nBefore = recorder.messages.length;
    const tag = newTag('rapid');
    await isCalmed(20, (k) => many(50, (i) => {
      const id = 1 + 2 * (50 * k + i);
      return Buffer.concat([chatFrames(id, ask(`${tag} [[sim: first=5s text=x]]`)), rst(id)]);
    }));
    const n = recorder.messages.length - nBefore;
    t.diagnostic(`${n} of 1000 were seen upstream`);
    assert.ok(n < 500, `${n} went upstream`);
    await until('none goes on', () => recorder.messages.filter((call) => call.raw.includes(tag)).every((call) => call.abortedAtMs));
    return 1000;
  });

  cell('cell C50: requests made for us to reset', async () => {
    const ways = [
      (id) => Buffer.concat([headers(id, POST, FLAG.END_HEADERS), windowUpdate(id, 2 ** 31 - 1)]),
      (id) => Buffer.concat([headers(id, [...POST, ['content-length', '1']], FLAG.END_HEADERS), data(id, 'xyz')]),
      (id) => headers(id, [...GET, ['connection', 'close']]),
      (id) => headers(id, [...GET, ['X', 'y']]),
    ];
    for (const make of ways) await isCalmed(200, (k) => many(50, (i) => make(1 + 2 * (50 * k + i))), { code: [CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR] });
    return ways.length;
  });

  cell('cell C51: streams beyond the limit, one after the other', () => isCalmed(400, (k) => many(50, (i) => headers(1 + 2 * (50 * k + i), POST, FLAG.END_HEADERS))));

  cell('cell C52: an endless head of CONTINUATION frames', async () => {
    const pieces = [literal('x', 'y'.repeat(16000)), literal('x', ''), Buffer.alloc(0)];
    for (const piece of pieces)
      await isCalmed(4000, () => frame(TYPE.CONTINUATION, 0, 1, piece), { first: headers(1, GET, 0), code: [CODE.ENHANCE_YOUR_CALM, CODE.INTERNAL_ERROR, CODE.PROTOCOL_ERROR] });
    return pieces.length;
  });

  for (const [what, one] of [['PING', ping()], ['SETTINGS', settings({ HEADER_TABLE_SIZE: 0 })], ['PRIORITY', frame(TYPE.PRIORITY, 0, 1, Buffer.concat([u32(0), Buffer.from([1])]))]]) {
    const piece = many(500, () => one);
    cell(`cell C53: a flood of ${what} frames`, () => isCalmed(500, () => piece));
    cell(`cell C54: a flood of ${what} frames, nothing read`, async () => {
      const before = proxy.residentBytes();
      await withClient(async (client) => {
        client.socket.pause();
        await flood(client, 300, () => piece);
        if (!isSanitized) assert.ok(proxy.residentBytes() - before < 8 * MB, `${proxy.residentBytes() - before} bytes more`);
      });
    });
  }

  cell('cell C55: a flood of empty DATA frames', async () => {
    const piece = many(500, () => data(1, '', 0));
    await isCalmed(500, () => piece, { first: headers(1, POST, FLAG.END_HEADERS) });
    const padded = many(500, () => frame(TYPE.DATA, FLAG.PADDED, 1, Buffer.from([3, 0, 0, 0])));
    await isCalmed(500, () => padded, { first: headers(1, POST, FLAG.END_HEADERS) });
    return 2;
  });

  cell('cell C56: headers that grow when they are unpacked', async () => {
    const before = proxy.residentBytes();
    const entry = literal('x', 'y'.repeat(3900), 0x40); // goes into the table
    await withClient(async (client) => {
      for (let id = 1; id < 40; id += 2) client.write(headers(id, Buffer.concat([block(GET), entry, Buffer.alloc(8000, 0xbe)])));
      const answers = [];
      for (let id = 1; id < 40 && !client.isOver; id += 2) answers.push(await client.answer(id));
      assert.ok(answers.length > 0);
      for (const { status } of answers) assert.ok(status === 431 || client.isOver, `${status}`);
    });
    if (!isSanitized) assert.ok(proxy.residentBytes() - before < 8 * MB, `${proxy.residentBytes() - before} bytes more`);
    return 20;
  });

  cell('cell C57: more headers than there may be', () => withClient(async (client) => {
    client.write(headers(1, [...GET, ...Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'y'])]));
    assert.equal((await client.answer(1)).status, 431);
    client.write(headers(3, [...GET, ...Array.from({ length: 80 }, (_, i) => [`x-${i}`, 'y'])]));
    assert.equal((await client.answer(3)).status, 200);
    return 2;
  }));
});

describe('slow and silent', () => {
  cell('cell C58: a stream that is never read, beside one that is', () => withClient(async (client) => {
    const tag = newTag('window');
    client.write(chatFrames(1, ask(`${tag} [[sim: words=1000000 piece=20]]`, { stream: true })));
    const call = await until('the upstream has it', () => recorder.find(tag));
    for (let id = 3; id < 43; id += 2) {
      client.write(Buffer.concat([chatFrames(id, ask('[[sim: text="beside it"]]', { stream: true })), windowUpdate(id, 100_000)]));
      assert.equal(readStream((await client.answer(id)).text).content, 'beside it');
      await sleep(50);
    }
    assert.equal(call.finishedAtMs, undefined, 'held back');
    return 20;
  }, { window: 0 }));

  for (const [what, stream] of [['streams', true], ['whole answers', false]])
    cell(`cell C59: windows that are never opened, of ${what}`, async () => {
      const before = proxy.residentBytes();
      await withClient(async (client) => {
        const tag = newTag('closed-window');
        const ids = Array.from({ length: 10 }, (_, i) => 1 + 2 * i);
        client.write(Buffer.concat(ids.map((id) => chatFrames(id, ask(`${tag} [[sim: words=100000 piece=100]]`, { stream })))));
        await until('all are under way', () => recorder.messages.filter((call) => call.raw.includes(tag)).length === ids.length);
        await sleep(500);
        if (!isSanitized) assert.ok(proxy.residentBytes() - before < 40 * MB, `${proxy.residentBytes() - before} bytes more`);
        const answers = await Promise.all(ids.map((id) => client.answer(id, 12_000)));
        for (const { code } of answers) assert.equal(code, CODE.CANCEL);
        await client.isWell(101).catch(() => {}); // its answer has no window either
        assert.equal(client.status(101), 200);
      }, { window: 0 });
      return 10;
    });

  cell('cell C60: a socket that is never read, with windows wide open', () => withClient(async (client) => {
    const tag = newTag('unread');
    const logged = proxy.stderr.length;
    client.socket.pause();
    client.plain.pause();
    client.write(Buffer.concat([1, 3, 5].map((id) => chatFrames(id, ask(`${tag} [[sim: words=1000000 piece=20]]`, { stream: true })))));
    const calls = await until('all are under way', () => {
      const found = recorder.messages.filter((call) => call.raw.includes(tag));
      return found.length === 3 && found;
    });
    await until('the upstream is cancelled', () => calls.every((call) => call.abortedAtMs), 30_000);
    await until('the log says why', () => proxy.stderr.slice(logged).split('"end":"client_stalled"').length === 4);
  }));

  cell('cell C61: a body that stops, one that drips without end', () => withClient(async (client) => {
    client.write(Buffer.concat([headers(1, POST, FLAG.END_HEADERS), data(1, '{"model":', 0)]));
    client.write(headers(3, POST, FLAG.END_HEADERS));
    client.write(headers(5, POST, FLAG.END_HEADERS));
    const dripping = setInterval(() => client.write(Buffer.concat([data(3, ' ', 0), data(5, '', 0)])), 50);
    try {
      const answers = await Promise.all([1, 3, 5].map((id) => client.answer(id, 10_000)));
      for (const { status } of answers) assert.equal(status, 408);
    } finally {
      clearInterval(dripping);
    }
    return 3;
  }));

  cell('cell C62: a preface that never comes, half a frame, half a head, then silence', async () => {
    const said = [Buffer.alloc(0), PREFACE.subarray(0, 10), PREFACE, Buffer.concat([PREFACE, settings({}), headers(1, GET).subarray(0, 20)]), Buffer.concat([PREFACE, settings({}), headers(1, GET, 0)]), Buffer.concat([PREFACE, settings({}), headers(1, GET).subarray(0, 4)])];
    await Promise.all(said.map((preface) => withClient(async (client) => {
      const started = performance.now();
      await client.closed(8000);
      const ms = performance.now() - started;
      assert.ok(ms > 1500 && ms < 7000, `${ms} ms`);
    }, { preface })));
    return said.length;
  });

  cell('cell C63: an idle connection that is kept busy with pings ends all the same', () => withClient(async (client) => {
    const pings = setInterval(() => client.write(ping()), 100);
    await client.closed(8000).finally(() => clearInterval(pings));
    assert.equal(client.goaway(), CODE.NO_ERROR);
  }));
});

describe('leaving', () => {
  const silent = '[[sim: first=30s text=x]]';
  const lull = '[[sim: lull=30s text=x]]';
  const slow = '[[sim: words=100000 gap=5ms]]';
  const ways = [
    ['RST_STREAM', (client) => client.write(rst(1))],
    ['FIN', (client) => client.close()],
    ['half-close', (client) => client.socket.end()],
    ['FIN without close_notify', (client) => client.plain.end()],
    ['RST', (client) => client.plain.resetAndDestroy()],
  ];
  const stages = [
    ['cell C64: streams that are left while the upstream is silent', silent, true, () => true],
    ['cell C65: streams that are left behind their head', lull, true, (client) => client.status(1) === 200],
    ['cell C66: streams that are left in the middle', slow, true, (client) => client.text(1).includes('"content":"')],
    ['cell C67: answers that are left while they are gathered', slow, false, () => true],
  ];
  async function leave(way, order, stream, isThere) {
    const client = await Client.open(proxy.port, authority.certPem);
    const tag = newTag('left');
    client.write(chatFrames(1, ask(tag + order, { stream })));
    const call = await until('the upstream has it', () => recorder.find(tag));
    await until('the stage is reached', () => isThere(client));
    await sleep(20);
    assert.equal(call.abortedAtMs, undefined);
    const at = Date.now();
    way(client);
    await until('the upstream sees it', () => call.abortedAtMs, 3000);
    if (!client.isOver && way === ways[0][1]) await client.isWell(3);
    else await client.closed(3000);
    client.close();
    return call.abortedAtMs - at;
  }
  for (const [name, order, stream, isThere] of stages)
    cell(name, async (t) => {
      const all = [];
      for (const [how, way] of ways) {
        // A machine that is busy is slow at times; a proxy that is late is late each time.
        let ms = Infinity;
        for (let i = 0; i < 4 && ms > CANCEL_MS_MAX; i++) ms = await leave(way, order, stream, isThere);
        assert.ok(ms <= CANCEL_MS_MAX, `${how}: cancelled after ${ms} ms`);
        all.push(ms);
      }
      t.diagnostic(`cancelled after ${all.join(', ')} ms`);
      return all.length;
    });

  cell('cell C68: a request that is left in its head, in its body, before it began', async () => {
    const nBefore = recorder.messages.length;
    const said = [Buffer.alloc(0), headers(1, POST, 0), headers(1, POST, FLAG.END_HEADERS), Buffer.concat([headers(1, POST, FLAG.END_HEADERS), data(1, '{"model":', 0)])];
    for (const [, way] of ways.slice(1))
      for (const bytes of said) {
        const client = await Client.open(proxy.port, authority.certPem);
        client.write(bytes);
        await sleep(10);
        way(client);
        await client.closed(3000);
        client.close();
      }
    await withClient(async (client) => {
      client.write(Buffer.concat([headers(1, POST, FLAG.END_HEADERS), data(1, '{"model":', 0), rst(1)]));
      await client.isWell(3);
    });
    assert.equal(recorder.messages.length, nBefore);
    return (ways.length - 1) * said.length + 1;
  });

  cell('cell C72: streams and sockets that are left at any moment', async () => {
    const n = isSanitized ? 20 : 60;
    const orders = [silent, lull, '[[sim: words=60 gap=1ms]]', '[[sim: text=x]]', '[[sim: words=30000]]', '[[sim: status=529]]', '[[sim: words=50 cut=10]]'];
    await Promise.all(Array.from({ length: n }, async (_, k) => {
      const dice = noise(k + 1, 40);
      const client = await Client.open(proxy.port, authority.certPem, { window: dice[39] % 2 ? 100 : undefined });
      for (let i = 0; i < 10; i++) {
        const id = 1 + 2 * i;
        client.write(chatFrames(id, ask(orders[dice[i] % orders.length], { stream: dice[10 + i] % 2 === 0 })));
        await sleep(dice[20 + i] % 20);
        if (dice[30 + (i % 8)] % 2) client.write(rst(1 + 2 * (dice[i] % (i + 1))));
      }
      ways[1 + (dice[38] % 4)][1](client);
      await client.closed(5000);
      client.close();
    }));
    isCrowded = true;
    return n * 10;
  });

  cell('cell C69: a client that says GOAWAY gets what it asked for, and the end', () => withClient(async (client) => {
    client.write(Buffer.concat([chatFrames(1, ask('[[sim: words=20 gap=10ms]]', { stream: true })), chatFrames(3, ask('[[sim: text="whole" first=100ms]]'))]));
    client.write(frame(TYPE.GOAWAY, 0, 0, Buffer.concat([u32(0), u32(CODE.NO_ERROR)])));
    assert.equal(readStream((await client.answer(1)).text).finish, 'stop');
    assert.equal(JSON.parse((await client.answer(3)).text).choices[0].message.content, 'whole');
    await client.closed(8000);
    return 2;
  }));

  cell('cell C70: ten sockets leave at once with a thousand streams', async (t) => {
    const [n, each] = isSanitized ? [4, 50] : [10, 100];
    const tag = newTag('crowd');
    const clients = await Promise.all(Array.from({ length: n }, () => Client.open(proxy.port, authority.certPem)));
    const ids = Array.from({ length: each }, (_, i) => 1 + 2 * i);
    for (const client of clients) client.write(Buffer.concat(ids.map((id) => chatFrames(id, ask(`${tag} [[sim: words=1000 gap=1s]]`, { stream: true })))));
    await until('all of them began', () => clients.every((client) => ids.every((id) => client.text(id).includes('"content":"'))), 40_000);
    assert.equal((await scrape(proxy.port, options())).sum('claude_proxy_streams_open'), n * each);
    const at = Date.now();
    clients.forEach((client, i) => ways[1 + (i % 4)][1](client));
    const calls = recorder.messages.filter((call) => call.raw.includes(tag));
    assert.equal(calls.length, n * each);
    await until('all upstream streams are cancelled', () => calls.every((call) => call.abortedAtMs), 5000);
    t.diagnostic(`all cancelled after ${Math.max(...calls.map((call) => call.abortedAtMs)) - at} ms`);
    for (const client of clients) client.close();
    return n * each;
  });
});
