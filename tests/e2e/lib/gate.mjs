// An upstream that answers a call when the test says so, and counts how many are open at once.
import http from 'node:http';

import { sleep, until } from './process.mjs';

const event = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;

/** The events of an answer; its first part ends with its first content. */
export function answerEvents({ text = 'ok', input = 5, output = 2 } = {}) {
  const message = { id: 'msg_gate', type: 'message', role: 'assistant', model: 'claude-haiku-5-5', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: input, output_tokens: 1 } };
  return [
    event('message_start', { message }) +
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    event('content_block_stop', { index: 0 }) +
      event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: output } }) +
      event('message_stop', {}),
  ];
}

/** One call: `tag` is its last message, `isOpen` until it is answered or given up. */
class Call {
  constructor(body, res, isOpen) {
    this.tag = body.messages.at(-1).content;
    if (Array.isArray(this.tag)) this.tag = this.tag.map(({ text }) => text).join('');
    this.res = res;
    this.isOpen = isOpen;
  }

  begin(options) {
    this.res.writeHead(200, { 'content-type': 'text/event-stream' });
    this.res.write(answerEvents(options)[0]);
  }
  end(options) {
    this.res.end(answerEvents(options)[1]);
  }
  answer(options) {
    this.begin(options);
    this.end(options);
  }
  refuse(status, type, headers = {}) {
    this.res.writeHead(status, { 'content-type': 'application/json', ...headers });
    this.res.end(JSON.stringify({ type: 'error', error: { type, message: `a ${type}` } }));
  }
}

export class Gate {
  /** `onCall(call)` is told of each; without it the test answers them. */
  static async start(onCall = () => {}) {
    const gate = new Gate();
    gate.calls = [];
    gate.most = 0;
    gate.onCall = onCall;
    gate.server = http.createServer((req, res) => gate.#serve(req, res)).on('connection', (socket) => socket.setNoDelay(true));
    await new Promise((resolve) => gate.server.listen(0, '127.0.0.1', resolve));
    gate.url = `http://127.0.0.1:${gate.server.address().port}`;
    return gate;
  }

  async #serve(req, res) {
    const pieces = [];
    let call = { isOpen: true };
    res.on('close', () => (call.isOpen = false));
    for await (const piece of req.on('error', () => {})) pieces.push(piece);
    if (!req.url.startsWith('/v1/messages')) return res.writeHead(404).end();
    const { isOpen } = call;
    call = new Call(JSON.parse(Buffer.concat(pieces).toString()), res, isOpen);
    this.calls.push(call);
    // What was closed before this call was sent may be noticed after it: the least of a moment counts.
    let least = Infinity;
    for (let i = 0; i < 4; i++) {
      await sleep(2);
      least = Math.min(least, this.open.length);
    }
    this.most = Math.max(this.most, least);
    return this.onCall(call);
  }

  get open() {
    return this.calls.filter((call) => call.isOpen);
  }
  get tags() {
    return this.calls.map(({ tag }) => tag);
  }
  /** Waits for call number `n`, from 1. */
  call(n) {
    return until(`${n} calls`, () => this.calls[n - 1]);
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
