// What an upstream may do wrong over HTTP/1.1: the cells U of docs/faults.md.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { Bench, answered, broken, checkAnswer, invalid, refused } from './lib/faults.mjs';
import { GOOD, LAST_CHUNK, STREAM, chunk, events, head, sized, startFaulty, whole } from './lib/faulty.mjs';
import { ask, chat, send } from './lib/http.mjs';
import { isSanitized, sleep, startProxy } from './lib/process.mjs';

let upstreams, bench;
let cells = 0;

before(async () => {
  const authority = makeAuthority();
  upstreams = [await startFaulty(), await startFaulty({ certificate: issue(authority) })];
  upstreams[1].settings = { UPSTREAM_CA_FILE: authority.cert };
  bench = await Bench.start({ plain: upstreams[0], TLS: upstreams[1] });
});
after(async () => {
  try {
    await bench?.stop();
  } finally {
    for (const upstream of upstreams ?? []) await upstream.listener.stop();
  }
});

/** A cell: its cases in all places. */
const cell = (name, cases, options) => it(name, async () => {
  await bench.hold(cases, options);
  cells++;
});
const unreachable = refused(502, 'upstream_unreachable');
// Whether the connection counts as made is a matter of microseconds.
const early = refused(502, /^upstream_(unreachable|disconnected)$/);
const timedOut = (after) => refused(504, 'timeout', { after });
/** Every way to break off or stand still, at the stage that `text` leads to. */
const endings = (text, { at, want = broken(), silent = { ...timedOut(want.after), used: want.used } } = {}) => ['end', 'close', 'reset', 'stall'].map((way) => ({
  name: way, at, want: way === 'stall' ? silent : want,
  play: async (io) => {
    if (text) await io.write(text);
    await io[way]();
  },
}));
/** Bytes, behind which the connection stays open. */
const says = (name, text, want) => ({ name, want, play: (io) => io.write(text) });
/** Bytes, and the end. */
const closes = (name, text, want) => ({ name, want, play: async (io) => (await io.write(text), io.end()) });
const stream = (text) => STREAM + chunk(text) + LAST_CHUNK;
const withEvents = (name, text, want) => says(name, stream(text), want);
/** Content, and when the client has it, what else. */
const goesOn = (name, text, want) => ({ name, want, play: async (io, n, seen) => {
  await io.write(STREAM + chunk(events.begun));
  await seen();
  await io.write(chunk(text) + LAST_CHUNK);
} });
const plays = (name, want, play) => ({ name, want, play });

describe('no connection', () => {
  it('cell U1: it is refused', async () => {
    const gone = await startFaulty();
    await gone.listener.stop();
    const own = await Promise.all(['0', '1'].map((n) => startProxy(gone.url, { RETRIES: n })));
    for (const proxy of own) {
      for (const streamed of [false, true]) checkAnswer(await send(proxy.port, chat(ask('Hi', { stream: streamed }))), streamed, unreachable, 'refused');
      await proxy.stop();
    }
    cells++;
  });

  it('cell U2: it is accepted, and no more', async () => {
    const ways = { end: (plain) => plain.end(), close: (plain) => plain.destroy(), reset: (plain) => plain.resetAndDestroy(), stall: () => {} };
    for (const place of bench.places)
      for (const [name, way] of Object.entries(ways))
        for (const streamed of [false, true]) {
          const { listener } = place.upstream;
          const isPassing = place.retries > 0 && name !== 'stall';
          let n = 0;
          listener.closeAll();
          await sleep(20);
          listener.onAccept = (plain) => (isPassing && n++ > 0 ? listener.serve(plain) : (plain.resume(), way(plain)));
          const answer = await send(place.proxy.port, chat(ask('Hi', { stream: streamed })));
          listener.onAccept = null;
          const failed = place.name.startsWith('TLS') ? unreachable : name === 'stall' ? timedOut() : early;
          checkAnswer(answer, streamed, isPassing ? answered() : failed, `${name}, ${place.name}, ${streamed}`);
          bench.cases++;
        }
    cells++;
  });
});

