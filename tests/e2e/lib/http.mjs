// HTTP/1.1 by hand: for what no well-behaved client library would send, and to see every byte.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';

import { PROXY_KEY, sleep } from './process.mjs';

const WAIT_MS = 15_000;

/** A connection whose incoming bytes are kept until somebody reads them. */
export class Connection {
  /** `secure`: options of tls.connect, for HTTPS. */
  static async open(port, { host = '127.0.0.1', secure } = {}) {
    const socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    if (secure) return Connection.#secure(socket, secure);
    return new Connection(socket);
  }

  static async #secure(plain, options) {
    const socket = tls.connect({ socket: plain, servername: 'localhost', allowHalfOpen: true, ...options });
    await new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject);
      plain.once('close', () => reject(new Error('closed in the handshake')));
    });
    return new Connection(socket, plain);
  }

  /** `plain`: the socket below TLS. */
  constructor(socket, plain = socket) {
    this.socket = socket;
    this.plain = plain;
    this.data = Buffer.alloc(0);
    this.isEnded = false;
    socket.on('data', (piece) => {
      this.data = this.data.length ? Buffer.concat([this.data, piece]) : piece;
      this.#wake();
    });
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
    socket.on('error', (error) => (this.error = error)); // a reset is an end like another
  }

  #wakeUp = () => {};
  #wake() {
    this.#wakeUp();
  }
  #end() {
    this.isEnded = true;
    this.#wake();
  }

  write(data) {
    return new Promise((resolve) => this.socket.write(data, () => resolve()));
  }

  /** FIN: we will say no more. */
  finish() {
    this.socket.end();
  }
  /** FIN in both directions, as a program does that closes. */
  close() {
    this.socket.destroy();
  }
  /** RST. */
  reset() {
    this.plain.resetAndDestroy();
  }

  /** Waits until `done(this)` is truthy, more bytes or the end waking it; returns what it gave. */
  async wait(what, done, ms = WAIT_MS) {
    const end = Date.now() + ms;
    for (;;) {
      const value = done(this);
      if (value) return value;
      const left = end - Date.now();
      if (left <= 0)
        assert.fail(`after ${ms} ms still not: ${what}; got ${JSON.stringify(this.data.toString('latin1').slice(-500))}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Takes `n` bytes. */
  async #take(n, ms) {
    await this.wait(`${n} bytes`, () => this.data.length >= n || this.isEnded, ms);
    assert.ok(this.data.length >= n, `the connection ended within an answer: ${this.data.toString('latin1').slice(-300)}`);
    const piece = this.data.subarray(0, n);
    this.data = this.data.subarray(n);
    return piece;
  }
  async #takeThrough(mark, ms) {
    await this.wait(`a ${JSON.stringify(mark)}`, () => this.data.includes(mark) || this.isEnded, ms);
    const at = this.data.indexOf(mark);
    assert.ok(at >= 0, `the connection ended within an answer: ${this.data.toString('latin1').slice(-300)}`);
    return (await this.#take(at + mark.length)).toString('latin1');
  }

  /** The head of the next answer. */
  async head(ms = WAIT_MS) {
    const [first, ...lines] = (await this.#takeThrough('\r\n\r\n', ms)).trimEnd().split('\r\n');
    const [, version, status] = /^HTTP\/(1\.[01]) (\d{3})/.exec(first) ?? assert.fail(`no status line: ${first}`);
    const headers = {};
    for (const line of lines) {
      const [, name, value] = /^([^\s:]+):\s*(.*?)\s*$/.exec(line) ?? assert.fail(`no header: ${line}`);
      assert.ok(!(name.toLowerCase() in headers), `header ${name} comes twice`);
      headers[name.toLowerCase()] = value;
    }
    return { version, status: Number(status), headers };
  }

  /** The next answer, whole. `isHead`: to a HEAD request. */
  async answer({ isHead = false, ms = WAIT_MS } = {}) {
    const answer = await this.head(ms);
    const { status, headers } = answer;
    if (isHead || status < 200 || status === 204 || status === 304) answer.body = Buffer.alloc(0);
    else if (headers['transfer-encoding'] === 'chunked') answer.body = await this.#chunks(ms);
    else if ('content-length' in headers) answer.body = await this.#take(Number(headers['content-length']), ms);
    else answer.body = await this.#rest(ms);
    answer.text = answer.body.toString('utf8');
    if (/json/.test(headers['content-type']) && !isHead) answer.json = JSON.parse(answer.text);
    return answer;
  }
  async #chunks(ms) {
    const pieces = [];
    for (;;) {
      const size = parseInt(await this.#takeThrough('\r\n', ms), 16);
      pieces.push(await this.#take(size, ms));
      assert.equal((await this.#take(2, ms)).toString(), '\r\n');
      if (size === 0) return Buffer.concat(pieces);
    }
  }
  async #rest(ms) {
    await this.wait('the end', () => this.isEnded, ms);
    const rest = this.data;
    this.data = Buffer.alloc(0);
    return rest;
  }

  /** Waits for the other side to close. */
  async closed(ms = WAIT_MS) {
    await this.wait('closed by the other side', () => this.isEnded, ms);
  }
}

/** The text of a request. `body`: a string, a Buffer or a value to send as JSON. */
export function request(method, target, { body, headers = {}, key = PROXY_KEY, version = '1.1' } = {}) {
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const all = {
    host: 'localhost',
    ...(key ? { authorization: `Bearer ${key}` } : {}),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/${version}\r\n${lines.join('')}\r\n`), bytes]);
}

