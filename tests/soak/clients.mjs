// The clients: over HTTP/1.1 with connections that are kept or new ones, over HTTP/2 with many
// requests on a session, all with TLS. An exchange never throws: it says how it ended.
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

// A connection is left before the server's IDLE_TIMEOUT, as well-behaved clients do.
const KEPT_IDLE_MS = 20_000;
const REQUESTS_A_SESSION = 400;
const HANDSHAKE_MS = 60_000;

/**
 * What came back. `end`: 'answered', 'left' (by us, on purpose), 'broken' (no whole answer) or
 * 'hung' (past the limit).
 */
class Exchange {
  constructor(order, limitMs, abort) {
    this.answer = { status: 0, headers: {}, text: '', firstMs: 0 };
    this.startedAt = performance.now();
    this.order = order;
    this.abort = abort;
    this.pieces = [];
    this.bytes = 0;
    this.over = new Promise((resolve) => (this.resolve = resolve));
    this.timer = setTimeout(() => this.finish('hung', `nothing more for ${limitMs} ms`), limitMs);
  }

  head(status, headers) {
    this.answer.status = status;
    this.answer.headers = headers;
  }

  data(piece) {
    if (!this.bytes) this.answer.firstMs = performance.now() - this.startedAt;
    this.pieces.push(piece);
    this.bytes += piece.length;
    const { leave } = this.order;
    if (!leave || this.bytes < leave.bytes || leave.stage === 'wait') return false;
    if (leave.stage === 'unread') {
      this.leaveSoon(2000 + leave.ms);
      return true; // stops reading
    }
    this.leave();
    return false;
  }

  leave() {
    this.finish('left');
  }
  leaveSoon(ms) {
    this.leaving ??= setTimeout(() => this.leave(), ms);
  }

  finish(end, why = '') {
    if (this.answer.end) return;
    clearTimeout(this.timer);
    clearTimeout(this.leaving);
    Object.assign(this.answer, { end, why, text: Buffer.concat(this.pieces).toString('utf8'), ms: performance.now() - this.startedAt });
    this.pieces = [];
    if (end !== 'answered') this.abort();
    this.resolve(this.answer);
  }
}

const payloadOf = (order) => (order.body ? Buffer.from(JSON.stringify(order.body)) : null);
const headersOf = (key, payload) => ({
  authorization: `Bearer ${key}`, 'user-agent': 'OpenAI/JS 6.1.0', accept: 'application/json',
  ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
});

/** The body, or half of it and then nobody. Who leaves without an answer does so once it was sent. */
function sendBody(exchange, request, payload) {
  const { leave } = exchange.order;
  if (leave?.stage === 'body') request.write(payload.subarray(0, payload.length >> 1), () => exchange.leaveSoon(200 + leave.ms));
  else if (leave?.stage === 'wait') request.end(payload, () => exchange.leaveSoon(200 + leave.ms));
  else request.end(payload ?? undefined);
}

export class Clients {
  constructor({ port, key, certificate, random }) {
    Object.assign(this, { port, key, random });
    this.tls = { host: '127.0.0.1', port, ca: certificate, servername: 'localhost' };
    this.kept = Array.from({ length: 6 }, () => new https.Agent({ keepAlive: true, timeout: KEPT_IDLE_MS }));
    this.sessions = Array.from({ length: 3 }, () => null);
    this.counts = { kept: 0, fresh: 0, http2: 0 };
  }

  /** One order, on a connection that chance picks; resolves to the answer. */
  exchange(order, limitMs) {
    const stage = order.leave?.stage;
    if (stage === 'session') return this.#overHttp2(order, limitMs, this.#connect());
    const way = ['kept', 'kept', 'http2', 'http2', 'fresh'][this.random(5)];
    this.counts[way]++;
    if (way === 'http2') return this.#overHttp2(order, limitMs);
    return this.#overHttp1(order, limitMs, way === 'kept' ? this.kept[this.random(this.kept.length)] : null);
  }

  #overHttp1(order, limitMs, agent) {
    let plain;
    const payload = payloadOf(order);
    const options = { ...this.tls, path: order.target ?? '/v1/chat/completions', method: payload ? 'POST' : 'GET', headers: headersOf(this.key, payload), agent: agent ?? false };
    if (!agent)
      options.createConnection = () => {
        plain = net.connect({ host: '127.0.0.1', port: this.port, noDelay: true });
        plain.on('error', (error) => request.destroy(error));
        return tls.connect({ ...this.tls, socket: plain });
      };
    const request = https.request(options);
    const exchange = new Exchange(order, limitMs, () => {
      if (plain && order.leave?.isReset) plain.resetAndDestroy();
      request.destroy();
    });
    request.on('error', (error) => exchange.finish('broken', error.code ?? error.message));
    request.on('response', (response) => {
      exchange.head(response.statusCode, response.headers);
      response.on('data', (piece) => exchange.data(piece) && response.pause());
      response.on('end', () => exchange.finish(response.complete ? 'answered' : 'broken', 'cut'));
      response.on('error', (error) => exchange.finish('broken', error.code ?? error.message));
    });
    sendBody(exchange, request, payload);
    return exchange.over;
  }

  #overHttp2(order, limitMs, own) {
    const session = own ?? this.#session();
    const payload = payloadOf(order);
    const { 'content-length': length, ...headers } = headersOf(this.key, payload);
    const stream = session.request({ ':path': order.target ?? '/v1/chat/completions', ':method': payload ? 'POST' : 'GET', ...headers, ...(length ? { 'content-length': String(length) } : {}) });
    const exchange = new Exchange(order, limitMs, () => (own ? own.destroy() : stream.close(http2.constants.NGHTTP2_CANCEL)));
    stream.on('response', ({ ':status': status, ...rest }) => exchange.head(status, rest));
    stream.on('data', (piece) => exchange.data(piece) && stream.pause());
    stream.on('end', () => (exchange.isEnded = true));
    stream.on('error', (error) => exchange.finish('broken', error.message));
    stream.on('close', () => exchange.finish(exchange.isEnded && stream.rstCode === 0 && exchange.answer.status ? 'answered' : 'broken', `closed with ${stream.rstCode}`));
    sendBody(exchange, stream, payload);
    return exchange.over;
  }

  /** A session with room; one that has served enough ends by itself. */
  #session() {
    const i = this.random(this.sessions.length);
    const session = this.sessions[i];
    if (session && !session.isSpent && !session.closed && !session.destroyed && session.served++ < REQUESTS_A_SESSION) return session;
    session?.close();
    return (this.sessions[i] = this.#connect());
  }

  #connect() {
    const session = http2.connect(`https://localhost:${this.port}`, { ca: this.tls.ca, createConnection: () => tls.connect({ ...this.tls, ALPNProtocols: ['h2'] }) });
    session.served = 1;
    session.on('error', () => {}); // each of its streams has it too
    session.on('goaway', () => (session.isSpent = true));
    return session;
  }

  /** Somebody who connects, says something or nothing, and leaves without a request. */
  async visit() {
    const socket = net.connect({ host: '127.0.0.1', port: this.port });
    socket.on('error', () => {});
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    if (this.random(2)) socket.write(Buffer.from('160301020001', 'hex'));
    setTimeout(() => socket.destroy(), this.random(1000));
    await new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', resolve)));
    clearTimeout(timer);
  }

  close() {
    for (const agent of this.kept) agent.destroy();
    for (const session of this.sessions) session?.close();
  }
}
