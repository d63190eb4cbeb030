// Upstreams that are not Anthropic: gateways that answer in other forms, and broken or hostile
// ones. Whatever they do is an answer or an error in time, within bounded memory.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import { describe, it } from 'node:test';

import { ask, chat, readStream, send } from './lib/http.mjs';
import { Server, isSanitized, startProxy, startSim } from './lib/process.mjs';

const MB = 1 << 20;
const JSON_TYPE = { 'content-type': 'application/json' };
const SSE_TYPE = { 'content-type': 'text/event-stream' };
const message = (text) => JSON.stringify({
  id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text }],
  stop_reason: 'end_turn', usage: { input_tokens: 3, output_tokens: 4 },
});
const event = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const start = event({ type: 'message_start', message: { ...JSON.parse(message('')), content: [], stop_reason: null } })
  + event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
const delta = (text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } });
const end = event({ type: 'content_block_stop', index: 0 })
  + event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } })
  + event({ type: 'message_stop' });

/** Runs `use(proxy)` with an upstream whose every message request `answer(res, req)` answers. */
async function withUpstream(answer, use, env = {}) {
  const server = http.createServer((req, res) => {
    req.on('error', () => {});
    res.on('error', () => {});
    if (req.url.split('?')[0] === '/v1/models') return res.writeHead(404).end();
    return answer(res, req);
  });
  server.on('clientError', () => {});
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await startProxy(`http://127.0.0.1:${server.address().port}`, env);
  try {
    await use(proxy);
  } finally {
    server.closeAllConnections();
    server.close();
    await proxy.stop();
  }
}
const afterBody = (answer) => (res, req) => req.resume().on('end', () => answer(res, req));

/** Both kinds of answer: {whole, stream}. */
async function askBoth(proxy) {
  const whole = await send(proxy.port, chat(ask('x')));
  const stream = await send(proxy.port, chat(ask('x', { stream: true })));
  return [whole, stream];
}
function checkTexts([whole, stream], text) {
  assert.equal(whole.status, 200, whole.text);
  assert.equal(whole.json.choices[0].message.content, text);
  assert.equal(stream.status, 200, stream.text);
  assert.equal(readStream(stream.text).content, text);
}
function checkErrors(answers, status) {
  for (const answer of answers) {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.json.error.type, 'server_error');
  }
}
/** Writes the same piece for as long as the other side takes it. */
function writeForever(to, piece) {
  const on = () => {
    while (!to.destroyed && to.write(piece));
    to.once('drain', on);
  };
  to.on('error', () => {});
  on();
}

describe('answers in other forms', () => {
  const forms = [
    ['a JSON message to a request for a stream', (res) => res.writeHead(200, JSON_TYPE).end(message('hello'))],
    ['an early hint in front', (res) => {
      res.writeEarlyHints({ link: '</a>; rel=preload' });
      res.writeHead(200, JSON_TYPE).end(message('hello'));
    }],
    ['no Content-Length, ended by the connection', (res) => {
      res.useChunkedEncodingByDefault = false;
      res.shouldKeepAlive = false;
      res.writeHead(200, { ...SSE_TYPE, connection: 'close' });
      res.end(start + delta('hello') + end);
    }],
    ['comments, retry and id lines, unnamed events', (res) => res.writeHead(200, SSE_TYPE).end(`: hi\nretry: 10\n\nid: 7\n${(start + delta('hello') + end).replaceAll(/^event: .*\n/gm, '')}`)],
    ['data over two lines', (res) => res.writeHead(200, SSE_TYPE).end((start + delta('hello') + end).replaceAll('"type"', '\ndata: "type"').replaceAll('{\ndata: "type"', '{\ndata:"type"'))],
  ];
  for (const [name, answer] of forms)
    it(name, async () => {
      await withUpstream(afterBody(answer), async (proxy) => checkTexts(await askBoth(proxy), 'hello'));
    });

  it('a delta of 8 MB', async () => {
    const text = 'y'.repeat(8 * MB);
    await withUpstream(afterBody((res) => res.writeHead(200, SSE_TYPE).end(start + delta(text) + end)), async (proxy) => checkTexts(await askBoth(proxy), text));
  });

  it('a kept connection that the upstream drops when it is used again', async () => {
    const seen = new WeakSet();
    const answer = (res, req) => {
      if (seen.has(req.socket)) return req.socket.destroy();
      seen.add(req.socket);
      return res.writeHead(200, JSON_TYPE).end(message('hello'));
    };
    await withUpstream(afterBody(answer), async (proxy) => checkTexts(await askBoth(proxy), 'hello'));
  });

  it('an answer that is no JSON is asked for again of an upstream that does not stream', async () => {
    const texts = ['None.', '{"a":1}', 'None.', 'None again.'];
    const bodies = [];
    const answer = afterBody((res) => res.writeHead(200, JSON_TYPE).end(message(texts[bodies.length - 1])));
    const counted = (res, req) => {
      bodies.push(req.headers['content-length']);
      answer(res, req);
    };
    await withUpstream(counted, async (proxy) => {
      const asked = () => send(proxy.port, chat(ask('x', { response_format: { type: 'json_object' } })));
      const mended = await asked();
      assert.equal(mended.json.choices[0].message.content, '{"a":1}');
      assert.equal(mended.json.usage.total_tokens, 14);
      assert.equal(mended.headers['x-response-format-unmet'], undefined);
      const unmet = await asked();
      assert.equal(unmet.json.choices[0].message.content, 'None again.');
      assert.equal(unmet.headers['x-response-format-unmet'], '$: not JSON');
      assert.equal(bodies.length, 4);
    });
  });
  it('an error while the body is still being sent', async () => {
    const answer = (res) => res.writeHead(413, { ...JSON_TYPE, connection: 'close' }).end('{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}');
    await withUpstream(answer, async (proxy) => {
      const refused = await send(proxy.port, chat(ask('x'.repeat(20 * MB))));
      assert.equal(refused.status, 413, refused.text);
      assert.equal(refused.json.error.code, 'request_too_large');
    });
  });

  it('more requests than UPSTREAM_CONNECTIONS wait for their turn', async () => {
    let open = 0;
    let most = 0;
    const answer = (res) => {
      most = Math.max(most, ++open);
      setTimeout(() => (open--, res.writeHead(200, JSON_TYPE).end(message('hello'))), 50);
    };
    await withUpstream(afterBody(answer), async (proxy) => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => send(proxy.port, chat(ask('x')))));
      assert.ok(answers.every(({ status }) => status === 200));
      assert.equal(most, 3);
    }, { UPSTREAM_CONNECTIONS: '3', WORKERS: '1' });
  });
});

