// What is kept to itself: keys and hosts in what clients are told, bodies in what is logged.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';

import { PNG, argsOf, dataUrl } from './lib/content.mjs';
import { ask, chat, eventData, request, send } from './lib/http.mjs';
import { BLOCK, EVENTS, JSON_TYPE, START, delta, event, startUpstream } from './lib/upstream.mjs';
import { MODEL, PROXY_KEY, UPSTREAM_KEY, sleep, startProxy, startSim, until } from './lib/process.mjs';

const SECOND_KEY = 'gateway-key-of-no-known-form-1618';

describe('errors of the upstream reach clients without', () => {
  let upstream, proxy;
  const said = (n) => `key ${UPSTREAM_KEY}, ${SECOND_KEY} or Bearer ${PROXY_KEY} refused by ${upstream.url} at 10.11.12.13:8080, host llm.corp.internal:4000 (${n})`;
  const error = (type) => ({ type: 'error', error: { type, message: said(type) } });
  const refuse = (status, type) => (res) => res.writeHead(status, { ...JSON_TYPE, 'x-internal': said('header') }).end(JSON.stringify(error(type)));
  const within = (...pieces) => (res) => res.writeHead(200, EVENTS).end(pieces.join('') + event(error('api_error')));
  const answers = {
    'status 400': refuse(400, 'invalid_request_error'),
    'status 401': refuse(401, 'authentication_error'),
    'status 500': refuse(500, 'api_error'),
    'another envelope': (res) => res.writeHead(502, JSON_TYPE).end(JSON.stringify({ error: said('text') })),
    'a page': (res) => res.writeHead(502, { 'content-type': 'text/html' }).end(`<html>${said('page')}</html>`),
    'a 200 that is an error': (res) => res.writeHead(200, JSON_TYPE).end(JSON.stringify(error('api_error'))),
    'an event before the answer': within(),
    'an event behind its start': within(START),
    'an event within the answer': within(START, BLOCK, delta('Hello')),
  };

  before(async () => {
    upstream = await startUpstream((res, body) => answers[Object.keys(answers).find((name) => body.includes(`<${name}>`))](res));
    proxy = await startProxy(upstream, { ANTHROPIC_API_KEY: `${UPSTREAM_KEY},${SECOND_KEY}`, METRICS_KEY: 'a-key-for-metrics' });
  });
  after(async () => {
    await proxy?.stop();
    await upstream?.stop();
  });

  for (const name of Object.keys(answers))
    it(`keys and hosts: ${name}`, async () => {
      for (const stream of [false, true]) {
        const got = await send(proxy.port, chat(ask(`<${name}>`, { stream })));
        const { message } = (got.json ?? JSON.parse(eventData(got.text).at(-1))).error;
        if (!/page/.test(name)) assert.match(message, /key \*\*\*, \*\*\* or Bearer \*\*\* refused by https?:\/\/\*\*\* at \*\*\*, host \*\*\* \(/);
        const whole = JSON.stringify(got.headers) + got.text;
        for (const secret of [UPSTREAM_KEY, SECOND_KEY, PROXY_KEY, '127.0.0.1', '10.11.12.13', 'corp.internal', new URL(upstream.url).port])
          assert.ok(!whole.includes(secret), `${secret} in ${whole}`);
      }
    });
});

describe('an upstream that is not reached', () => {
  const PASSWORD = 'proxy-password-141421';
  const closedPort = async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
  };

  it('is told by no host, no port and no proxy', async () => {
    const port = await closedPort();
    const refusing = net.createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(`HTTP/1.1 407 Denied for user:${PASSWORD}\r\n\r\n`))).listen(0, '127.0.0.1');
    await new Promise((resolve) => refusing.once('listening', resolve));
    const cases = [
      [`http://127.0.0.1:${port}`, {}],
      ['https://no-such-host.internal', {}],
      ['https://no-such-host.internal', { HTTPS_PROXY: `http://user:${PASSWORD}@127.0.0.1:${port}` }],
      ['https://no-such-host.internal', { HTTPS_PROXY: `http://user:${PASSWORD}@127.0.0.1:${refusing.address().port}` }],
      ['http://no-such-host.internal', { HTTP_PROXY: `http://user:${PASSWORD}@127.0.0.1:${refusing.address().port}` }],
    ];
    try {
      for (const [url, env] of cases) {
        const proxy = await startProxy(url, { LOG_LEVEL: 'trace', CONNECT_TIMEOUT: '5', ...env });
        const got = await send(proxy.port, chat(ask('Hi')));
        await proxy.stop();
        assert.ok([407, 502].includes(got.status), String(got.status));
        for (const secret of ['127.0.0.1', 'no-such-host', 'user', PASSWORD, String(port)]) assert.ok(!got.text.includes(secret), got.text);
        assert.ok(!proxy.stderr.includes(PASSWORD), proxy.stderr);
        assert.ok(!proxy.stderr.includes(Buffer.from(`user:${PASSWORD}`).toString('base64')), proxy.stderr);
      }
    } finally {
      refusing.close();
    }
  });
});

