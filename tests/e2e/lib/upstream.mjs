// An upstream by hand: what it says, and when, is the test's. Plain HTTP/1.1, or HTTP/2 over TLS.
import http from 'node:http';
import http2 from 'node:http2';

export const EVENTS = { 'content-type': 'text/event-stream' };
export const JSON_TYPE = { 'content-type': 'application/json' };

export const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
const usage = { input_tokens: 3, output_tokens: 4 };
export const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-5-5', content: [], stop_reason: null, usage };

/** The events of an answer that is one text. */
export const START = event({ type: 'message_start', message });
export const BLOCK = event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
export const PING = event({ type: 'ping' });
export const delta = (text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } });
export const STOP = event({ type: 'content_block_stop', index: 0 });
export const REASON = event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage });
export const END = event({ type: 'message_stop' });
export const LAST = STOP + REASON + END;
export const errorEvent = (type, text = 'no room') => event({ type: 'error', error: { type, message: text } });

/**
 * `answer(res, body, n)` is asked for every message; n counts them from 1. `certificate`: speaks
 * HTTP/2 over TLS, else HTTP/1.1. Returns {url, settings, stop}.
 */
export async function startUpstream(answer, certificate = null) {
  let n = 0;
  const serve = async (req, res) => {
    res.on('error', () => {});
    req.on('error', () => {});
    let body = '';
    for await (const piece of req.setEncoding('utf8')) body += piece;
    if (req.method === 'GET') return res.writeHead(200, JSON_TYPE).end('{"data":[]}');
    return answer(res, body, ++n);
  };
  const pass = (req, res) => serve(req, res).catch(() => {}); // the proxy may leave at any time
  const server = certificate ? http2.createSecureServer({ cert: certificate.certPem, key: certificate.keyPem }, pass) : http.createServer(pass);
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => {});
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${certificate ? 'https://localhost' : 'http://127.0.0.1'}:${server.address().port}`,
    get calls() {
      return n;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
