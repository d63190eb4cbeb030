// REQUESTS_PER_MINUTE and TOKENS_PER_MINUTE: the headers, the refusal, what is settled.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';

import OpenAI from 'openai';

import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { PROXY_KEY, sleep, startProxy, startSim } from './lib/process.mjs';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

async function withProxy(env, use) {
  const proxy = await startProxy(sim, env);
  try {
    await use((body, options) => send(proxy.port, chat(body, options)), proxy);
  } finally {
    await proxy.stop();
  }
}

const limitsOf = ({ headers }, what) => ({
  limit: Number(headers[`x-ratelimit-limit-${what}`]),
  remaining: Number(headers[`x-ratelimit-remaining-${what}`]),
  reset: headers[`x-ratelimit-reset-${what}`],
});

function checkRefusal(answer, type) {
  assert.equal(answer.status, 429, answer.text);
  assert.equal(answer.json.error.type, type);
  assert.equal(answer.json.error.code, 'rate_limit_exceeded');
  const seconds = Number(answer.headers['retry-after']);
  const ms = Number(answer.headers['retry-after-ms']);
  assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, String(seconds));
  assert.ok(ms > 0 && ms <= seconds * 1000, String(ms));
  return ms;
}

it('requests: a bucket of one minute, then 429 until retry-after', async () => {
  await withProxy({ REQUESTS_PER_MINUTE: '60', WORKERS: '2' }, async (post) => {
    const remaining = [];
    let refusal;
    for (let i = 0; i < 70 && !refusal; i++) {
      const answer = await post(ask('[[sim: text=x]]'));
      const { limit, remaining: left, reset } = limitsOf(answer, 'requests');
      assert.equal(limit, 60);
      assert.match(reset, /^(\d+h)?(\d+m)?(\d+(\.\d+)?(ms|s))?$/);
      if (answer.status === 429) refusal = answer;
      else remaining.push(left);
    }
    assert.equal(remaining[0], 59);
    assert.ok(remaining.length >= 60 && remaining.length <= 63, `${remaining.length} were let through`);
    assert.ok(remaining.every((left, i) => i === 0 || left <= remaining[i - 1] + 1));
    const ms = checkRefusal(refusal, 'requests');
    await sleep(ms + 20);
    assert.equal((await post(ask('[[sim: text=x]]'))).status, 200);
  });
});

it('the SDK waits as long as it is told and goes on', async () => {
  await withProxy({ REQUESTS_PER_MINUTE: '60' }, async (post, proxy) => {
    const answers = await Promise.all(Array.from({ length: 70 }, () => post(ask('[[sim: text=x]]'))));
    assert.ok(answers.filter(({ status }) => status === 429).length >= 5);
    const client = (maxRetries) => new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries });
    const create = (maxRetries) => client(maxRetries).chat.completions.create({ model: 'claude-haiku-5-5', messages: [{ role: 'user', content: '[[sim: text=patient]]' }] });
    await assert.rejects(create(0), (error) => error instanceof OpenAI.RateLimitError && error.code === 'rate_limit_exceeded');
    const started = performance.now();
    assert.equal((await create(3)).choices[0].message.content, 'patient');
    assert.ok(performance.now() - started < 4000);
  });
});

it('tokens: reserved, then settled with the real usage', async () => {
  await withProxy({ TOKENS_PER_MINUTE: '6000' }, async (post) => {
    const left = async (content, more) => {
      const answer = await post(ask(content, more));
      assert.equal(answer.status, 200, answer.text);
      return answer.headers['x-ratelimit-remaining-tokens'] === undefined ? assert.fail('no header') : limitsOf(answer, 'tokens').remaining;
    };
    const first = await left('[[sim: text=x input=10 output=10]]');
    assert.ok(first > 5500 && first <= 6000, String(first));
    await left('[[sim: text=x input=1500 output=1500]]');
    const after = await left('[[sim: text=x input=1 output=1]]');
    assert.ok(after > 2700 && after < 3500, `3000 of 6000 were used, ${after} are left`);
    await left('[[sim: text=x input=1000 cached=500 output=1000]]', {});
    checkRefusal(await post(ask(`${'word '.repeat(2500)}[[sim: text=x]]`)), 'tokens');
  });
});

it('cell C8: tokens of a stream are settled at its end, also of one that is broken off', async () => {
  await withProxy({ TOKENS_PER_MINUTE: '60000' }, async (post, proxy) => {
    const remaining = async () => limitsOf(await post(ask('[[sim: text=x input=1 output=1]]')), 'tokens').remaining;
    const start = await remaining();
    assert.equal(readStream((await post(ask('[[sim: text=x input=10000 output=10000]]', { stream: true }))).text).finish, 'stop');
    const afterStream = await remaining();
    assert.ok(start - afterStream > 17000 && start - afterStream < 21000, `${start} -> ${afterStream}`);
    const connection = await Connection.open(proxy.port);
    await connection.write(chat(ask('[[sim: words=5000 gap=10ms input=20000]]', { stream: true })));
    await connection.wait('content', (c) => c.data.includes('"content":"'));
    connection.reset();
    await sleep(100);
    const afterReset = await remaining();
    assert.ok(afterStream - afterReset > 17000 && afterStream - afterReset < 22000, `${afterStream} -> ${afterReset}`);
  });
});

it('0 is unlimited', async () => {
  await withProxy({ REQUESTS_PER_MINUTE: '0', TOKENS_PER_MINUTE: '0' }, async (post) => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => post(ask('[[sim: text=x input=100000]]'))));
    assert.ok(answers.every(({ status }) => status === 200));
  });
});

it('a request larger than the whole bucket names the setting', async () => {
  await withProxy({ TOKENS_PER_MINUTE: '1000' }, async (post) => {
    const answer = await post(ask('word '.repeat(20_000)));
    assert.ok([400, 413, 429].includes(answer.status), String(answer.status));
    assert.match(answer.json.error.message, /TOKENS_PER_MINUTE/);
    if (answer.status === 429) assert.equal(answer.headers['x-should-retry'], 'false');
    assert.equal((await post(ask('[[sim: text=x]]'))).status, 200, 'it took nothing from the bucket');
  });
});

it('routes that cost nothing take nothing', async () => {
  await withProxy({ REQUESTS_PER_MINUTE: '2' }, async (post, proxy) => {
    for (let i = 0; i < 10; i++) {
      assert.equal((await send(proxy.port, request('GET', '/health', { key: '' }))).status, 200);
      assert.equal((await post(ask('x'), { key: 'wrong' })).status, 401);
    }
    assert.equal((await post(ask('[[sim: text=x]]'))).status, 200);
  });
});
