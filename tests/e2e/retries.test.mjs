// Calls that fail before their answer begins, made again unseen: after a pause, with another key,
// for another model; and when they are not.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, eventData, request, send } from './lib/http.mjs';
import { scratch, startProxy, startSim, until } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

const failure = (status, type, headers = {}) => ({
  status, headers, body: JSON.stringify({ type: 'error', error: { type, message: `a ${type}` } }),
});
const overloaded = failure(529, 'overloaded_error');
const limited = (seconds) => failure(429, 'rate_limit_error', { 'retry-after': String(seconds) });
const broke = { status: 400, body: JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low to access the Anthropic API.' } }) };
const inside = (type, headers = {}) => ({
  status: 200, headers: { 'content-type': 'text/event-stream', ...headers },
  body: `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type, message: 'no room' } })}\n\n`,
});
const PASS = 'pass';

/** An upstream that answers its message calls as `script` says, one after the other, then well. */
async function withScript(script, env, use, flags) {
  const rest = typeof script === 'function' ? [] : [...script];
  const upstream = await Recorder.start((call) => {
    if (!call.url.startsWith('/v1/messages')) return sim.url + call.url;
    const next = typeof script === 'function' ? script(call, upstream.messages.length) : rest.shift() ?? PASS;
    return next === PASS ? sim.url + call.url : next;
  });
  const proxy = await startProxy(upstream, { WORKERS: '1', RETRIES: '2', ...env }, flags);
  try {
    await use({ proxy, upstream, post: (body, options) => send(proxy.port, chat(body, options)) });
  } finally {
    await proxy.stop();
    await upstream.stop();
  }
}
const logLine = (proxy) => proxy.stderr.split('\n').slice(0, -1).findLast((line) => line.includes('/v1/chat/completions'));
const logged = async (proxy) => JSON.parse(await until('the access log', () => logLine(proxy)));

describe('a failure that passes', () => {
  const cases = [
    ['408', failure(408, 'timeout_error')],
    ['409', failure(409, 'conflict_error')],
    ['429', limited(0)],
    ['500', failure(500, 'api_error')],
    ['502 of an edge server', { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['529', overloaded],
    ['trap 76: an overload inside a 200', inside('overloaded_error')],
    ['an api_error inside a 200', inside('api_error')],
    ['trap 112: an overload inside a 200 whose retry-after is not about it', inside('overloaded_error', { 'retry-after': '30' })],
    ['x-should-retry: true on what else would stay', failure(400, 'invalid_request_error', { 'x-should-retry': 'true' })],
  ];
  for (const [name, answer] of cases)
    for (const stream of [false, true])
      it(`${name}${stream ? ', streamed' : ''}: nobody sees it`, async () => {
        await withScript([answer, answer], {}, async ({ proxy, upstream, post }) => {
          const got = await post(ask('Hi', { stream }));
          assert.equal(got.status, 200, got.text);
          if (stream) assert.equal(eventData(got.text).at(-1), '[DONE]');
          else assert.ok(got.json.choices[0].message.content.length > 0);
          assert.equal(upstream.messages.length, 3);
          assert.equal(new Set(upstream.messages.map((call) => call.raw)).size, 1);
          for (const header of ['retry-after', 'x-anthropic-status', 'x-should-retry']) assert.ok(!(header in got.headers), header);
          assert.equal((await logged(proxy)).attempts, 3);
        });
      });

  it('a connection that breaks before the answer', async () => {
    let connections = 0;
    const upstream = net.createServer((socket) => {
      socket.on('error', () => {});
      if (++connections > 2) return socket.pipe(net.connect(sim.port, '127.0.0.1').on('error', () => {})).pipe(socket);
      socket.once('data', () => socket.destroy());
    });
    await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const proxy = await startProxy(`http://127.0.0.1:${upstream.address().port}`, { WORKERS: '1', RETRIES: '4' });
    const got = await send(proxy.port, chat(ask('Hi')));
    assert.equal(got.status, 200, got.text);
    await proxy.stop();
    upstream.close();
  });

  it('an upstream that is not there yet', async () => {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address();
    await new Promise((resolve) => probe.close(resolve));
    const proxy = await startProxy(`http://127.0.0.1:${port}`, { WORKERS: '1', RETRIES: '6' });
    const answer = send(proxy.port, chat(ask('Hi')));
    const late = net.createServer((socket) => socket.on('error', () => {}).pipe(net.connect(sim.port, '127.0.0.1').on('error', () => {})).pipe(socket));
    late.listen(port, '127.0.0.1');
    assert.equal((await answer).status, 200);
    await proxy.stop();
    late.close();
  });

  it('n: 3, one of which is overloaded: three choices, four calls', async () => {
    await withScript([PASS, overloaded], {}, async ({ upstream, post }) => {
      const got = await post(ask('Hi', { n: 3 }));
      assert.equal(got.status, 200, got.text);
      assert.deepEqual(got.json.choices.map((choice) => choice.index), [0, 1, 2]);
      assert.equal(upstream.messages.length, 4);
    });
  });

  it('retry-after is kept where it is short', async () => {
    await withScript([limited(1)], {}, async ({ upstream, post }) => {
      assert.equal((await post(ask('Hi'))).status, 200);
      const [first, second] = upstream.messages;
      assert.ok(second.at - first.at >= 1000, `${second.at - first.at} ms`);
    });
  });
});

describe('a failure that stays', () => {
  it('RETRIES are used up: the error, as the last call had it', async () => {
    await withScript(() => overloaded, {}, async ({ proxy, upstream, post }) => {
      const got = await post(ask('Hi'));
      assert.equal(got.status, 503);
      assert.equal(got.json.error.code, 'overloaded');
      assert.equal(got.headers['x-anthropic-status'], '529');
      assert.equal(upstream.messages.length, 3);
      assert.equal((await logged(proxy)).attempts, 3);
    });
  });

  const once = [
    ['RETRIES=0', overloaded, { RETRIES: '0' }, 503],
    ['retry-after is longer than RETRY_AFTER_MAX', limited(30), {}, 429],
    ['RETRY_AFTER_MAX=0', limited(1), { RETRY_AFTER_MAX: '0' }, 429],
    ['x-should-retry: false', failure(529, 'overloaded_error', { 'x-should-retry': 'false' }), {}, 503],
    ['trap 124: out of credit', broke, {}, 429],
    ['a spend limit', { ...limited(0), body: JSON.stringify({ type: 'error', error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'enforced_spend_limit_reached' } } }) }, {}, 429],
    ['a wrong key', failure(401, 'authentication_error'), {}, 401],
    ['an invalid request', failure(400, 'invalid_request_error'), {}, 400],
    ['no room for the prompt', failure(413, 'request_too_large'), {}, 413],
  ];
  for (const [name, answer, env, status] of once)
    it(`${name}: one call`, async () => {
      await withScript(() => answer, env, async ({ upstream, post }) => {
        assert.equal((await post(ask('Hi'))).status, status);
        assert.equal(upstream.messages.length, 1);
      });
    });

  it('trap 77: an overload behind the first word is the client\'s to know', async () => {
    await withScript([], {}, async ({ upstream, post }) => {
      const got = await post(ask('[[sim: error=overloaded_error after=3]] Hi', { stream: true }));
      assert.equal(got.status, 200);
      assert.match(got.text, /"error":/);
      assert.doesNotMatch(got.text, /\[DONE\]/);
      assert.equal(upstream.messages.length, 1);
    });
  });

  it('cell C6: a client that leaves during the pause is not sent for', async () => {
    await withScript(() => limited(1), {}, async ({ proxy, upstream }) => {
      const connection = await Connection.open(proxy.port);
      connection.write(chat(ask('Hi')));
      await until('the first call', () => upstream.messages.length === 1);
      connection.close();
      const line = await logged(proxy);
      assert.equal(line.end, 'client_gone');
      await new Promise((resolve) => setTimeout(resolve, 1300));
      assert.equal(upstream.messages.length, 1);
    });
  });

  it('a storm feeds itself no further than the budget', async () => {
    await withScript(() => failure(500, 'api_error', { 'retry-after': '0' }), { RETRIES: '10', CIRCUIT_BREAKER: 'off' }, async ({ upstream, post }) => {
      const n = 150;
      await Promise.all(Array.from({ length: n }, () => post(ask('Hi'))));
      /* 100 saved up at the start, and half of each request */
      assert.ok(upstream.messages.length <= n + 100 + n / 2, `${upstream.messages.length} calls`);
      assert.ok(upstream.messages.length >= n + 100, `${upstream.messages.length} calls`);
    });
  });
});

describe('several keys', () => {
  const keyOf = (call) => call.headers['x-api-key'];

  it('conversations are spread, and each stays with its key as it grows', async () => {
    await withScript([], { ANTHROPIC_API_KEY: 'sk-a,sk-b,sk-c' }, async ({ upstream, post }) => {
      const used = new Set();
      for (let i = 0; i < 12; i++) {
        const messages = [{ role: 'system', content: `Today is day ${i}.` }, { role: 'user', content: `Topic ${i}` }];
        await post(ask('', { messages }));
        const first = keyOf(upstream.last);
        messages.push({ role: 'assistant', content: 'Yes.' }, { role: 'user', content: 'And then?' });
        messages[0].content += ' It rains.';
        await post(ask('', { messages, stream: true }));
        assert.equal(keyOf(upstream.last), first);
        used.add(first);
      }
      assert.deepEqual([...used].sort(), ['sk-a', 'sk-b', 'sk-c']);
    });
  });

  it('prompt_cache_key names a conversation', async () => {
    await withScript([], { ANTHROPIC_API_KEY: 'sk-a,sk-b,sk-c' }, async ({ upstream, post }) => {
      const used = new Set();
      for (let i = 0; i < 8; i++) {
        await post(ask(`Topic ${i}`, { prompt_cache_key: 'one' }));
        used.add(keyOf(upstream.last));
      }
      assert.equal(used.size, 1);
    });
  });

  for (const [name, answer] of [['401', failure(401, 'authentication_error')], ['429', limited(40)], ['out of credit', broke]])
    it(`${name} with one key: another one at once, and the next request goes there first`, async () => {
      const bad = (call) => (keyOf(call) === 'sk-a' ? answer : PASS);
      await withScript(bad, { ANTHROPIC_API_KEY: 'sk-a,sk-b' }, async ({ upstream, post }) => {
        for (let i = 0; i < 10; i++) assert.equal((await post(ask(`Topic ${i}`))).status, 200);
        assert.equal(upstream.messages.filter((call) => keyOf(call) === 'sk-a').length, 1);
        assert.equal(upstream.messages.length, 11);
      });
    });

  it('trap 104: a conversation goes back to its key when that is well again', async () => {
    let isLimited = true;
    const script = (call) => (isLimited && keyOf(call) === 'sk-a' ? limited(1) : PASS);
    await withScript(script, { ANTHROPIC_API_KEY: 'sk-a,sk-b' }, async ({ upstream, post }) => {
      let topic = 0;
      while (upstream.messages.filter((call) => keyOf(call) === 'sk-a').length === 0) assert.equal((await post(ask(`Topic ${topic++}`))).status, 200);
      isLimited = false;
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await post(ask(`Topic ${topic - 1}`));
      assert.equal(keyOf(upstream.last), 'sk-a');
    });
  });

  it('all refused: the error, each tried once', async () => {
    await withScript(() => failure(401, 'authentication_error'), { ANTHROPIC_API_KEY: 'sk-a,sk-b,sk-c' }, async ({ upstream, post }) => {
      assert.equal((await post(ask('Hi'))).status, 401);
      assert.deepEqual(upstream.messages.map(keyOf).sort(), ['sk-a', 'sk-b', 'sk-c']);
    });
  });
});

describe('FALLBACK_MODELS', () => {
  const env = { FALLBACK_MODELS: 'claude-sonnet-5,claude-haiku-4-5', RETRIES: '1' };

  for (const stream of [false, true])
    it(`one after the other while a model is overloaded${stream ? ', streamed' : ''}, and said`, async () => {
      const script = (call) => (call.body.model === 'claude-haiku-4-5' ? PASS : call.body.model === 'claude-sonnet-5' ? inside('overloaded_error') : overloaded);
      await withScript(script, env, async ({ upstream, post }) => {
        const got = await post(ask('Hi', { stream, model: 'claude-opus-5-5' }));
        assert.equal(got.status, 200, got.text);
        assert.match(got.headers['x-modified-params'], /\bmodel\(fallback\)/);
        const answer = stream ? JSON.parse(eventData(got.text)[0]) : got.json;
        assert.match(answer.model, /^claude-haiku-4-5/);
        assert.deepEqual(upstream.messages.map((call) => call.body.model),
          ['claude-opus-5-5', 'claude-opus-5-5', 'claude-sonnet-5', 'claude-haiku-4-5']);
      });
    });

  it('what each model takes is looked at anew', async () => {
    const script = (call) => (call.body.model === 'claude-opus-5-5' ? overloaded : PASS);
    await withScript(script, { ...env, FALLBACK_MODELS: 'claude-haiku-4-5' }, async ({ upstream, post }) => {
      const got = await post(ask('Hi', { model: 'claude-opus-5-5', temperature: 0.3 }));
      assert.equal(got.status, 200, got.text);
      assert.ok(!('temperature' in upstream.messages[0].body));
      assert.equal(upstream.last.body.temperature, 0.3);
    });
  });

  it('all overloaded: the error of the last', async () => {
    await withScript(() => overloaded, env, async ({ upstream, post }) => {
      assert.equal((await post(ask('Hi'))).status, 503);
      assert.equal(upstream.messages.length, 4);
    });
  });

  it('another failure is not the model\'s', async () => {
    await withScript(() => failure(500, 'api_error'), env, async ({ upstream, post }) => {
      assert.equal((await post(ask('Hi'))).status, 500);
      assert.equal(upstream.messages.length, 2);
    });
  });
});

describe('the circuit breaker', () => {
  it('refuses at once while the upstream is down, and finds it back', async () => {
    let isDown = true;
    await withScript(() => (isDown ? failure(500, 'api_error') : PASS), { RETRIES: '0', CIRCUIT_BREAKER: 'on' }, async ({ proxy, upstream, post }) => {
      for (let i = 0; i < 20; i++) assert.equal((await post(ask('Hi'))).status, 500);
      const refused = await post(ask('Hi'));
      assert.equal(refused.status, 503);
      assert.equal(refused.json.error.code, 'upstream_down');
      assert.equal(refused.headers['retry-after'], '1');
      assert.equal(upstream.messages.length, 20);
      assert.match(proxy.stderr, /the upstream is down/);
      isDown = false;
      await until('it is back', async () => (await post(ask('Hi'))).status === 200, 4000);
      assert.equal(upstream.messages.length, 21);
      for (let i = 0; i < 5; i++) assert.equal((await post(ask('Hi'))).status, 200);
      assert.match(proxy.stderr, /the upstream is back/);
    });
  });

  it('off: nobody is refused, and neither log nor metrics say so', async () => {
    await withScript(() => failure(500, 'api_error'), { RETRIES: '0', CIRCUIT_BREAKER: 'off', METRICS_KEY: 'for-metrics' }, async ({ proxy, upstream, post }) => {
      for (let i = 0; i < 25; i++) assert.equal((await post(ask('Hi'))).status, 500);
      assert.equal(upstream.messages.length, 25);
      const { text } = await send(proxy.port, request('GET', '/metrics', { key: 'for-metrics' }));
      assert.deepEqual(text.match(/^claude_proxy_breaker_\S+ .*/gm), ['claude_proxy_breaker_open 0', 'claude_proxy_breaker_opened_total 0']);
      assert.doesNotMatch(proxy.stderr, /the upstream is/);
    });
  });

  it('switched off by a reload while it is open: the next good answer closes it', async () => {
    let isDown = true;
    const file = path.join(scratch(), 'settings');
    writeFileSync(file, 'CIRCUIT_BREAKER=on\n');
    const flags = ['--env-file', file];
    await withScript(() => (isDown ? failure(500, 'api_error') : PASS), { RETRIES: '0', CIRCUIT_BREAKER: undefined }, async ({ proxy, post }) => {
      for (let i = 0; i < 20; i++) assert.equal((await post(ask('Hi'))).status, 500);
      assert.equal((await post(ask('Hi'))).json.error.code, 'upstream_down');
      writeFileSync(file, 'CIRCUIT_BREAKER=off\n');
      proxy.child.kill('SIGHUP');
      await until('the reload', () => /"reloaded"/.test(proxy.stderr));
      assert.equal((await post(ask('Hi'))).status, 500, 'sent, and as it came');
      isDown = false;
      assert.equal((await post(ask('Hi'))).status, 200);
      assert.match(proxy.stderr, /the upstream is back/);
    }, flags);
  });

  it('a 429 is not down', async () => {
    await withScript(() => limited(40), { RETRIES: '0', CIRCUIT_BREAKER: 'on' }, async ({ post }) => {
      for (let i = 0; i < 30; i++) assert.equal((await post(ask('Hi'))).status, 429);
    });
  });
});

it('three in ten fail: few are seen with retries, and three in ten without', async () => {
  let n = 0;
  const script = () => (((n++ * 7) % 10 < 3) ? failure(500, 'api_error') : PASS);
  const share = async (env) => {
    let failed = 0;
    await withScript(script, env, async ({ post }) => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => post(ask('Hi'))));
      failed = answers.filter((answer) => answer.status !== 200).length;
    });
    return failed;
  };
  assert.ok((await share({ RETRIES: '0' })) >= 25);
  assert.ok((await share({ RETRIES: '3' })) <= 5);
});
