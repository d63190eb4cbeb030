// What an upstream may do wrong over HTTP/2: the cells U of docs/faults.md, frame by frame.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { Bench, answered, broken, checkAnswer, invalid, refused } from './lib/faults.mjs';
import { events, whole } from './lib/faulty.mjs';
import { startFaultyH2 } from './lib/faulty-h2.mjs';
import { CODE, FLAG, TYPE, block, data, frame, headers, ping, rst, settings, u32, windowUpdate } from './lib/h2-frames.mjs';
import { ask, chat, send } from './lib/http.mjs';
import { isSanitized, startProxy } from './lib/process.mjs';

let authority, certificate, upstream, bench;
let cells = 0;

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  upstream = await startFaultyH2(certificate);
  upstream.settings = { UPSTREAM_CA_FILE: authority.cert, WORKERS: '1' };
  bench = await Bench.start({ 'HTTP/2': upstream });
});
after(async () => {
  try {
    await bench?.stop();
  } finally {
    await upstream?.listener.stop();
    console.log(`count: faults of an HTTP/2 upstream: ${cells} cells, ${bench?.cases} cases as promised`);
  }
});

/** A cell: one case after the other where a case costs the connection, which all share. */
const cell = (name, cases, { isShared = true } = {}) => it(name, async () => {
  const costs = cases.filter((one) => one.costsConnection ?? isShared), others = cases.filter((one) => !costs.includes(one));
  if (costs.length > 0) await bench.hold(costs, { isSerial: true });
  if (others.length > 0) await bench.hold(others);
  cells++;
});
const timedOut = (after) => refused(504, 'timeout', { after });
const plays = (name, want, play) => ({ name, want, play });
const EVENTS = [[':status', '200'], ['content-type', 'text/event-stream']];
const JSON_HEAD = [[':status', '200'], ['content-type', 'application/json']];
const open = (id) => headers(id, EVENTS, FLAG.END_HEADERS);
/** Every way to break off or stand still, behind `lead(id)`; silence in a cell of its own way. */
const WAYS = { end: (io) => io.end(), close: (io) => io.close(), reset: (io) => io.reset(), RST_STREAM: (io) => io.cancel(), stall: (io) => io.stall() };
// Within a frame nothing else can be said on a connection, ever.
const WAYS_OF_CONNECTIONS = ['end', 'close', 'reset'];
const endings = (lead, { at, want = broken(), silent = { ...timedOut(want.after), used: want.used } } = {}) => Object.entries(WAYS).map(([name, way]) => ({
  name, at, want: name === 'stall' ? silent : want, costsConnection: WAYS_OF_CONNECTIONS.includes(name),
  play: async (io) => {
    await io.write(...lead(io.id));
    await way(io);
  },
}));
const streamed = (text) => (id) => [open(id), data(id, text, 0)];

describe('an answer that breaks off, or stands still', () => {
  cell('cell U3: behind the head of the request', endings(() => [], { at: 'head' }));
  cell('cell U4: behind the request', endings(() => []));
  cell('cell U6: in the head', endings((id) => [headers(id, EVENTS, 0).subarray(0, 20)]).filter(({ name }) => WAYS_OF_CONNECTIONS.includes(name)));
  cell('cell U7: behind the head', endings((id) => [open(id)]));
  cell('cell U8: in the first event', endings(streamed(events.start.slice(0, 40))));
  cell('cell U9: behind message_start', endings(streamed(events.start)));
  cell('cell U10: within an event', endings(streamed(events.begun + events.delta('two ').slice(0, 50)), { want: broken('one ') }));
  cell('cell U11: between events', endings(streamed(events.begun), { want: broken('one ') }));
  cell('cell U12: behind message_delta', endings(streamed(events.begun + events.ended), { want: { ...broken('one two three'), used: [7, 9] } }));
  cell('cell U13: behind message_stop', endings(streamed(events.all), { want: answered(), silent: answered() }));
  cell('cell U15: in the body of an error', endings((id) => [headers(id, [[':status', '429']], FLAG.END_HEADERS), data(id, '{"type":"err', 0)], { want: refused(429, 'rate_limit_exceeded', { passes: true }), silent: refused(429, 'rate_limit_exceeded') }));
  cell('cell U16: an orderly end that comes too early', [
    plays('a head alone', { ...broken(), passes: false, isOpen: true }, (io) => io.head(EVENTS, FLAG.END_HEADERS | FLAG.END_STREAM)),
    plays('message_start', { ...broken(), passes: false, isOpen: true }, (io) => io.write(open(io.id), data(io.id, events.start))),
    plays('content', { ...broken('one '), passes: false }, async (io, n, seen) => (await io.write(open(io.id), data(io.id, events.begun, 0)), await seen(), io.data('', FLAG.END_STREAM))),
  ], { isShared: false });
});

