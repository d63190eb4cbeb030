// An upstream that fails on purpose, over HTTP/2 frame by frame: the scripts of faulty.mjs, which
// speak here with one stream of a connection.
import { Listener, Scripts, events } from './faulty.mjs';
import { CODE, FLAG, PREFACE, TYPE, data, frame, headers, rst, settings, windowUpdate } from './h2-frames.mjs';

const EVENTS = [[':status', '200'], ['content-type', 'text/event-stream']];
const JSON_HEAD = [[':status', '200'], ['content-type', 'application/json']];

/** One stream: its request, and what may be done to it. */
class Stream {
  constructor(session, id) {
    Object.assign(this, { session, id, body: '' });
  }
  write(...frames) {
    return this.session.write(Buffer.concat(frames));
  }
  head(pairs = EVENTS, flags = FLAG.END_HEADERS) {
    return this.write(headers(this.id, pairs, flags));
  }
  data(text, flags = 0) {
    return this.write(data(this.id, text, flags));
  }
  good() {
    return this.write(headers(this.id, EVENTS, FLAG.END_HEADERS), data(this.id, events.all));
  }
  models() {
    return this.write(headers(this.id, JSON_HEAD, FLAG.END_HEADERS), data(this.id, '{"data":[]}'));
  }
  cancel(code = CODE.CANCEL) {
    return this.write(rst(this.id, code));
  }
  end() {
    this.session.socket.end();
    return this.session.closed;
  }
  close() {
    this.session.plain.destroy();
    return this.session.closed;
  }
  reset() {
    this.session.plain.resetAndDestroy();
    return this.session.closed;
  }
  stall() {}
}

class Session {
  #unread = Buffer.alloc(0);
  #isOpen = false;

  constructor(upstream, socket, plain) {
    Object.assign(this, { upstream, socket, plain, streams: new Map(), last: 0 });
    upstream.sessions.add(this);
    this.closed = new Promise((resolve) => plain.on('close', resolve)).then(() => upstream.sessions.delete(this));
    socket.on('data', (piece) => {
      this.#unread = Buffer.concat([this.#unread, piece]);
      this.#take();
    });
    socket.on('end', () => socket.end());
    this.write(upstream.greeting ?? settings(upstream.settingsOfSessions ?? {}));
  }

  #take() {
    if (!this.#isOpen) {
      if (this.#unread.length < PREFACE.length) return;
      this.#isOpen = true;
      this.#unread = this.#unread.subarray(PREFACE.length);
    }
    for (;;) {
      const length = this.#unread.length < 9 ? Infinity : this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < 9 + length) return;
      const [type, flags, id] = [this.#unread[3], this.#unread[4], this.#unread.readUInt32BE(5)];
      const payload = this.#unread.subarray(9, 9 + length);
      this.#unread = this.#unread.subarray(9 + length);
      this.#frame(type, flags, id, payload);
    }
  }

  #frame(type, flags, id, payload) {
    if (type === TYPE.SETTINGS && !(flags & FLAG.ACK)) this.write(frame(TYPE.SETTINGS, FLAG.ACK, 0));
    if (type === TYPE.PING && !(flags & FLAG.ACK)) this.write(frame(TYPE.PING, FLAG.ACK, 0, payload));
    if (type === TYPE.RST_STREAM) this.streams.delete(id);
    if (type !== TYPE.HEADERS && type !== TYPE.DATA) return;
    if (type === TYPE.HEADERS) this.streams.set(id, new Stream(this, id));
    this.last = Math.max(this.last, id);
    const stream = this.streams.get(id);
    if (!stream) return;
    if (type === TYPE.DATA) {
      stream.body += payload.toString('latin1');
      if (payload.length > 0 && !this.upstream.isTight) this.write(Buffer.concat([windowUpdate(0, payload.length), windowUpdate(id, payload.length)]));
    }
    this.#serve(stream, (flags & FLAG.END_STREAM) !== 0);
  }

  async #serve(stream, isWhole) {
    const script = this.upstream.scripts.find(stream.body);
    if (stream.isServed || !(isWhole || script?.at === 'head')) return;
    stream.isServed = true;
    if (script) await script.play(stream, ++script.calls, script.seen);
    else if (this.upstream.isRefusing) await stream.cancel(CODE.REFUSED_STREAM);
    else if (stream.body) await stream.good();
    else await stream.models();
  }

  write(bytes) {
    return new Promise((resolve) => (this.socket.destroyed ? resolve() : this.socket.write(bytes, () => resolve())));
  }
}

/** `protocols`: what ALPN agrees to. */
export async function startFaultyH2(certificate, { protocols = ['h2'] } = {}) {
  const upstream = { scripts: new Scripts(), sessions: new Set() };
  const context = { cert: certificate.certPem, key: certificate.keyPem, ALPNProtocols: protocols };
  upstream.listener = await Listener.start({ context, serve: (socket, plain) => new Session(upstream, socket, plain) });
  upstream.url = upstream.listener.url;
  return upstream;
}
