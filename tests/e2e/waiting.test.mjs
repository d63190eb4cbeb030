// RATE_LIMIT_WAIT, MAX_CONCURRENT_REQUESTS and QUEUE_MAX: requests that wait for their turn.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { readMetrics } from './lib/exposition.mjs';
import { Gate } from './lib/gate.mjs';
import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { isSanitized, scratch, sleep, startProxy, startSim, until } from './lib/process.mjs';

const METRICS_KEY = 'e2e-metrics-key-1618033988';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

/** What a test does with a proxy in front of `upstream`. */
function tools(proxy) {
  const metrics = async () => readMetrics((await send(proxy.port, request('GET', '/metrics', { key: METRICS_KEY }))).text);
  const gauge = async (name) => (await metrics()).sum(name);
  return {
    proxy,
    metrics,
    post: (body, options) => send(proxy.port, chat(body, options)),
    /** A request that will be answered some time: {connection, answer()}. */
    begin: async (content, { key, ...more } = {}) => {
      const connection = await Connection.open(proxy.port);
      await connection.write(chat(ask(content, more), key === undefined ? {} : { key }));
      return { connection, answer: () => connection.answer().finally(() => connection.close()) };
    },
    waiting: (n) => until(`${n} waiting`, async () => (await gauge('claude_proxy_requests_waiting')) === n),
    /** Nobody waits and nothing counts as being at the upstream. */
    idle: () => until('all is free', async () => (await gauge('claude_proxy_requests_waiting')) + (await gauge('claude_proxy_requests_at_once')) === 0),
    logged: (end) =>
      until(`a log line with ${end}`, () => {
        const line = proxy.stderr.split('\n').find((text) => text.includes(`"end":"${end}"`) && text.includes('/v1/chat/completions'));
        return line && JSON.parse(line);
      }),
  };
}

async function withProxy(upstream, env, use, flags) {
  const proxy = await startProxy(upstream, { METRICS_KEY, WORKERS: '4', ...env }, flags);
  try {
    await use(tools(proxy));
  } finally {
    await proxy.stop();
  }
}
async function withGate(env, use, onCall, flags) {
  const gate = await Gate.start(onCall);
  try {
    await withProxy(gate, env, (t) => use({ gate, ...t }), flags);
  } finally {
    await gate.stop();
  }
}

function checkRefusal(answer, type, message) {
  assert.equal(answer.status, 429, answer.text);
  assert.equal(answer.json.error.type, type);
  assert.equal(answer.json.error.code, 'rate_limit_exceeded');
  assert.match(answer.json.error.message, message);
  const seconds = Number(answer.headers['retry-after']);
  assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, String(answer.headers['retry-after']));
  assert.ok(Number(answer.headers['retry-after-ms']) > 0);
}