describe('an answer that breaks off, or stands still', { concurrency: 3 }, () => {
  cell('cell U3: behind the head of the request', endings('', { at: 'head' }));
  cell('cell U4: behind the request', endings(''));
  cell('cell U5: in the status line', endings('HTTP/1.1 20'));
  cell('cell U6: in the head', endings('HTTP/1.1 200 OK\r\ncontent-ty'));
  cell('cell U7: behind the head', endings(STREAM));
  cell('cell U8: in the first event', endings(STREAM + chunk(events.start.slice(0, 40))));
  cell('cell U9: behind message_start', endings(STREAM + chunk(events.start)));
  cell('cell U10: within an event', endings(STREAM + chunk(events.begun + events.delta('two ').slice(0, 50)), { want: broken('one ') }));
  cell('cell U11: between events', endings(STREAM + chunk(events.begun), { want: broken('one ') }));
  cell('cell U12: behind message_delta', endings(STREAM + chunk(events.begun + events.ended), { want: { ...broken('one two three'), used: [7, 9] } }));
  cell('cell U13: behind message_stop', endings(STREAM + chunk(events.all), { want: answered(), silent: answered() }));
  cell('cell U14: in a body of JSON', endings(sized(JSON.stringify(whole)).slice(0, -40)));
  cell('cell U15: in the body of an error', endings(sized('{"type":"error","error":{"type":"rate_limit_error","mess', { status: '429 Too Many Requests', length: 500 }), { want: refused(429, 'rate_limit_exceeded', { passes: true }), silent: refused(429, 'rate_limit_exceeded') }));
  cell('cell U16: an orderly end that comes too early', [
    withEvents('nothing at all', '', broken()), withEvents('a comment', ': hello\n\n', invalid()), withEvents('a ping', events.ping, invalid()),
    withEvents('message_start', events.start, broken()), goesOn('content', ': nothing more\n\n', broken('one ')), goesOn('half an event', events.delta('two ').slice(0, 50), broken('one ')),
    withEvents('message_delta, which has said all', events.begun + events.ended, answered()),
  ].map((one) => ({ ...one, want: one.want.content ? one.want : { ...one.want, passes: false, isOpen: one.want.after === undefined } })));
});

