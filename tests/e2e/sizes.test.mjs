// What is too large, too deep or too much: refused by name, and the server goes on.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { readMetrics } from './lib/exposition.mjs';
import { Connection, ask, chat, request, send } from './lib/http.mjs';
import { startUpstream, EVENTS, START, BLOCK, LAST, delta } from './lib/upstream.mjs';
import { PNG } from './lib/content.mjs';
import { isSanitized, makeCertificate, sleep, startProxy, until } from './lib/process.mjs';

const MB = 1 << 20;
const answer = (res) => res.writeHead(200, EVENTS).end(START + BLOCK + delta('taken') + LAST);

let upstream, proxy;
before(async () => {
  upstream = await startUpstream(answer);
  proxy = await startProxy(upstream, { WORKERS: '2' });
});
after(async () => {
  await proxy?.stop();
  await upstream?.stop();
});

const times = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const user = (content) => ({ role: 'user', content });
const tool = (i) => ({ type: 'function', function: { name: `tool_${i}`, parameters: { type: 'object', properties: {} } } });

describe('requests of many parts', () => {
  const cases = [
    ['129 levels of JSON', 400, () => `{"model":"m","messages":${'['.repeat(128)}${']'.repeat(128)}}`],
    ['two million values', 400, () => `{"messages":[${'0,'.repeat(2_000_000)}0]}`],
    ['100,001 messages', 400, () => ask('', { messages: times(100_001, () => user('x')) })],
    ['2,049 tools', 400, () => ask('Hi', { tools: times(2049, tool) })],
    ['601 images', 400, () => ask(times(601, () => ({ type: 'image_url', image_url: { url: 'https://a.example/b.png' } })))],
    ['20,000 messages', 200, () => ask('', { messages: times(20_000, (i) => (i % 2 ? { role: 'assistant', content: 'y' } : user('x'))) })],
    ['50,000 parts', 200, () => ask(times(50_000, () => ({ type: 'text', text: 'x' })))],
    ['2,000 tools', 200, () => ask('Hi', { tools: times(2000, tool) })],
    ['2,000 unknown fields', 200, () => ask('Hi', Object.fromEntries(times(2000, (i) => [`field_${i}`, i])))],
    ['5,000 tool calls and results', 400, () => {
      const calls = times(5000, (i) => ({ id: `call_${i}`, type: 'function', function: { name: 'tool_0', arguments: '{}' } }));
      return ask('', { tools: [tool(0)], messages: [user('x'), { role: 'assistant', content: null, tool_calls: calls }, ...calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'y' }))] });
    }],
  ];
  for (const [name, status, make] of cases)
    it(`${name}: ${status}, soon`, async () => {
      const bytes = chat(make());
      const started = performance.now();
      const got = await send(proxy.port, bytes);
      const ms = performance.now() - started;
      assert.equal(got.status, status, got.text.slice(0, 300));
      if (status === 400) assert.ok(got.json.error.message.length > 10);
      assert.ok(ms < (isSanitized ? 15_000 : 2500), `${ms} ms`);
      assert.equal((await send(proxy.port, request('GET', '/health'))).status, 200);
    });
});

describe('pictures of megabytes', () => {
  const picture = (size, fill) => Buffer.concat([PNG, Buffer.alloc(size, fill)]).toString('base64');
  const pictures = [picture(2 * MB, 'ab\xff'), picture(60_000, '/+?'), picture(100, 'x'), picture(1.5 * MB, '>>?')];
  const part = (data) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } });
  const content = pictures.flatMap((data, i) => [{ type: 'text', text: `"${i}"\n\u00e9` }, part(data)]);
  const data = (body) => JSON.parse(body).messages[0].content.filter(({ type }) => type === 'image').map(({ source }) => source.data);
  const files = makeCertificate();
  const certificate = { certPem: readFileSync(files.cert), keyPem: readFileSync(files.key) };

  // Each answer in turn; the last one stays.
  const cases = [
    ['at once', {}, [answer]],
    ['again behind a failure', {}, [(res) => res.writeHead(529).end(), answer]],
    ['again behind an answer that is no JSON', { response_format: { type: 'json_object' } }, [answer, (res) => res.writeHead(200, EVENTS).end(START + BLOCK + delta('{}') + LAST)]],
  ];
  for (const protocol of ['HTTP/1.1', 'HTTP/2'])
    for (const [name, more, answers] of cases)
      it(`${protocol}: they arrive byte for byte, ${name}`, async () => {
        const bodies = [];
        const own = await startUpstream((res, body) => {
          bodies.push(body);
          answers[Math.min(bodies.length, answers.length) - 1](res);
        }, protocol === 'HTTP/2' ? certificate : null);
        const through = await startProxy(own, { RETRIES: '1', UPSTREAM_CA_FILE: files.cert });
        try {
          const got = await send(through.port, chat(ask(content, more)));
          assert.equal(got.status, 200, got.text);
          assert.equal(bodies.length, answers.length);
          for (const body of bodies) assert.ok(data(body).every((text, i) => text === pictures[i]), 'another picture');
          assert.equal(data(bodies[0]).length, pictures.length);
          assert.ok(bodies.every((body) => body === bodies[0]));
        } finally {
          await through.stop();
          await own.stop();
        }
      });
});