describe('over a limit', () => {
  it('requests a minute: those over it wait, and nobody sees a 429', async () => {
    await withProxy(sim, { REQUESTS_PER_MINUTE: '120', RATE_LIMIT_WAIT: '5' }, async ({ post, metrics, logged }) => {
      const started = performance.now();
      const answers = await Promise.all(Array.from({ length: 124 }, () => post(ask('[[sim: text=x]]'))));
      const took = performance.now() - started;
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      assert.ok(took > 1000 && took < 8000, `the fourth over the limit is there after some 2 s: ${took}`);
      assert.ok(answers.every(({ headers }) => headers['x-ratelimit-limit-requests'] === '120'));
      assert.ok(answers.every(({ headers }) => headers['retry-after'] === undefined));
      const m = await metrics();
      const served = m.sum('claude_proxy_waits_total', { outcome: 'served' });
      assert.ok(served >= 1 && served <= 4, String(served));
      assert.equal(m.sum('claude_proxy_wait_seconds_count'), served);
      assert.ok(m.sum('claude_proxy_wait_seconds_sum') > 0.3);
      assert.equal(m.sum('claude_proxy_requests_waiting'), 0);
      assert.ok('ms' in (await logged('done')));
    });
  });

  it('tokens a minute: a debt is waited for', async () => {
    await withProxy(sim, { TOKENS_PER_MINUTE: '60000', RATE_LIMIT_WAIT: '5', REQUEST_TIMEOUT: '1' }, async ({ post, proxy, logged }) => {
      assert.equal((await post(ask('[[sim: text=x input=60500 output=1000]]'))).status, 200);
      await logged('done'); // and settled
      const started = performance.now();
      const answers = await Promise.all([post(ask('[[sim: text=x input=5 output=1]]')), post(ask('[[sim: text=x input=5 output=1]]', { stream: true }))]);
      assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
      const took = performance.now() - started;
      assert.ok(took > 1200 && took < 4000, `1500 tokens flow back in 1.5 s, which is longer than REQUEST_TIMEOUT: ${took}`);
      assert.ok(proxy.stderr.split('\n').some((line) => JSON.parse(line || '{}').waited_ms > 1000));
    });
  });

  it('nobody overtakes: what would do for a small request is kept for the large one in front of it', async () => {
    await withGate({ TOKENS_PER_MINUTE: '60000', RATE_LIMIT_WAIT: '10' }, async ({ gate, begin, waiting, logged }) => {
      const first = await begin('first');
      (await gate.call(1)).answer({ input: 59_000 });
      await first.answer();
      await logged('done');
      const large = await begin('word '.repeat(2_000));
      await waiting(1);
      const small = await begin('small');
      await waiting(2);
      for (const i of [2, 3]) (await gate.call(i)).answer();
      assert.deepEqual(gate.tags.map((tag) => tag.slice(0, 5)), ['first', 'word ', 'small']);
      for (const { answer } of [large, small]) assert.equal((await answer()).status, 200);
    });
  });

  it('time over: 429 with retry-after, what it waited for, and how long', async () => {
    await withProxy(sim, { TOKENS_PER_MINUTE: '6000', RATE_LIMIT_WAIT: '1' }, async ({ post, logged, metrics }) => {
      assert.equal((await post(ask('[[sim: text=x input=6500 output=500]]'))).status, 200);
      await logged('done');
      const started = performance.now();
      const answer = await post(ask('[[sim: text=x]]', { stream: true }));
      const took = performance.now() - started;
      checkRefusal(answer, 'tokens', /tokens per minute: Limit 6000 \(TOKENS_PER_MINUTE\).*waited for [1-3]\.\d{3}s/);
      assert.ok(took >= 990 && took < 4000, String(took));
      const line = await logged('token_limit');
      assert.ok(line.waited_ms >= 990, JSON.stringify(line));
      assert.equal((await metrics()).sum('claude_proxy_waits_total', { outcome: 'timed_out' }), 1);
    });
  });

  it('what no waiting mends is refused at once', async () => {
    await withProxy(sim, { TOKENS_PER_MINUTE: '1000', MAX_CONCURRENT_REQUESTS: '2', RATE_LIMIT_WAIT: '60' }, async ({ post }) => {
      const large = await post(ask('word '.repeat(5_000)));
      assert.equal(large.status, 429);
      assert.match(large.json.error.message, /TOKENS_PER_MINUTE/);
      const many = await post(ask('x', { n: 3 }));
      assert.equal(many.status, 429);
      assert.deepEqual([large.json.error.type, many.json.error.type], ['tokens', 'requests']);
      assert.match(many.json.error.message, /Request too large: about 3 requests, and this proxy allows 2 at once \(MAX_CONCURRENT_REQUESTS\)/);
      for (const { headers } of [large, many]) assert.equal(headers['x-should-retry'], 'false');
      const wrong = await post({ model: 'claude-haiku-5-5', messages: 'none' });
      assert.equal(wrong.status, 400);
    });
  });

  it('nor does it wait for room among the requests at once', async () => {
    await withGate({ TOKENS_PER_MINUTE: '1000', MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '60' }, async ({ gate, begin, post }) => {
      const first = await begin('first');
      const call = await gate.call(1);
      const started = performance.now();
      const large = await post(ask('word '.repeat(5_000)));
      assert.ok(performance.now() - started < 5000);
      assert.equal(large.status, 429);
      assert.match(large.json.error.message, /Request too large: about \d+ tokens, .* \(TOKENS_PER_MINUTE\)/);
      assert.equal(large.headers['x-should-retry'], 'false');
      call.answer();
      assert.equal((await first.answer()).status, 200);
    });
  });

  it('a large request that cannot be served in time holds up nobody', async () => {
    await withProxy(sim, { TOKENS_PER_MINUTE: '60000', RATE_LIMIT_WAIT: '4' }, async ({ post, begin, waiting, logged }) => {
      assert.equal((await post(ask('[[sim: text=x input=59000 output=1500]]'))).status, 200);
      await logged('done');
      const large = await begin(`${'word '.repeat(20_000)}[[sim: text=x]]`);
      await waiting(1);
      const started = performance.now();
      assert.equal((await post(ask('[[sim: text=x input=5 output=1]]'))).status, 200);
      assert.ok(performance.now() - started < 2500);
      large.connection.close();
      await waiting(0);
    });
  });
});