describe('the log', () => {
  let sim;
  before(async () => (sim = await startSim()));
  after(() => sim?.stop());

  const mark = (() => {
    let n = 0;
    return () => `MARK${(n++).toString().padStart(3, '0')}secret`;
  })();
  const user = (content) => ({ role: 'user', content });
  const tool = (name, properties) => ({ type: 'function', function: { name, description: mark(), parameters: { type: 'object', properties } } });

  /** Requests whose values, and whose answers', are marked all over. */
  const requests = () => [
    ask(`${mark()} [[sim: text="${mark()}"]]`, { messages: [{ role: 'system', content: mark() }, user(mark()), { role: 'assistant', content: mark() }, user(`${mark()} [[sim: text="${mark()}"]]`)] }),
    ask(`${mark()} [[sim: tool=look ${argsOf({ q: mark() })}]]`, { tools: [tool('look', { q: { type: 'string', description: mark() } })] }),
    {
      model: MODEL,
      messages: [
        user(mark()),
        { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'look', arguments: JSON.stringify({ q: mark() }) } }] },
        { role: 'tool', tool_call_id: 'call_1', content: mark() },
      ],
      tools: [tool('look', {})],
    },
    ask([{ type: 'text', text: mark() }, { type: 'image_url', image_url: { url: dataUrl('image/png', Buffer.concat([PNG, Buffer.from(mark())])) } }]),
    ask([{ type: 'image_url', image_url: { url: `https://${mark()}.example/${mark()}` } }]),
    ask(mark(), { metadata: { a: mark() }, user: mark(), stop: [mark()], seed: 7, unknown_field: mark(), response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object', properties: {}, additionalProperties: false, description: mark() } } } }),
    ask(`${mark()} [[sim: think=text text="${mark()}"]]`, { reasoning_effort: 'high' }),
    ask(`${mark()} [[sim: json text="no JSON ${mark()}"]]`, { response_format: { type: 'json_object' } }),
    ask(`${mark()} [[sim: status=400 message="${mark()}"]]`),
    ask(`${mark()} [[sim: status=529 message="${mark()}"]]`),
    ask(`${mark()} [[sim: text="${mark()}" cut=1]]`),
    ask(mark(), { temperature: mark() }),
    ask(mark(), { messages: [{ role: mark(), content: mark() }] }),
    ask(mark(), { messages: [user({ [`${mark()}`]: mark() })] }),
  ];

  for (const format of ['text', 'json'])
    it(`holds nothing of a body at any level, as ${format}`, async (t) => {
      const upstream = await startUpstream((res) => res.writeHead(500, JSON_TYPE).end(JSON.stringify({ type: 'error', error: { type: mark(), message: mark(), details: { error_code: mark() } } })));
      const env = { LOG_LEVEL: 'trace', LOG_FORMAT: format, RETRIES: '1' };
      const proxies = [await startProxy(sim, env), await startProxy(upstream, env)];
      let n = 0;
      for (const proxy of proxies) {
        const bodies = requests().flatMap((body) => [body, { ...body, stream: true, stream_options: { include_usage: true } }]).map((body) => JSON.stringify(body));
        const broken = `{"model": "${MODEL}", "messages": [{"role": "user", "content": "${mark()}" `;
        for (const body of [...bodies, broken]) {
          await send(proxy.port, chat(body));
          n++;
        }
        await send(proxy.port, chat(ask(mark()), { key: mark() }));
        await send(proxy.port, request('POST', `/v1/chat/completions?key=${mark()}`, { body: ask(mark()), headers: { 'x-more': mark(), cookie: mark() } }));
        await send(proxy.port, Buffer.from(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${mark()}: \x01\r\n\r\n`));
        await until('all is logged', () => proxy.stderr.split('/v1/chat/completions').length > bodies.length);
        await sleep(50);
      }
      for (const proxy of proxies) await proxy.stop();
      await upstream.stop();
      for (const proxy of proxies) {
        const line = proxy.stderr.split('\n').find((text) => /MARK\d+secret/i.test(text));
        assert.equal(line, undefined);
        for (const key of [UPSTREAM_KEY, PROXY_KEY]) assert.ok(!proxy.stderr.includes(key));
        assert.match(proxy.stderr, /setting/, 'the log is not that of the lowest level');
      }
      t.diagnostic(`count: ${n} marked requests at LOG_LEVEL=trace`);
    });
});