describe('answers that are none', () => {
  const nones = [
    ['gzip that nobody asked for', 502, (res) => res.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(zlib.gzipSync(message('hello')))],
    ['the page of a captive portal', 502, (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>')],
    ['a redirect', 502, (res) => res.writeHead(302, { location: 'https://example.com/' }).end()],
    ['nothing', 502, (res) => res.writeHead(200, JSON_TYPE).end()],
    ['a JSON value that is no message', 502, (res) => res.writeHead(200, JSON_TYPE).end('[1]')],
    ['a head and then silence', 504, (res) => res.writeHead(200, SSE_TYPE).flushHeaders()],
    ['a line without end', 502, (res) => (res.writeHead(200, SSE_TYPE), writeForever(res, 'data: x'.repeat(9000)))],
    ['JSON without end', 502, (res) => (res.writeHead(200, JSON_TYPE), res.write('{"id":"'), writeForever(res, 'x'.repeat(65536)))],
    ['headers without end', 502, (res, req) => (req.socket.write('HTTP/1.1 200 OK\r\n'), writeForever(req.socket, `x-a: ${'b'.repeat(6000)}\r\n`))],
    ['no HTTP', 502, (res, req) => req.socket.end('220 mail.example ESMTP\r\n')],
    ['two lengths', 502, (res, req) => req.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello')],
    ['a broken chunk', 502, (res, req) => req.socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')],
    ['less than its length', 502, (res, req) => req.socket.end('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"type":"message"')],
  ];
  for (const [name, status, answer] of nones)
    it(`${name}: ${status}`, async () => {
      await withUpstream(afterBody(answer), async (proxy) => {
        const before = proxy.residentBytes();
        checkErrors(await askBoth(proxy), status);
        if (!isSanitized) assert.ok(proxy.residentBytes() - before < 40 * MB);
      }, { REQUEST_TIMEOUT: '1' });
    });

  it('JSON nested two million deep within an event: an error, not a crash', async () => {
    const deep = `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}}\n\n`;
    await withUpstream(afterBody((res) => res.writeHead(200, SSE_TYPE).end(start + delta('hello') + deep + end)), async (proxy) => {
      for (const answer of await askBoth(proxy)) assert.ok(answer.status >= 500 || readStream(answer.text).error, answer.text.slice(0, 300));
    });
  });
});

describe('addresses', () => {
  it('an upstream on IPv6, and a name', async (t) => {
    const probe = net.createServer();
    const hasV6 = await new Promise((resolve) => probe.once('error', () => resolve(false)).listen(0, '::1', () => resolve(true)));
    probe.close();
    if (!hasV6) return t.skip('no IPv6 on the loopback interface');
    const v6 = await Server.start(['sim', '--port', '0', '--host', '::1']);
    const v4 = await startSim();
    try {
      for (const url of [`http://[::1]:${v6.port}`, `http://localhost:${v4.port}`]) {
        const proxy = await startProxy(url, { HOST: '::1' });
        try {
          const answer = await send(proxy.port, chat(ask('[[sim: text=six]]')), { host: '::1' });
          assert.equal(answer.json.choices?.[0].message.content, 'six', `${url}: ${answer.text}`);
        } finally {
          await proxy.stop();
        }
      }
    } finally {
      await v6.stop();
      await v4.stop();
    }
    return undefined;
  });
});