describe('at once', () => {
  it('without a wait: 429 at once, and room again when an answer has ended', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1' }, async ({ gate, post, begin, idle }) => {
      const first = await begin('first');
      const call = await gate.call(1);
      const started = performance.now();
      checkRefusal(await post(ask('second')), 'requests', /requests at once: Limit 1 \(MAX_CONCURRENT_REQUESTS\), Requested 1/);
      assert.ok(performance.now() - started < 500);
      call.answer();
      assert.equal((await first.answer()).status, 200);
      await idle();
      const third = await begin('third');
      (await gate.call(2)).answer();
      assert.equal((await third.answer()).status, 200);
      assert.deepEqual(gate.tags, ['first', 'third']);
    });
  });

  it('first come, first served, across workers; a streamed answer counts until its end', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20' }, async ({ gate, begin, waiting, logged }) => {
      const names = Array.from({ length: 8 }, (_, i) => `number ${i}`);
      const begun = [];
      for (const [i, name] of names.entries()) {
        begun.push(await begin(name, { stream: i % 2 === 0 }));
        await (i === 0 ? gate.call(1) : waiting(i));
      }
      for (const i of names.keys()) {
        const call = await gate.call(i + 1);
        call.begin();
        if (i % 2 === 0) await begun[i].connection.wait('content', (c) => c.data.includes('"content":"ok"'));
        await sleep(20);
        assert.equal(gate.calls.length, i + 1, 'the next one waits until this answer has ended');
        call.end();
      }
      const answers = await Promise.all(begun.map(({ answer }) => answer()));
      assert.deepEqual(gate.tags, names);
      assert.equal(gate.most, 1);
      for (const [i, answer] of answers.entries()) {
        assert.equal(answer.status, 200, answer.text);
        if (i % 2 === 0) assert.equal(readStream(answer.text).content, 'ok');
        else assert.equal(answer.json.choices[0].message.content, 'ok');
      }
      assert.ok((await logged('done')).ms >= 0);
    });
  });

  it('keys take turns, whoever came first', async () => {
    await withGate({ CLAUDE_PROXY_API_KEY: '', MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20' }, async ({ gate, begin, waiting }) => {
      const who = ['a0', 'a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'];
      const begun = [];
      for (const [i, name] of who.entries()) {
        begun.push(await begin(name, { key: `key-of-${name[0]}` }));
        await (i === 0 ? gate.call(1) : waiting(i));
      }
      for (const i of who.keys()) (await gate.call(i + 1)).answer();
      await Promise.all(begun.map(({ answer }) => answer()));
      assert.deepEqual(gate.tags, ['a0', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
    });
  });

  it('a full queue: 429 at once, unless another key has taken more of it', async () => {
    await withGate({ CLAUDE_PROXY_API_KEY: '', MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20', QUEUE_MAX: '3' }, async ({ gate, begin, waiting, logged, metrics }) => {
      const begun = [];
      for (const [i, name] of ['a0', 'a1', 'a2', 'a3'].entries()) {
        begun.push(await begin(name, { key: 'a' }));
        await (i === 0 ? gate.call(1) : waiting(i));
      }
      const started = performance.now();
      checkRefusal(await (await begin('a4', { key: 'a' })).answer(), 'requests', /MAX_CONCURRENT_REQUESTS.*QUEUE_MAX/);
      assert.ok(performance.now() - started < 1000);
      assert.ok(!('waited_ms' in (await logged('queue_full'))));
      const b = await begin('b1', { key: 'b' });
      checkRefusal(await begun.pop().answer(), 'requests', /QUEUE_MAX/);
      await waiting(3);
      checkRefusal(await (await begin('b2', { key: 'b' })).answer(), 'requests', /QUEUE_MAX/);
      for (let i = 1; i <= 4; i++) (await gate.call(i)).answer();
      for (const { answer } of [...begun, b]) assert.equal((await answer()).status, 200);
      assert.deepEqual(gate.tags, ['a0', 'a1', 'b1', 'a2']);
      const m = await metrics();
      assert.equal(m.sum('claude_proxy_waits_total', { outcome: 'full' }), 3);
      assert.equal(m.sum('claude_proxy_waits_total', { outcome: 'displaced' }), 1);
    });
  });

  it('time over: 429, and its place goes to the next', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '1' }, async ({ gate, begin, waiting }) => {
      const first = await begin('first');
      const call = await gate.call(1);
      const late = await begin('late');
      await waiting(1);
      await sleep(500);
      const next = await begin('next');
      checkRefusal(await late.answer(), 'requests', /requests at once.*It has waited for [1-3]\.\d{3}s/);
      call.answer();
      (await gate.call(2)).answer();
      for (const { answer } of [first, next]) assert.equal((await answer()).status, 200);
      assert.deepEqual(gate.tags, ['first', 'next']);
    });
  });

  it('cell C74: a client that leaves is forgotten: no call for it, and its place goes on', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20' }, async ({ gate, begin, waiting, logged, idle, metrics }) => {
      const first = await begin('first');
      const call = await gate.call(1);
      const leavers = [];
      for (let i = 0; i < 4; i++) leavers.push(await begin(`leaver ${i}`, { stream: i % 2 === 0 }));
      await waiting(4);
      const last = await begin('last');
      await waiting(5);
      for (const [i, { connection }] of leavers.entries()) i < 2 ? connection.reset() : connection.close();
      await waiting(1);
      assert.ok((await logged('client_gone')).waited_ms >= 0);
      call.answer();
      (await gate.call(2)).answer();
      for (const { answer } of [first, last]) assert.equal((await answer()).status, 200);
      assert.deepEqual(gate.tags, ['first', 'last']);
      await idle();
      assert.equal((await metrics()).sum('claude_proxy_waits_total', { outcome: 'left' }), 4);
    });
  });

  it('cell C74: a client that leaves in the moment of its turn gives it back', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20' }, async ({ gate, begin, waiting, idle }) => {
      const rounds = isSanitized ? 20 : 60;
      for (let i = 0; i < rounds; i++) {
        const first = await begin(`first ${i}`);
        const call = await until('its call', () => gate.calls.find(({ tag }) => tag === `first ${i}`));
        const leavers = await Promise.all(Array.from({ length: 4 }, (_, n) => begin(`leaver ${i} ${n}`)));
        await waiting(4);
        call.answer();
        await first.connection.wait('the head', (c) => c.data.length > 0);
        for (const { connection } of leavers) connection.reset();
        first.connection.close();
        await idle();
      }
      assert.ok(gate.most <= 1, `${gate.most} at once`);
    });
  });

  it('cell C74: 200 requests, a third of them leave: never more at once than allowed, and all is free in the end', async () => {
    const most = 5;
    let seed = 7;
    const chance = (n) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
    const gate = async ({ proxy, gate: upstream, idle, begin }) => {
      const outcomes = { answered: 0, left: 0 };
      const one = async (i) => {
        await sleep(chance(300));
        const leaves = i % 3 === 0;
        const { connection, answer } = await begin(`request ${i}`, { stream: chance(2) === 0, n: 1 + (i % 10 === 9) });
        if (leaves) {
          await sleep(chance(400));
          chance(2) ? connection.reset() : connection.close();
          outcomes.left++;
          return;
        }
        const got = await answer();
        assert.equal(got.status, 200, got.text);
        outcomes.answered++;
      };
      await Promise.all(Array.from({ length: 200 }, (_, i) => one(i)));
      await idle();
      assert.ok(upstream.most <= most, `${upstream.most} at once`);
      assert.equal(upstream.most, most, 'as many as are allowed are used');
      assert.deepEqual(outcomes, { answered: 133, left: 67 });
      console.log(`count: requests that shared ${most} places: 200`);
      // All places are there again.
      const calls = upstream.calls.length;
      upstream.onCall = () => {};
      const begun = await Promise.all(Array.from({ length: most + 1 }, (_, i) => begin(`again ${i}`)));
      await upstream.call(calls + most);
      await sleep(50);
      assert.equal(upstream.calls.length, calls + most);
      upstream.onCall = (call) => call.answer();
      for (const call of upstream.open) call.answer();
      for (const { answer } of begun) assert.equal((await answer()).status, 200);
      assert.ok(!proxy.isOver);
    };
    await withGate({ MAX_CONCURRENT_REQUESTS: String(most), RATE_LIMIT_WAIT: '60' }, gate, async (call) => {
      await sleep(chance(isSanitized ? 10 : 20));
      call.begin();
      await sleep(chance(10));
      call.end();
    });
  });

  it('time spent waiting is no reason not to try again', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20', REQUEST_TIMEOUT: '1', RETRIES: '2' }, async ({ gate, begin, waiting }) => {
      const first = await begin('first', { stream: true });
      const call = await gate.call(1);
      call.begin();
      const second = await begin('second');
      await waiting(1);
      for (let i = 0; i < 3; i++) {
        await sleep(500);
        call.res.write('event: ping\ndata: {"type":"ping"}\n\n');
      }
      call.end();
      (await gate.call(2)).refuse(529, 'overloaded_error', { 'retry-after': '0' });
      (await gate.call(3)).answer();
      for (const { answer } of [first, second]) assert.equal((await answer()).status, 200);
      assert.deepEqual(gate.tags, ['first', 'second', 'second']);
    });
  });
});

