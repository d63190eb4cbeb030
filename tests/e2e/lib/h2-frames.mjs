// HTTP/2 by hand: for what no client library would send, and to see every frame that comes back.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';

import { PROXY_KEY, until } from './process.mjs';

export const TYPE = { DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9 };
export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8 };
export const CODE = { NO_ERROR: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5, FRAME_SIZE_ERROR: 6, REFUSED_STREAM: 7, CANCEL: 8, COMPRESSION_ERROR: 9, ENHANCE_YOUR_CALM: 11 };
export const SETTING = { HEADER_TABLE_SIZE: 1, ENABLE_PUSH: 2, MAX_CONCURRENT_STREAMS: 3, INITIAL_WINDOW_SIZE: 4, MAX_FRAME_SIZE: 5 };
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const WINDOW_MAX = 2 ** 31 - 1;

export function frame(type, flags, id, payload = Buffer.alloc(0), length = payload.length) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

export function u32(n) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}
export const settings = (values) => frame(TYPE.SETTINGS, 0, 0, Buffer.concat(Object.entries(values).map(([name, value]) => Buffer.concat([Buffer.from([0, SETTING[name]]), u32(value)]))));
export const rst = (id, code = CODE.CANCEL) => frame(TYPE.RST_STREAM, 0, id, u32(code));
export const windowUpdate = (id, n) => frame(TYPE.WINDOW_UPDATE, 0, id, u32(n));
export const ping = () => frame(TYPE.PING, 0, 0, Buffer.alloc(8));
export const data = (id, bytes, flags = FLAG.END_STREAM) => frame(TYPE.DATA, flags, id, Buffer.from(bytes));

/** HPACK: an integer of 7 bits and more; a header, literal, never indexed. */
function integer(n) {
  if (n < 127) return Buffer.from([n]);
  const bytes = [127];
  for (n -= 127; n >= 128; n >>= 7) bytes.push((n & 127) | 128);
  return Buffer.from([...bytes, n]);
}
export function literal(name, value, first = 0x10) {
  const [n, v] = [Buffer.from(name, 'latin1'), Buffer.from(String(value), 'latin1')];
  return Buffer.concat([Buffer.from([first]), integer(n.length), n, integer(v.length), v]);
}
/** `pairs`: [name, value]... */
export const block = (pairs) => Buffer.concat(pairs.map(([name, value]) => literal(name, value)));

const AUTH = ['authorization', `Bearer ${PROXY_KEY}`];
export const POST = [[':method', 'POST'], [':scheme', 'https'], [':authority', 'localhost'], [':path', '/v1/chat/completions'], AUTH, ['content-type', 'application/json']];
export const GET = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'localhost'], [':path', '/health']];
export const headers = (id, pairs, flags = FLAG.END_STREAM | FLAG.END_HEADERS) => frame(TYPE.HEADERS, flags, id, Buffer.isBuffer(pairs) ? pairs : block(pairs));
/** A chat request, whole. */
export const chatFrames = (id, body) => Buffer.concat([headers(id, POST, FLAG.END_HEADERS), data(id, JSON.stringify(body))]);

/** The digits of a Huffman-coded number. */
function digits(bytes, n) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let text = '';
  for (let at = 0; text.length < n; ) {
    const short = parseInt(bits.slice(at, at + 5), 2);
    text += short < 3 ? short : parseInt(bits.slice(at, at + 6), 2) - 22;
    at += short < 3 ? 5 : 6;
  }
  return text;
}
/** The status that a block begins with, of an encoder that was told to keep no table. */
function statusOf(bytes) {
  let at = 0;
  while ((bytes[at] & 0xe0) === 0x20) at++; // its table's size
  const known = { 0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500 }[bytes[at]];
  if (known) return known;
  const size = bytes[at + 1];
  const value = bytes.subarray(at + 2, at + 2 + (size & 127));
  return Number(size & 128 ? digits(value, 3) : value.toString());
}

export class Client {
  /** `window`: of each stream; `preface`: what is said first instead. */
  static async open(port, ca, { window = WINDOW_MAX, preface } = {}) {
    const plain = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const socket = tls.connect({ socket: plain, servername: 'localhost', ca, ALPNProtocols: ['h2'] });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const client = new Client(socket, plain);
    client.write(preface ?? Buffer.concat([PREFACE, settings({ HEADER_TABLE_SIZE: 0, INITIAL_WINDOW_SIZE: window }), windowUpdate(0, WINDOW_MAX - 65535)]));
    return client;
  }

  constructor(socket, plain) {
    Object.assign(this, { socket, plain, frames: [], rest: Buffer.alloc(0), isOver: false });
    socket.setMaxListeners(0);
    socket.on('data', (piece) => this.#take(piece));
    socket.on('error', () => {}).on('close', () => (this.isOver = true)).on('end', () => (this.isOver = true));
    plain.on('error', () => {});
  }

  #take(piece) {
    this.rest = this.rest.length ? Buffer.concat([this.rest, piece]) : piece;
    for (;;) {
      const length = this.rest.length < 9 ? Infinity : this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + length) return;
      const [type, flags, id] = [this.rest[3], this.rest[4], this.rest.readUInt32BE(5)];
      this.frames.push({ type, flags, id, payload: this.rest.subarray(9, 9 + length) });
      this.rest = this.rest.subarray(9 + length);
    }
  }

  /** True as long as it is worth to go on. */
  write(bytes) {
    return !this.isOver && !this.socket.destroyed && (this.socket.write(bytes), true);
  }
  /** Waits for the socket to take what was written. */
  async drained(ms = 3000) {
    await until('the proxy reads, or has ended it', () => this.isOver || this.socket.writableLength < 65536, ms).catch(() => {});
    return !this.isOver;
  }
  of(id, type) {
    return this.frames.filter((one) => one.id === id && one.type === type);
  }
  status(id) {
    const [head] = this.of(id, TYPE.HEADERS);
    return head && statusOf(head.payload);
  }
  text(id) {
    return Buffer.concat(this.of(id, TYPE.DATA).map((one) => one.payload)).toString();
  }
  /** The code of RST_STREAM. */
  resetCode(id) {
    return this.of(id, TYPE.RST_STREAM)[0]?.payload.readUInt32BE(0);
  }
  isDone(id) {
    return this.frames.some((one) => one.id === id && (one.type === TYPE.RST_STREAM || (one.type <= 1 && one.flags & FLAG.END_STREAM)));
  }
  /** The last GOAWAY's code. */
  goaway() {
    return this.of(0, TYPE.GOAWAY).at(-1)?.payload.readUInt32BE(4);
  }

  /** Waits for a stream's end: {status, text, code}. */
  async answer(id, ms = 5000) {
    await until(`the end of stream ${id}`, () => this.isDone(id) || this.isOver, ms);
    return { status: this.status(id), text: this.text(id), code: this.resetCode(id) };
  }
  async closed(ms = 5000) {
    await until('the connection is ended', () => this.isOver, ms);
  }
  /** Asks for /health on a new stream: the connection still works. */
  async isWell(id) {
    this.write(headers(id, GET));
    assert.equal((await this.answer(id)).status, 200, `stream ${id}, GOAWAY ${this.goaway()}`);
  }
  close() {
    this.socket.destroy();
  }
}
