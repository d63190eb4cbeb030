// An upstream that keeps every request it gets and passes it on to another: what the proxy really
// sends, and when it lets go.
import http from 'node:http';

export class Recorder {
  /**
   * `target(call)` gives the URL to pass a request on to, or {status, headers, body} to answer
   * at once; `url` may be the plain base URL of the next server.
   */
  static async start(target) {
    const recorder = new Recorder(target);
    await new Promise((resolve) => recorder.server.listen(0, '127.0.0.1', resolve));
    recorder.url = `http://127.0.0.1:${recorder.server.address().port}`;
    return recorder;
  }

  constructor(target) {
    this.calls = [];
    this.messages = []; // those of /v1/messages alone: the proxy asks for the models when it likes
    this.keepsAnswers = false; // as call.answer, for who wants to see what was passed back
    this.target = typeof target === 'string' ? ({ url }) => target + url : target;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
    this.server = http.createServer((req, res) => this.#serve(req, res));
    this.server.requestTimeout = 0;
    this.server.on('connection', (socket) => socket.setNoDelay(true));
  }

  get last() {
    return this.messages.at(-1);
  }
  find(tag) {
    return this.messages.findLast((call) => call.raw.includes(tag));
  }

  async #serve(req, res) {
    const pieces = [];
    for await (const piece of req.on('error', () => {})) pieces.push(piece);
    const raw = Buffer.concat(pieces).toString('utf8');
    const call = { at: Date.now(), method: req.method, url: req.url, headers: req.headers, raw, body: raw ? JSON.parse(raw) : null };
    this.calls.push(call);
    if (req.url.split('?')[0].endsWith('/v1/messages')) this.messages.push(call);
    res.on('close', () => {
      call[res.writableFinished ? 'finishedAtMs' : 'abortedAtMs'] = Date.now();
    });
    const target = this.target(call);
    if (typeof target !== 'string') {
      res.writeHead(target.status, { 'content-type': 'application/json', ...target.headers });
      return res.end(target.body);
    }
    const onward = http.request(target, { method: req.method, headers: req.headers, agent: this.agent });
    onward.setNoDelay(true);
    onward.on('error', () => res.destroy());
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      res.flushHeaders();
      if (this.keepsAnswers) {
        call.answer = '';
        answer.setEncoding('utf8').on('data', (piece) => (call.answer += piece));
      }
      answer.on('data', (piece) => res.write(piece) || answer.pause());
      res.on('drain', () => answer.resume());
      answer.on('end', () => res.end());
      answer.on('error', () => res.destroy()); // a cut stays a cut
    });
    res.on('close', () => onward.destroy());
    return onward.end(raw);
  }

  async stop() {
    this.agent.destroy();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