describe('a reload', () => {
  it('lets those who wait go on, as far as the new limit allows', async () => {
    const file = path.join(scratch(), 'settings');
    const limit = (n) => writeFileSync(file, `MAX_CONCURRENT_REQUESTS=${n}\n`);
    limit(1);
    await withGate({ RATE_LIMIT_WAIT: '20' }, async ({ gate, begin, waiting, proxy, idle }) => {
      const begun = await Promise.all(Array.from({ length: 6 }, (_, i) => begin(`request ${i}`)));
      await waiting(5);
      const reloads = () => proxy.stderr.split('"message":"reloaded"').length;
      const reload = async (n) => {
        const before = reloads();
        limit(n);
        proxy.child.kill('SIGHUP');
        await until('the reload', () => reloads() > before);
      };
      await reload(3);
      await waiting(3);
      await gate.call(3);
      await reload(2);
      gate.calls[0].answer();
      await sleep(100);
      assert.equal(gate.calls.length, 3, 'two are still under way');
      gate.calls[1].answer();
      await gate.call(4);
      await reload(0);
      await gate.call(6);
      for (const call of gate.open) call.answer();
      for (const { answer } of begun) assert.equal((await answer()).status, 200);
      await idle();
    }, undefined, ['--env-file', file]);
  });
});