export const chat = (body, options = {}) => request('POST', '/v1/chat/completions', { body, ...options });

/** A chat request's body with one user message. */
export const ask = (content, more = {}) => ({ model: 'claude-haiku-5-5', messages: [{ role: 'user', content }], ...more });

/** Sends one request on a connection of its own and returns the answer. */
export async function send(port, bytes, options) {
  const connection = await Connection.open(port, options);
  try {
    await connection.write(bytes);
    return await connection.answer(options);
  } finally {
    connection.close();
  }
}

/** Data of every event of an SSE text, comments left out; asserts that nothing else is in it. */
export function eventData(text) {
  assert.ok(text === '' || text.endsWith('\n\n'), `the stream ends within an event: ${JSON.stringify(text.slice(-200))}`);
  const data = [];
  for (const event of text.split('\n\n').slice(0, -1)) {
    if (event.startsWith(':')) continue;
    assert.match(event, /^data: [^\n]*$/, 'an event is one data line');
    data.push(event.slice(6));
  }
  return data;
}

/** A delta of a tool call: the first names it, those behind it bring arguments alone. */
function addCall(calls, { index, ...delta }) {
  if (delta.id) {
    assert.equal(index, calls.length, 'tool calls are numbered from 0 without gaps');
    calls.push({ ...delta, function: delta.function && { ...delta.function } });
  } else if (delta.custom) {
    calls[index].custom.input += delta.custom.input;
  } else {
    assert.deepEqual(Object.keys(delta), ['function']);
    calls[index].function.arguments += delta.function.arguments;
  }
}

/**
 * Reads an OpenAI stream: {chunks, content, calls, finish, usage}, or with `error` where it ended in one.
 * Checks what must hold of every stream.
 */
export function readStream(text, { index = 0, choices = 1 } = {}) {
  const data = eventData(text);
  const result = { chunks: [], content: '', reasoning: '', refusal: '', calls: [], finish: null, usage: null, error: null };
  const isDone = data.at(-1) === '[DONE]';
  let isFirst = true;
  for (const [i, piece] of (isDone ? data.slice(0, -1) : data).entries()) {
    const chunk = JSON.parse(piece);
    if (chunk.error) {
      assert.equal(i, data.length - (isDone ? 2 : 1), 'an error is the last event');
      result.error = chunk.error;
      return result;
    }
    result.chunks.push(chunk);
    assert.equal(chunk.object, 'chat.completion.chunk');
    assert.equal(chunk.id, result.chunks[0].id);
    assert.equal(chunk.model, result.chunks[0].model);
    assert.equal(chunk.created, result.chunks[0].created);
    if (chunk.usage) result.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    assert.ok(choice.index < choices, `choice ${choice.index} of ${choices}`);
    if (choice.index !== index) continue;
    assert.equal('role' in choice.delta, isFirst, 'the role comes once, first');
    isFirst = false;
    assert.equal(result.finish, null, 'nothing but usage comes behind the finish reason');
    result.content += choice.delta.content ?? '';
    result.reasoning += choice.delta.reasoning_content ?? '';
    result.refusal += choice.delta.refusal ?? '';
    for (const call of choice.delta.tool_calls ?? []) addCall(result.calls, call);
    result.finish = choice.finish_reason;
  }
  assert.ok(isDone, 'a stream without an error ends with [DONE]');
  assert.ok(result.finish, 'a stream without an error has a finish reason');
  return result;
}

/** A stream that runs in the background: `check` waits for its end and compares it with `expected`. */
export async function watchStream(port, content, expected, options) {
  const connection = await Connection.open(port, options);
  await connection.write(chat(ask(content, { stream: true })));
  await connection.wait('the first content', (c) => c.data.includes('"content":"') && c.data.includes('\n\n'));
  return {
    connection,
    async check(ms = 60_000) {
      const answer = await connection.answer({ ms });
      connection.close();
      assert.equal(answer.status, 200);
      const stream = readStream(answer.text);
      assert.equal(stream.error, null);
      assert.equal(stream.content, expected);
      assert.equal(stream.finish, 'stop');
    },
  };
}

export { sleep };