describe('streams', () => {
  const codes = ['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'STREAM_CLOSED', 'CANCEL', 'ENHANCE_YOUR_CALM'];
  cell('cell U42: RST_STREAM of any code', codes.concat('0x7777').flatMap((code) => [
    plays(`${code}, before the answer`, broken(), (io) => io.cancel(CODE[code] ?? 0x7777)),
    plays(`${code}, in its middle`, broken('one '), (io) => io.write(open(io.id), data(io.id, events.begun, 0), rst(io.id, CODE[code] ?? 0x7777))),
  ]), { isShared: false });
  cell('cell U43: REFUSED_STREAM', [
    plays('once: sent again at once, unseen, without a retry', answered(), (io, n) => (n === 1 ? io.cancel(CODE.REFUSED_STREAM) : io.good())),
    { name: 'for ever', want: { ...broken(), passes: false, isOpen: true }, play: (io) => io.cancel(CODE.REFUSED_STREAM) },
    plays('in the middle of the answer', broken('one '), (io) => io.write(open(io.id), data(io.id, events.begun, 0), rst(io.id, CODE.REFUSED_STREAM))),
  ]);
  const goaway = (last, code = CODE.NO_ERROR) => frame(TYPE.GOAWAY, 0, 0, Buffer.concat([u32(last), u32(code)]));
  cell('cell U44: GOAWAY', [
    plays('that leaves the stream out: sent again, unseen', answered(), (io, n) => (n === 1 ? io.write(goaway(io.id - 2 > 0 ? io.id - 2 : 0)) : io.good())),
    plays('that leaves all streams out', answered(), (io, n) => (n === 1 ? io.write(goaway(0)) : io.good())),
    plays('that leaves it out, with an error', answered(), (io, n) => (n === 1 ? io.write(goaway(0, CODE.ENHANCE_YOUR_CALM)) : io.good())),
    plays('in the middle: the stream goes on', answered(), async (io, n, seen) => (await io.write(open(io.id), data(io.id, events.begun, 0), goaway(io.id)), await seen(), io.data(events.ended + events.stop, FLAG.END_STREAM))),
    plays('of the highest number, as a warning, then the answer', answered(), (io) => io.write(goaway(2 ** 31 - 1), open(io.id), data(io.id, events.all))),
    plays('in the middle, and the end', broken('one '), async (io) => (await io.write(open(io.id), data(io.id, events.begun, 0), goaway(io.id, CODE.INTERNAL_ERROR)), io.end())),
  ]);
  const pairs = (name, list, want = invalid()) => plays(name, want, (io) => io.write(headers(io.id, list, FLAG.END_HEADERS), data(io.id, events.all)));
  cell('cell U45: a head that breaks the rules', [
    pairs('no status', EVENTS.slice(1)), pairs('a status that is no number', [[':status', 'abc'], EVENTS[1]]), pairs('two of them', [EVENTS[0], ...EVENTS]), pairs('capital letters', [...EVENTS, ['X-Capital', 'y']]),
    pairs('connection', [...EVENTS, ['connection', 'close']]), pairs('transfer-encoding', [...EVENTS, ['transfer-encoding', 'chunked']]), pairs('a pseudo-header of requests', [EVENTS[0], [':path', '/'], EVENTS[1]]),
    pairs('a pseudo-header behind the others', [EVENTS[1], EVENTS[0]]), pairs('101 headers', [...EVENTS, ...Array.from({ length: 101 }, (_, i) => [`x-${i}`, 'y'])]),
    pairs('a length that is not the body\'s', [...EVENTS, ['content-length', '5']]), pairs('101, which HTTP/2 has not', [[':status', '101'], EVENTS[1]]),
  ]);
  cell('cell U46: what is allowed', [
    plays('103 in front', answered(), (io) => io.write(headers(io.id, [[':status', '103']], FLAG.END_HEADERS), headers(io.id, [[':status', '100']], FLAG.END_HEADERS), open(io.id), data(io.id, events.all))),
    plays('trailers', answered(), (io) => io.write(open(io.id), data(io.id, events.all, 0), headers(io.id, [['x-trailer', 'y']]))),
    plays('frames of unknown types', answered(), (io) => io.write(frame(0x77, 0xff, io.id, Buffer.alloc(100)), frame(0x78, 0, 0, Buffer.alloc(7)), open(io.id), frame(0x79, 0, io.id), data(io.id, events.all))),
    plays('settings nobody knows, PRIORITY, PING, empty DATA', answered(), (io) => io.write(frame(TYPE.SETTINGS, 0, 0, Buffer.from([0xf0, 0xf0, 0, 0, 0, 1])), frame(TYPE.PRIORITY, 0, io.id, Buffer.alloc(5)), ping(), open(io.id), data(io.id, '', 0), data(io.id, events.all))),
    plays('padding', answered(), (io) => io.write(open(io.id), frame(TYPE.DATA, FLAG.PADDED | FLAG.END_STREAM, io.id, Buffer.concat([Buffer.from([9]), Buffer.from(events.all), Buffer.alloc(9)])))),
    plays('a head in CONTINUATION', answered(), (io) => {
      const head = block(EVENTS);
      return io.write(frame(TYPE.HEADERS, 0, io.id, head.subarray(0, 5)), frame(TYPE.CONTINUATION, FLAG.END_HEADERS, io.id, head.subarray(5)), data(io.id, events.all));
    }),
    plays('a byte a frame', answered(), (io) => io.write(open(io.id), ...[...events.all].map((byte) => data(io.id, byte, 0)), data(io.id, ''))),
    plays('JSON', answered(), (io) => io.write(headers(io.id, JSON_HEAD, FLAG.END_HEADERS), data(io.id, JSON.stringify(whole)))),
    plays('more behind the end of the stream', answered(), (io) => io.write(open(io.id), data(io.id, events.all), rst(io.id, CODE.NO_ERROR))),
  ]);
});

describe('connections', () => {
  const window = (id, n) => frame(TYPE.WINDOW_UPDATE, 0, id, u32(n));
  const bad = [
    ['DATA on stream 0', () => data(0, 'x')], ['DATA on a stream nobody opened', () => data(99_999, 'x')], ['HEADERS on an even stream', () => headers(2, EVENTS)],
    ['RST_STREAM of three bytes', (id) => frame(TYPE.RST_STREAM, 0, id, Buffer.alloc(3))], ['PING of seven', () => frame(TYPE.PING, 0, 0, Buffer.alloc(7))], ['SETTINGS of five', () => frame(TYPE.SETTINGS, 0, 0, Buffer.alloc(5))],
    ['GOAWAY of four', () => frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(4))], ['a frame of 16 MB', (id) => frame(TYPE.DATA, 0, id, Buffer.alloc(0), 0xffffff)],
    ['WINDOW_UPDATE of 0', () => window(0, 0)], ['WINDOW_UPDATE over all bounds', () => Buffer.concat([window(0, 2 ** 31 - 1), window(0, 2 ** 31 - 1)])],
    ['a window that is too large', () => settings({ INITIAL_WINDOW_SIZE: 2 ** 32 - 1 })], ['a frame size that is too small', () => settings({ MAX_FRAME_SIZE: 1 })], ['ENABLE_PUSH of 7', () => settings({ ENABLE_PUSH: 7 })],
    ['CONTINUATION of nothing', (id) => frame(TYPE.CONTINUATION, FLAG.END_HEADERS, id, Buffer.alloc(3))], ['a head that another frame breaks', (id) => Buffer.concat([headers(id, EVENTS, 0), ping()])],
    ['no HPACK', (id) => frame(TYPE.HEADERS, FLAG.END_HEADERS, id, Buffer.alloc(30, 0xff))], ['PUSH_PROMISE', (id) => frame(TYPE.PUSH_PROMISE, FLAG.END_HEADERS, id, Buffer.concat([u32(2), block(EVENTS)]))],
    ['padding longer than its frame', (id) => frame(TYPE.DATA, FLAG.PADDED, id, Buffer.from([200, 1]))], ['HTTP/1.1', () => Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')],
  ];
  cell('cell U47: frames that break the rules', bad.flatMap(([name, make]) => [
    plays(name, invalid(), (io) => io.write(make(io.id))),
    plays(`${name}, behind content`, invalid('one '), async (io, n, seen) => (await io.write(open(io.id), data(io.id, events.begun, 0)), await seen(), io.write(make(io.id)))),
  ]));
  const many = (make, n = isSanitized ? 2000 : 20_000) => async (io) => {
    await io.write(open(io.id), data(io.id, events.begun, 0));
    const piece = Buffer.concat(Array.from({ length: 500 }, () => make(io.id)));
    for (let i = 0; i < n / 500 && !io.session.socket.destroyed; i++) await Promise.race([io.session.write(piece), io.session.closed]);
    await io.write(data(io.id, events.ended + events.stop));
  };
  cell('cell U48: floods that are allowed', [
    plays('PING', answered(), many(ping, 500)), plays('empty DATA', answered(), many((id) => data(id, '', 0))), plays('SETTINGS', answered(), many(() => settings({}), 500)),
    plays('WINDOW_UPDATE', answered(), many(() => windowUpdate(0, 1))), plays('unknown frames', answered(), many(() => frame(0x77, 0, 0, Buffer.alloc(100)))), plays('PRIORITY', answered(), many((id) => frame(TYPE.PRIORITY, 0, id, Buffer.alloc(5)))),
  ]);
  cell('cell U49: a head without end', [
    plays('CONTINUATION', invalid(), async (io) => {
      await io.write(headers(io.id, EVENTS, 0));
      const piece = frame(TYPE.CONTINUATION, 0, io.id, block([['x-large', 'y'.repeat(16_000)]]));
      for (let i = 0; i < 2000 && !io.session.socket.destroyed; i++) await Promise.race([io.session.write(piece), io.session.closed]);
    }),
    plays('empty CONTINUATION', invalid(), async (io) => {
      await io.write(headers(io.id, EVENTS, 0));
      const piece = Buffer.concat(Array.from({ length: 500 }, () => frame(TYPE.CONTINUATION, 0, io.id)));
      for (let i = 0; i < 200 && !io.session.socket.destroyed; i++) await Promise.race([io.session.write(piece), io.session.closed]);
    }),
  ]);
});

describe('settings of the upstream', () => {
  /** Own upstream and proxy: what they agree on at the start is the fault. */
  const own = (name, prepare, use, options) => it(name, async () => {
    const server = await startFaultyH2(certificate, options);
    prepare(server);
    const proxy = await startProxy(server.url, { UPSTREAM_CA_FILE: authority.cert, REQUEST_TIMEOUT: '2', WORKERS: '1' });
    try {
      await use(proxy, server);
      cells++;
    } finally {
      await server.listener.stop();
      await proxy.stop();
    }
  });
  const both = (proxy, want, text = 'Hi', times = 1) => Promise.all([false, true].flatMap((stream) => Array.from({ length: times }, async () => {
    checkAnswer(await send(proxy.port, chat(ask(text, { stream }))), stream, want, String(stream));
    bench.cases++;
  })));

  own('cell U50: no stream at all is allowed, then one', (server) => Object.assign(server, { settingsOfSessions: { MAX_CONCURRENT_STREAMS: 0 }, isRefusing: true }), async (proxy, server) => {
    // What is sent before the settings are known is refused; what waits, waits in vain.
    for (const stream of [false, true]) assert.ok([502, 504].includes((await send(proxy.port, chat(ask('Hi', { stream })))).status));
    server.isRefusing = false;
    for (const session of server.sessions) await session.write(settings({ MAX_CONCURRENT_STREAMS: 1 }));
    await both(proxy, answered(), 'Hi', 10);
  });
  own('cell U51: one stream at a time', (server) => (server.settingsOfSessions = { MAX_CONCURRENT_STREAMS: 1 }), (proxy) => both(proxy, answered(), 'Hi', 20));
  own('cell U52: a window of one byte', (server) => (server.settingsOfSessions = { INITIAL_WINDOW_SIZE: 1 }), (proxy) => both(proxy, answered(), 'x'.repeat(200)));
  own('cell U53: a window that is never opened', (server) => Object.assign(server, { settingsOfSessions: { INITIAL_WINDOW_SIZE: 0 }, isTight: true }), (proxy) => both(proxy, timedOut(), 'x'.repeat(100_000))); // more than fits before the settings are known
  own('cell U54: h2 is agreed on, HTTP/1.1 is spoken', (server) => (server.greeting = Buffer.from('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')), (proxy) => both(proxy, invalid()));
});