describe('shutdown', () => {
  it('those who wait are served before the end', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20', DRAIN_TIMEOUT: '20' }, async ({ gate, begin, waiting, proxy }) => {
      const begun = [];
      for (let i = 0; i < 5; i++) begun.push(await begin(`request ${i}`, { stream: i % 2 === 0 }));
      await waiting(4);
      const stopped = proxy.stop();
      await sleep(100);
      for (let i = 1; i <= 5; i++) (await gate.call(i)).answer();
      for (const { answer } of begun) assert.equal((await answer()).status, 200);
      await stopped;
    });
  });

  it('at the end of DRAIN_TIMEOUT they are told', async () => {
    await withGate({ MAX_CONCURRENT_REQUESTS: '1', RATE_LIMIT_WAIT: '20', DRAIN_TIMEOUT: '1' }, async ({ gate, begin, waiting, proxy }) => {
      await begin('first');
      await gate.call(1);
      const begun = await Promise.all([begin('a'), begin('b', { stream: true })]);
      await waiting(2);
      const started = performance.now();
      const stopped = proxy.stop();
      for (const { answer } of begun) {
        const got = await answer();
        assert.equal(got.status, 503, got.text);
        assert.equal(got.json.error.code, 'shutting_down');
        assert.equal(got.headers['retry-after'], '1');
      }
      await stopped;
      assert.ok(performance.now() - started < 5000);
      assert.deepEqual(gate.tags, ['first']);
    });
  });
});