describe('the memory of large bodies', () => {
  // Long strings of each kind: as they are, with an escape, no ASCII; and between short ones.
  const texts = (mb) => ['x'.repeat(mb * MB), `${'y'.repeat(70_000)}"\n`, 'z', `\u00e9${'w'.repeat(70_000)}`, 'v'.repeat(65_536)];
  const make = (mb, sign) => ask(texts(mb).map((text) => ({ type: 'text', text: sign + text })));
  const chunked = (body) => Buffer.concat([request('POST', '/v1/chat/completions', { headers: { 'transfer-encoding': 'chunked' } }), Buffer.from(`${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`)]);

  it('serves the next one, and none sees what another has left', async () => {
    const seen = new Map();
    const own = await startUpstream((res, body) => {
      const said = JSON.parse(body).messages[0].content.map(({ text }) => text);
      seen.set(said[0].slice(0, 2), said);
      answer(res);
    });
    const through = await startProxy(own, { WORKERS: '1' });
    const check = async (mb, i, write = chat) => {
      const sign = `${String.fromCharCode(65 + i)}:`, body = make(mb, sign);
      assert.equal((await send(through.port, write === chat ? chat(body) : write(JSON.stringify(body)))).status, 200);
      assert.ok(texts(mb).every((text, k) => seen.get(sign)[k] === sign + text), `another text, ${mb} MB`);
    };
    try {
      for (const [i, mb] of [3, 2, 1, 5, 5, 1.5].entries()) await check(mb, i);
      await check(2, 6, chunked);
      await Promise.all([4, 2, 1, 3, 5, 2].map((mb, i) => check(mb, 7 + i, i % 2 ? chunked : chat)));
      await check(3, 13);
    } finally {
      await through.stop();
      await own.stop();
    }
  });
});

describe('BODY_MEMORY_BYTES', () => {
  const holding = (n) => chat('x'.repeat(1.5 * MB)).subarray(0, 400 + n);
  const held = async (own) => readMetrics((await send(own.port, request('GET', '/metrics', { key: 'metrics' }))).text).sum('claude_proxy_body_bytes');

  it('bounds the bodies of all clients together', async () => {
    const own = await startProxy(upstream, { BODY_MEMORY_BYTES: String(3 * MB), MAX_BODY_BYTES: String(2 * MB + 1024), METRICS_KEY: 'metrics', WORKERS: '2' });
    const holders = [await Connection.open(own.port), await Connection.open(own.port)];
    try {
      for (const holder of holders) await holder.write(holding(1.4 * MB));
      await until('the bodies are held', async () => (await held(own)) > 2.7 * MB);
      const large = ask('y'.repeat(MB));
      const checkRefused = (got) => {
        assert.equal(got.status, 503, got.text);
        assert.equal(got.json.error.code, 'overloaded');
        assert.equal(got.headers['retry-after'], '1');
      };
      // Told beforehand it is not even sent; without a length it is when it does not fit any more.
      const early = await Connection.open(own.port);
      await early.write(chat(large, { headers: { expect: '100-continue' } }).subarray(0, 300));
      checkRefused(await early.answer());
      early.close();
      const text = JSON.stringify(large);
      const chunked = Buffer.concat([request('POST', '/v1/chat/completions', { headers: { 'transfer-encoding': 'chunked' } }), Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`)]);
      checkRefused(await send(own.port, chunked));
      assert.equal((await send(own.port, chat(ask('small')))).status, 200);
      holders[0].reset();
      await until('it is given back', async () => (await held(own)) < 1.6 * MB);
      assert.equal((await send(own.port, chat(large))).status, 200);
      assert.equal((await send(own.port, chunked)).status, 200);
      holders[1].close();
      await until('all is given back', async () => (await held(own)) === 0);
      for (let i = 0; i < 20; i++) assert.equal((await send(own.port, chat(large))).status, 200);
      for (const body of ['{', JSON.stringify({ messages: 'z'.repeat(MB) })]) assert.equal((await send(own.port, chat(body))).status, 400);
      await sleep(20);
      assert.equal(await held(own), 0);
    } finally {
      for (const holder of holders) holder.close();
      await own.stop();
    }
    assert.match(own.stderr, /body_memory/);
  });

  it('0 is no limit', async () => {
    const own = await startProxy(upstream, { BODY_MEMORY_BYTES: '0' });
    assert.equal((await send(own.port, chat(ask('y'.repeat(4 * MB))))).status, 200);
    await own.stop();
  });
});
