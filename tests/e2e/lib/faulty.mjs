// An upstream that fails on purpose, over HTTP/1.1, plain or TLS. A message call is answered by the
// script that its text names (`fault-7-`), all others well: scripts of many calls may run at once.
import net from 'node:net';
import tls from 'node:tls';

const TAG = /fault-(\d+)-/;

const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
const usage = { input_tokens: 7, output_tokens: 1 };
const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-5-5', content: [], stop_reason: null, usage };

/** The events of a good answer, as text, and what it says. */
export const events = {
  event,
  start: event({ type: 'message_start', message }),
  open: event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
  delta: (text, index = 0) => event({ type: 'content_block_delta', index, delta: { type: 'text_delta', text } }),
  close: event({ type: 'content_block_stop', index: 0 }),
  end: event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } }),
  stop: event({ type: 'message_stop' }),
  ping: event({ type: 'ping' }),
};
events.begun = events.start + events.open + events.delta('one ');
events.ended = events.delta('two ') + events.delta('three') + events.close + events.end;
events.all = events.begun + events.ended + events.stop;
export const CONTENT = 'one two three';
export const whole = { ...message, content: [{ type: 'text', text: CONTENT }], stop_reason: 'end_turn', usage: { input_tokens: 7, output_tokens: 9 } };

export const head = (status, headers = {}) => `HTTP/1.1 ${status}\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
export const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
export const LAST_CHUNK = '0\r\n\r\n';
/** The head of a stream of events. */
export const STREAM = head('200 OK', { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' });
export const GOOD = STREAM + chunk(events.all) + LAST_CHUNK;
/** A whole answer in one piece. */
export const sized = (body, { status = '200 OK', type = 'application/json', length = Buffer.byteLength(body), ...headers } = {}) =>
  head(status, { 'content-type': type, 'content-length': length, ...headers }) + body;

/** What every upstream here has: scripts by name, and how often each was asked for. */
export class Scripts {
  #n = 0;
  #scripts = new Map();

  /** `play(io, n)` answers the n-th call; `at`: as soon as its 'head' or its whole 'body' is there. */
  add(play, at = 'body') {
    const id = ++this.#n;
    const script = { tag: `fault-${id}-`, play, at, calls: 0 };
    this.#scripts.set(String(id), script);
    return script;
  }
  find(text) {
    return this.#scripts.get(TAG.exec(text)?.[1]);
  }
}

/** One connection: takes its requests one after the other, and is what a script speaks with. */
class Line {
  #unread = Buffer.alloc(0);
  #restBytes = 0; // of a request that was answered before it was whole
  #isBusy = false;

  constructor(upstream, socket, plain) {
    Object.assign(this, { upstream, socket, plain, served: 0 });
    socket.on('data', (piece) => {
      const rest = Math.min(this.#restBytes, piece.length);
      this.#restBytes -= rest;
      this.#unread = Buffer.concat([this.#unread, piece.subarray(rest)]);
      this.#serve();
    });
    socket.on('end', () => this.isLeft || socket.end());
    this.closed = new Promise((resolve) => socket.on('close', resolve));
  }

  async #serve() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (await this.#serveOne());
    this.#isBusy = false;
  }

  /** False: more must come first. */
  async #serveOne() {
    const end = this.#unread.indexOf('\r\n\r\n');
    if (end < 0 || this.socket.destroyed) return false;
    const top = this.#unread.subarray(0, end).toString('latin1');
    const length = end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(top)?.[1] ?? 0);
    const isWhole = this.#unread.length >= length;
    const script = top.startsWith('POST') && this.upstream.scripts.find(this.#unread.toString('latin1', 0, Math.min(length, this.#unread.length)));
    if (!isWhole && !(script && script.at === 'head')) return false;
    this.#restBytes = Math.max(0, length - this.#unread.length);
    this.#unread = this.#unread.subarray(Math.min(length, this.#unread.length));
    if (script) await script.play(this, ++script.calls);
    else await this.write(top.startsWith('POST') ? GOOD : sized('{"data":[]}'));
    this.served++;
    return true;
  }

  /** Resolves when the kernel has it, or nobody wants it any more. */
  write(data) {
    return new Promise((resolve) => (this.socket.destroyed ? resolve() : this.socket.write(data, () => resolve())));
  }
  /** FIN, and on reading. */
  end() {
    this.isLeft = true;
    this.socket.end();
    return this.closed;
  }
  close() {
    this.plain.destroy();
    return this.closed;
  }
  reset() {
    this.plain.resetAndDestroy();
    return this.closed;
  }
  good() {
    return this.write(GOOD);
  }
  stall() {
    return this.closed;
  }
}

/** Connections of a server, to be rid of at the end; `serve(socket, plain)` gets each, or `onAccept`. */
export class Listener {
  /** `context`: for TLS, {cert, key, ALPNProtocols}. */
  static async start({ context, serve }) {
    const listener = new Listener();
    listener.sockets = new Set();
    listener.serve = (plain) => {
      if (!context) return serve(plain, plain);
      const secure = new tls.TLSSocket(plain, { isServer: true, allowHalfOpen: true, secureContext: tls.createSecureContext(context), ALPNProtocols: context.ALPNProtocols });
      secure.on('error', () => {});
      plain.on('close', () => secure.destroy());
      return serve(secure, plain);
    };
    listener.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (plain) => {
      listener.sockets.add(plain);
      plain.on('close', () => listener.sockets.delete(plain)).on('error', () => {});
      return (listener.onAccept ?? listener.serve)(plain);
    });
    await new Promise((resolve) => listener.server.listen(0, '127.0.0.1', resolve));
    listener.url = `${context ? 'https' : 'http'}://127.0.0.1:${listener.server.address().port}`;
    return listener;
  }
  closeAll() {
    for (const socket of this.sockets) socket.destroy();
  }
  async stop() {
    this.closeAll();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export async function startFaulty({ certificate } = {}) {
  const scripts = new Scripts();
  const upstream = { scripts };
  const context = certificate && { cert: certificate.certPem, key: certificate.keyPem, ALPNProtocols: ['http/1.1'] };
  upstream.listener = await Listener.start({ context, serve: (socket, plain) => new Line(upstream, socket, plain) });
  upstream.url = upstream.listener.url;
  return upstream;
}