describe('HTTP that is not as it says', () => {
  const json = JSON.stringify(whole);
  cell('cell U17: a length that is not the body\'s', [
    closes('longer, JSON', sized(json, { length: json.length + 10 }), broken()),
    closes('longer, events', sized(events.begun, { type: 'text/event-stream', length: 5000 }), broken('one ')),
    says('shorter, JSON', sized(json, { length: json.length - 10 }), invalid()),
    says('shorter, events', sized(events.all, { type: 'text/event-stream', length: events.begun.length }), { ...broken('one '), passes: false }),
    says('not a number', sized(json, { length: 'many' }), invalid()), says('negative', sized(json, { length: -1 }), invalid()),
    says('more than there are numbers', sized(json, { length: '99999999999999999999999' }), invalid()),
    says('two of them', sized(json, { 'Content-Length': 7 }), invalid()),
    says('and chunks', sized(json, { 'transfer-encoding': 'chunked' }), invalid()),
    says('a coding nobody knows', head('200 OK', { 'content-type': 'text/event-stream', 'transfer-encoding': 'gzip, chunked' }) + chunk(events.all) + LAST_CHUNK, invalid()),
  ]);
  cell('cell U18: chunks that are none', ['zz\r\n', 'fffffffffffffffff\r\n', '-5\r\n', '\r\n', ' 5\r\n', '5;' + 'x'.repeat(200_000) + '\r\n', '5\r\nabcdefgh\r\n', '0x5\r\n']
    .flatMap((text) => [says(JSON.stringify(text.slice(0, 20)), STREAM + text, invalid()), says(`${JSON.stringify(text.slice(0, 20))} behind content`, STREAM + chunk(events.begun) + text, invalid('one '))]));
  cell('cell U19: a status line that is none', ['HTTP/3.7 200 OK', 'HTTP/0.9 200 OK', 'ICY 200 OK', '200 OK', 'HTTP/1.1 2x0 OK', 'HTTP/1.1 20000 OK', 'HTTP/1.1', '\x16\x03\x01\x02\x00\x01', '{"type":"message"}', 'HTTP/1.1 099 OK', 'GET / HTTP/1.1']
    .map((line) => closes(JSON.stringify(line), `${line}\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`, invalid())));
  cell('cell U20: a head that is too large, or no head', [
    says('a header of 1 MB', head('200 OK', { 'x-large': 'x'.repeat(1 << 20) }) + json, invalid()),
    says('101 headers', head('200 OK', Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x-${i}`, 'y']))) + json, invalid()),
    says('a name of 1 MB', `HTTP/1.1 200 OK\r\n${'x'.repeat(1 << 20)}`, invalid()),
    says('a reason of 1 MB', `HTTP/1.1 200 ${'x'.repeat(1 << 20)}`, invalid()),
    says('a NUL', head('200 OK', { 'x-nul': 'a\0b' }) + json, invalid()),
    says('no colon', `HTTP/1.1 200 OK\r\nnonsense\r\n\r\n${json}`, invalid()),
    says('a blank in a name', head('200 OK', { 'content type': 'application/json' }) + json, invalid()),
  ]);
  cell('cell U21: 100, 102 and 103 in front of the answer', ['100 Continue', '102 Processing', '103 Early Hints'].map((status) => says(status, head(status, { link: '</x>' }).repeat(3) + GOOD, answered())));
  cell('cell U22: 1xx without end', [{ name: '103', want: invalid(), play: async (io) => {
    for (let i = 0; i < 5000 && !io.socket.destroyed; i++) await io.write(head('103 Early Hints', { link: '</x>' }));
  } }]);
  cell('cell U23: another protocol', [says('101', head('101 Switching Protocols', { connection: 'upgrade', upgrade: 'h2c' }), invalid())]);
  cell('cell U24: a redirect is not followed', [301, 302, 303, 307, 308].map((status) => says(String(status), sized('<html>', { status: `${status} Elsewhere`, type: 'text/html', location: 'http://127.0.0.1:9/v1/messages' }), invalid())));
  cell('cell U25: a success without a message', [
    says('204', head('204 No Content'), invalid()), says('304', head('304 Not Modified'), invalid()), says('201', sized(json, { status: '201 Created' }), invalid()),
    says('205', head('205 Reset Content', { 'content-length': 0 }), invalid()), says('206', sized(json, { status: '206 Partial Content', 'content-range': 'bytes 0-9/99' }), invalid()),
    says('299', sized(json, { status: '299 Whatever' }), invalid()), says('an empty body', sized(''), invalid()),
  ]);
  cell('cell U26: a 200 of another type', [
    says('HTML', sized('<html>Please log in</html>', { type: 'text/html' }), invalid()), says('text', sized(json, { type: 'text/plain' }), invalid()),
    says('none', `HTTP/1.1 200 OK\r\ncontent-length: ${json.length}\r\n\r\n${json}`, invalid()), says('nonsense', sized(json, { type: ';;,' }), invalid()),
  ]);
  cell('cell U27: a compressed body', [
    says('events', head('200 OK', { 'content-type': 'text/event-stream', 'content-encoding': 'gzip', 'transfer-encoding': 'chunked' }) + chunk(gzipSync(events.all).toString('latin1')) + LAST_CHUNK, invalid()),
    { name: 'JSON', want: invalid(), play: async (io) => {
      const body = gzipSync(json);
      await io.write(head('200 OK', { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': body.length }));
      await io.write(body);
    } },
  ]);
});

describe('answers that mean nothing', () => {
  const deep = '['.repeat(100_000);
  cell('cell U28: JSON that is no message', ['', '{', '[]', 'null', '42', '"text"', '{}', '{"type":"message"', '{"type":"message","content":7}{"a":1}', '{"type":"completion"}', deep, `{"type":"message","content":${deep}`, '\0\0\0', '{"type":"message","content":[{"type":"text","text":"\xff\xfe"}]}']
    .map((text) => ({ name: JSON.stringify(text.slice(0, 40)), want: invalid(), play: async (io) => {
      const body = Buffer.from(text, 'latin1');
      await io.write(head('200 OK', { 'content-type': 'application/json', 'content-length': body.length }));
      await io.write(body);
    } })));
  /** Behind content, bytes that are not text. */
  const raw = (name, data) => ({ name, want: invalid('one '), play: async (io, n, seen) => {
    const body = Buffer.from(events.delta('XX').replace('XX', data), 'latin1');
    await io.write(STREAM + chunk(events.begun));
    await seen();
    await io.write(`${body.length.toString(16)}\r\n`);
    await io.write(body);
    await io.write(`\r\n${LAST_CHUNK}`);
  } });
  cell('cell U29: events that cannot be read', [
    raw('invalid UTF-8', '\xff\xfe\xc0'), raw('a NUL', 'a\0b'), raw('half a surrogate', '\xed\xa0\x80'), raw('a control character', '\x01'),
    goesOn('truncated JSON', 'event: content_block_delta\ndata: {"type":"content_blo\n\n', invalid('one ')),
    goesOn('deep JSON', `event: content_block_start\ndata: {"type":"content_block_start","content_block":${deep}\n\n`, invalid('one ')),
    goesOn('an array', 'event: content_block_start\ndata: []\n\n', invalid('one ')), goesOn('no data', 'event: content_block_start\ndata:\n\n', invalid('one ')),
    withEvents('a first event that is none', 'event: message_start\ndata: garbage\n\n', invalid()), withEvents('no events', 'garbage\n\ngarbage\n\n', invalid()),
    withEvents('a message that is none', 'event: message_start\ndata: {"type":"message_start","message":7}\n\n', invalid()),
  ]);
  const { event } = events;
  cell('cell U30: events of a kind that nobody knows yet', [
    withEvents('events', events.begun + event({ type: 'content_block_pulse', index: 0, delta: {} }) + 'event: else\ndata: no JSON\n\n' + events.ended + events.stop, answered()),
    withEvents('blocks', events.start + event({ type: 'content_block_start', index: 0, content_block: { type: 'hologram', of: [1] } }) + event({ type: 'content_block_delta', index: 0, delta: { type: 'hologram_delta', x: 1 } }) + event({ type: 'content_block_stop', index: 0 })
      + event({ type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } }) + events.delta('one two three', 1) + event({ type: 'content_block_stop', index: 1 }) + events.end + events.stop, answered()),
    withEvents('fields, ids, comments', `: hello\nid: 7\nretry: 100\nnonsense\n${events.begun}${events.ended}${events.stop}`, answered()),
    withEvents('a reason to stop', events.begun + events.ended.replace('end_turn', 'tired_of_this') + events.stop, answered()),
  ]);
  cell('cell U31: events out of order', [
    withEvents('a delta of no block', events.start + events.delta('x'), invalid()), goesOn('a delta of another block', events.delta('x', 7), invalid('one ')),
    goesOn('a delta behind its block', events.close + events.delta('x'), invalid('one ')),
    withEvents('content in front of message_start', events.open + events.delta('x') + events.all, invalid()), withEvents('an end in front of message_start', events.end + events.all, invalid()),
    withEvents('message_stop alone', events.stop, invalid()),
    goesOn('message_stop without a reason', events.close + events.stop, answered('one ')),
  ]);
  cell('cell U32: events that come twice', [
    withEvents('message_start', events.start + events.all, answered()), withEvents('message_delta', events.begun + events.ended + events.end + events.stop, answered()),
    withEvents('content_block_stop', events.begun + events.ended.replace(events.close, events.close.repeat(2)) + events.stop, answered()), withEvents('all behind message_stop', events.all.repeat(2), answered()),
    says('garbage behind message_stop', stream(`${events.all}event: error\ndata: garbage\n\n`), answered()),
  ]);
  const failure = event({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
  cell('cell U33: an error among the events', [
    withEvents('in front', failure, refused(503, 'overloaded', { passes: true })), withEvents('behind message_start', events.start + failure, refused(503, 'overloaded', { passes: true })),
    goesOn('behind content', failure, refused(503, 'overloaded', { after: 'one ' })), goesOn('behind message_delta', events.ended + failure, { ...refused(503, 'overloaded', { after: 'one two three' }), used: [7, 9] }),
  ]);
  cell('cell U34: byte by byte', [{ name: 'all of it', want: answered(), play: async (io) => {
    for (const byte of GOOD) {
      await io.write(byte);
      await new Promise(setImmediate);
    }
  } }]);
});

describe('the connection', () => {
  cell('cell U35: an answer before the request is whole', [
    ['413', '413 Content Too Large', 'request_too_large', 413, 'request_too_large'], ['429', '429 Too Many Requests', 'rate_limit_error', 429, 'rate_limit_exceeded'],
  ].flatMap(([name, status, type, code, word]) => ['stall', 'end', 'close', 'reset'].map((way) => ({
    name: `${name}, ${way}`, at: 'head', text: 'x'.repeat(6_000_000), want: refused(code, word),
    play: async (io) => {
      io.socket.pause();
      await io.write(sized(JSON.stringify({ type: 'error', error: { type, message: 'no' } }), { status }));
      if (way !== 'stall') await io[way]();
      else io.socket.resume();
    },
  }))), { only: (place) => place.name === 'plain', isSerial: true });
  cell('cell U36: bytes behind an answer', [
    says('another answer', GOOD + sized(JSON.stringify({ ...whole, content: [{ type: 'text', text: 'of another' }] })), answered()),
    says('garbage', `${GOOD}garbage`, answered()),
    { name: 'a moment later', want: answered(), restMs: 100, play: async (io) => {
      await io.good();
      await new Promise((resolve) => setTimeout(resolve, 50));
      await io.write(sized(JSON.stringify({ ...whole, content: [{ type: 'text', text: 'of another' }] })));
    } },
    says('behind the end of JSON', `${sized(JSON.stringify(whole))}HTTP/1.1 200 OK\r\n\r\n`, answered()),
  ], { isSerial: true });
});

/** Writes `make()` until nobody takes it, or `bytes` are out. */
async function pour(io, make, bytes = Infinity) {
  for (let sent = 0; sent < bytes && !io.socket.destroyed; ) {
    const piece = make();
    sent += piece.length;
    await Promise.race([io.write(piece), io.closed]);
  }
}
const MB = 1 << 20;

describe('answers without end', { concurrency: 1 }, () => {
  const filler = Buffer.alloc(64 * 1024, 'x');
  const line = Buffer.from(chunk(filler.toString()));
  /** One after the other, on a proxy of its own: what it grows by is bounded. */
  const bounded = (name, cases, mostMb) => it(name, async () => {
    const proxy = await startProxy(upstreams[0].url, { WORKERS: '1', REQUEST_TIMEOUT: '10' });
    checkAnswer(await send(proxy.port, chat(ask('Hi'))), false, answered(), 'before');
    const before = proxy.residentBytes();
    let peak = before;
    const timer = setInterval(() => (peak = Math.max(peak, proxy.residentBytes())), 10);
    for (const { name: what, want, play } of cases)
      for (const streamed of [false, true]) {
        const script = upstreams[0].scripts.add((io) => play(io));
        checkAnswer(await send(proxy.port, chat(ask(script.tag, { stream: streamed })), { ms: 30_000 }), streamed, want, `${what}, ${streamed}`);
        bench.cases++;
      }
    clearInterval(timer);
    checkAnswer(await send(proxy.port, chat(ask('Hi'))), false, answered(), 'afterwards');
    if (!isSanitized) assert.ok(peak - before < mostMb * MB, `${(peak - before) / MB} MB more`);
    await proxy.stop();
    cells++;
  });
  const beginning = '{"type":"message","content":[{"type":"text","text":"';
  bounded('cell U38: a body of JSON', [
    plays('64 MB', invalid(), async (io) => (await io.write(head('200 OK', { 'content-type': 'application/json', 'content-length': 64 * MB }) + beginning), pour(io, () => filler, 64 * MB))),
    plays('without end', invalid(), async (io) => (await io.write(head('200 OK', { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }) + chunk(beginning)), pour(io, () => line))),
  ], 80);
  bounded('cell U39: an event', [
    plays('a line without end', { ...invalid('one '), isOpen: true }, async (io) => (await io.write(STREAM + chunk(events.begun)), await io.write(chunk('data: {"type":"')), pour(io, () => line))),
    plays('lines without a blank one', invalid('one '), async (io) => (await io.write(STREAM + chunk(events.begun)), pour(io, () => Buffer.from(chunk('data: x\n'.repeat(5000)))))),
    plays('the first', invalid(), async (io) => (await io.write(STREAM), pour(io, () => line))),
  ], 80);
  bounded('cell U40: the body of an error', [
    plays('64 MB', refused(500, 'null'), async (io) => (await io.write(head('500 Internal Server Error', { 'content-length': 64 * MB })), pour(io, () => filler, 64 * MB))),
    plays('without end', refused(429, 'rate_limit_exceeded'), async (io) => (await io.write(head('429 Too Many Requests', { 'transfer-encoding': 'chunked' })), pour(io, () => line))),
  ], 16);
  it('cell U41: content, not streamed', async () => {
    const script = upstreams[0].scripts.add(async (io) => {
      await io.write(STREAM + chunk(events.begun));
      const piece = Buffer.from(chunk(events.delta('x'.repeat(60_000)).repeat(4)));
      await pour(io, () => piece);
    });
    checkAnswer(await send(bench.places[0].proxy.port, chat(ask(script.tag)), { ms: 30_000 }), false, invalid(), 'endless content');
    bench.cases++;
    cells++;
  });
});

describe('a connection that is used again', () => {
  const without = { only: (place) => place.retries === 0, isSerial: true };
  const closedAt = (bytes, want, calls) => ['end', 'close', 'reset'].map((way) => ({ name: way, want, calls, isWarm: true, play: async (io, n) => {
    if (n > 1) return io.good();
    if (io.served === 0) return (io.upstream.wasFresh = true, io.good());
    if (bytes) await io.write(bytes);
    return io[way]();
  } }));
  cell('cell U37: closed at that moment: sent again at once, unseen, without a retry', closedAt('', answered(), 2), without);
  cell('cell U37: the same behind a byte of the answer is not', closedAt('H', broken(), 1), without);
});

after(() => console.log(`count: faults of an HTTP/1.1 upstream: ${cells} cells, ${bench?.cases} cases as promised`));
