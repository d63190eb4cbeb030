// GET /metrics: where it is, who may read it, and that it counts what happened; the access log's
// account of a request.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { readMetrics } from './lib/exposition.mjs';
import { Connection, ask, chat, request, send } from './lib/http.mjs';
import { PROXY_KEY, UPSTREAM_KEY, proxySettings, runBinary, startProxy, startSim, until } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';

const KEY = 'metrics-key-1414213562';
const MODEL = 'claude-haiku-5-5';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

const scrape = async (port, { key = KEY } = {}) => {
  const answer = await send(port, request('GET', '/metrics', { key }));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  return readMetrics(answer.text);
};
/** A request is counted when it is over, which its client may see a moment earlier. */
const scrapeUntil = async (port, what, isThere, options) => {
  for (let i = 0; ; i++) {
    const metrics = await scrape(port, options);
    if (isThere(metrics) || i === 200) return metrics;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
async function withProxy(env, use, upstream = sim) {
  const proxy = await startProxy(upstream, { METRICS_KEY: KEY, WORKERS: '2', ...env });
  try {
    await use(proxy);
  } finally {
    await proxy.stop();
  }
}
const metricsPort = async (proxy) => Number(await until('the address of metrics', () => /"metrics_port":(\d+)/.exec(proxy.stderr)?.[1]));
const logged = async (proxy, n = 1) => {
  const lines = () => proxy.stderr.split('\n').slice(0, -1).filter((line) => line.includes('/v1/chat/completions'));
  return JSON.parse(await until('the access log', () => lines().length >= n && lines().at(-1)));
};

describe('who may read metrics, and where', () => {
  it('nobody, unless a setting says so', async () => {
    await withProxy({ METRICS_KEY: '' }, async ({ port }) => {
      for (const key of [PROXY_KEY, KEY]) assert.equal((await send(port, request('GET', '/metrics', { key }))).status, 404);
    });
  });

  it('METRICS_KEY: with that key, not with the proxy\'s, which it does not replace', async () => {
    await withProxy({}, async ({ port }) => {
      const answer = await send(port, request('GET', '/metrics', { key: KEY }));
      assert.equal(answer.status, 200);
      assert.ok(!('x-ratelimit-limit-requests' in answer.headers));
      const wrong = await send(port, request('GET', '/metrics', { key: PROXY_KEY }));
      assert.equal(wrong.status, 401);
      assert.doesNotMatch(wrong.text, /CLAUDE_PROXY_API_KEY/);
      assert.equal((await send(port, request('GET', '/metrics', { key: null }))).status, 401);
      assert.equal((await send(port, request('POST', '/metrics', { key: KEY }))).status, 405);
      assert.equal((await send(port, request('GET', '/v1/models', { key: KEY }))).status, 401);
      assert.equal((await send(port, chat(ask('Hi'), { key: KEY }))).status, 401);
      const head = await send(port, request('HEAD', '/metrics', { key: KEY }), { isHead: true });
      assert.equal(head.status, 200);
    });
  });

  it('METRICS_ADDRESS: there, with no key needed, and nothing else is there', async () => {
    await withProxy({ METRICS_KEY: '', METRICS_ADDRESS: '127.0.0.1:0' }, async (proxy) => {
      const port = await metricsPort(proxy);
      assert.notEqual(port, proxy.port);
      await scrape(port, { key: null });
      assert.equal((await send(port, request('GET', '/health'))).status, 200);
      for (const bytes of [request('GET', '/v1/models'), chat(ask('Hi')), request('OPTIONS', '/v1/models')])
        assert.equal((await send(port, bytes)).status, 404);
      assert.equal((await send(proxy.port, request('GET', '/metrics'))).status, 404);
    });
  });

  it('both: at the address, with the key', async () => {
    await withProxy({ METRICS_ADDRESS: '127.0.0.1:0' }, async (proxy) => {
      const port = await metricsPort(proxy);
      assert.equal((await send(port, request('GET', '/metrics', { key: null }))).status, 401);
      await scrape(port);
      assert.equal((await send(proxy.port, request('GET', '/metrics', { key: KEY }))).status, 404);
    });
  });

  it('the address answers when MAX_CONNECTIONS are open', async () => {
    await withProxy({ METRICS_ADDRESS: '127.0.0.1:0', MAX_CONNECTIONS: '2' }, async (proxy) => {
      const port = await metricsPort(proxy);
      const open = [await Connection.open(proxy.port), await Connection.open(proxy.port)];
      const metrics = await scrapeUntil(port, 'three', (m) => m.sum('claude_proxy_connections_open') === 3);
      assert.equal(metrics.sum('claude_proxy_connections_open'), 3); // the scraper's own
      for (const connection of open) connection.close();
    });
  });

  const refused = [
    [{ METRICS_KEY: '', METRICS_ADDRESS: '0.0.0.0:0' }, /METRICS_KEY is not set/],
    [{ METRICS_ADDRESS: '127.0.0.1' }, /METRICS_ADDRESS/],
    [{ METRICS_ADDRESS: '127.0.0.1:70000' }, /METRICS_ADDRESS/],
    [{ METRICS_ADDRESS: '::1:9090' }, /METRICS_ADDRESS/],
  ];
  for (const [env, why] of refused)
    it(`${JSON.stringify(env)} is refused at the start`, async () => {
      const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { METRICS_KEY: KEY, ...env }) });
      assert.notEqual(code, 0);
      assert.match(stderr, why);
    });
});

describe('what is counted', () => {
  it('requests, tokens and times after known requests', async () => {
    await withProxy({}, async ({ port }) => {
      const usage = { input: 0, output: 0 };
      for (let i = 0; i < 6; i++) {
        const { json } = await send(port, chat(ask('Say a few words')));
        usage.input += json.usage.prompt_tokens;
        usage.output += json.usage.completion_tokens;
      }
      await send(port, chat(ask('Hi', { stream: true, seed: 1 })));
      await send(port, chat(ask('Hi', { model: 'no-such-model' })));
      await send(port, chat(ask('Hi'), { key: 'wrong' }));
      await send(port, request('GET', '/nowhere'));
      const ofModel = { model: MODEL, route: 'chat' };
      const m = await scrapeUntil(port, 'all', (all) => all.sum('claude_proxy_requests_total', ofModel) === 7);
      assert.equal(m.sum('claude_proxy_requests_total', { ...ofModel, end: 'done', status: '2xx' }), 7);
      assert.equal(m.sum('claude_proxy_requests_total', { route: 'chat', model: '', end: 'model_not_found', status: '4xx' }), 1);
      assert.equal(m.sum('claude_proxy_requests_total', { route: 'chat', end: 'wrong_key' }), 1);
      assert.equal(m.sum('claude_proxy_requests_total', { route: 'none', end: 'unknown_url' }), 1);
      const ofGenAi = { gen_ai_request_model: MODEL, gen_ai_operation_name: 'chat', gen_ai_provider_name: 'anthropic' };
      for (const name of ['request_duration', 'time_to_first_token'])
        assert.equal(m.sum(`gen_ai_server_${name}_seconds_count`, ofGenAi), 7, name);
      assert.equal(m.sum('gen_ai_client_token_usage_count', { ...ofGenAi, gen_ai_token_type: 'input' }), 7);
      assert.ok(m.sum('gen_ai_client_token_usage_sum', { gen_ai_token_type: 'input' }) > usage.input);
      assert.ok(m.sum('claude_proxy_tokens_total', { model: MODEL, kind: 'output' }) > usage.output);
      assert.equal(m.sum('claude_proxy_upstream_attempts_total'), 7);
      assert.equal(m.sum('claude_proxy_upstream_answers_total', { outcome: '200' }), 7);
      assert.equal(m.sum('claude_proxy_losses_total', { kind: 'ignored', name: 'seed' }), 1);
      assert.equal(m.sum('claude_proxy_requests_in_flight'), 1); // the one that asks
    });
  });

  it('tokens by kind, exactly', async () => {
    const event = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
    const counts = { input_tokens: 3, cache_read_input_tokens: 40, cache_creation_input_tokens: 500 };
    const upstream = await Recorder.start(({ url }) => !url.startsWith('/v1/messages') ? sim.url + url : {
      status: 200, headers: { 'content-type': 'text/event-stream' },
      body: event({ type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: MODEL, content: [], stop_reason: null, usage: { ...counts, output_tokens: 1 } } })
        + event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
        + event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } })
        + event({ type: 'content_block_stop', index: 0 })
        + event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 60, output_tokens_details: { thinking_tokens: 7 } } })
        + event({ type: 'message_stop' }),
    });
    await withProxy({}, async (proxy) => {
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 200);
      const line = await logged(proxy);
      assert.deepEqual([line.input_tokens, line.cache_read_tokens, line.cache_write_tokens, line.output_tokens, line.reasoning_tokens], [543, 40, 500, 60, 7]);
      const m = await scrape(proxy.port);
      const kinds = Object.fromEntries(m.find('claude_proxy_tokens_total', { model: MODEL }).map(({ labels, value }) => [labels.kind, value]));
      assert.deepEqual(kinds, { input: 3, cache_read: 40, cache_write: 500, output: 60, reasoning: 7 });
      assert.equal(m.sum('gen_ai_client_token_usage_sum', { gen_ai_token_type: 'input' }), 543);
      assert.equal(m.sum('gen_ai_client_token_usage_sum', { gen_ai_token_type: 'output' }), 60);
      assert.equal(m.sum('gen_ai_client_token_usage_bucket', { gen_ai_token_type: 'output', le: '16' }), 0);
      assert.equal(m.sum('gen_ai_client_token_usage_bucket', { gen_ai_token_type: 'output', le: '64' }), 1);
    }, upstream);
    await upstream.stop();
  });

  it('retries, keys that cool down, fallbacks, the breaker; and the access log names the cause', async () => {
    const failure = (status, type) => ({ status, body: JSON.stringify({ type: 'error', error: { type, message: 'no' } }) });
    const script = [failure(429, 'rate_limit_error'), failure(529, 'overloaded_error')];
    const upstream = await Recorder.start(({ url }) => (url.startsWith('/v1/messages') && script.shift()) || sim.url + url);
    await withProxy({ RETRIES: '2', ANTHROPIC_API_KEY: `${UPSTREAM_KEY},${UPSTREAM_KEY}-b` }, async (proxy) => {
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 200);
      const line = await logged(proxy);
      assert.equal(line.attempts, 3);
      assert.equal(line.retries, 2);
      assert.ok(line.retry_wait_ms > 0 && line.retry_wait_ms <= line.ms + 1, JSON.stringify(line));
      assert.ok(line.content_ms >= line.retry_wait_ms - 1);
      assert.ok([1, 2].includes(line.upstream_key));
      assert.ok(!JSON.stringify(line).includes(UPSTREAM_KEY));
      const m = await scrape(proxy.port);
      assert.equal(m.sum('claude_proxy_retries_total', { how: 'another_key', status: '429' }), 1);
      assert.equal(m.sum('claude_proxy_retries_total', { how: 'pause' }), 1);
      assert.ok(m.sum('claude_proxy_retry_wait_seconds_total') > 0);
      assert.equal(m.sum('claude_proxy_upstream_attempts_total'), 3);
      for (const outcome of ['200', '429', '529']) assert.equal(m.sum('claude_proxy_upstream_answers_total', { outcome }), 1);
      assert.equal(m.find('claude_proxy_upstream_key_cooldowns_total', {}).length, 2);
      assert.equal(m.sum('claude_proxy_upstream_key_cooldowns_total'), 1);
      assert.equal(m.sum('claude_proxy_upstream_key_cooling'), 1);
      assert.equal(m.sum('claude_proxy_breaker_open'), 0);
    }, upstream);
    await upstream.stop();

    const down = await Recorder.start(({ url }) => url.startsWith('/v1/messages') ? failure(500, 'api_error') : sim.url + url);
    await withProxy({ CIRCUIT_BREAKER: 'on', FALLBACK_MODELS: 'claude-haiku-4-5' }, async (proxy) => {
      for (let i = 0; i < 25; i++) await send(proxy.port, chat(ask('Hi')));
      const m = await scrapeUntil(proxy.port, 'all', (all) => all.sum('claude_proxy_requests_total', { route: 'chat' }) === 25);
      assert.equal(m.sum('claude_proxy_breaker_open'), 1);
      assert.equal(m.sum('claude_proxy_breaker_opened_total'), 1);
      assert.ok(m.sum('claude_proxy_requests_total', { model: MODEL, end: 'upstream_down', status: '5xx' }) > 0);
      assert.equal(m.sum('gen_ai_server_request_duration_seconds_count', { error_type: '_OTHER' }), 25);
    }, down);
    await down.stop();
  });

  it('a key that is out of its limits stays aside though it may list the models', async () => {
    const limited = { status: 429, headers: { 'retry-after': '60' }, body: '{"type":"error","error":{"type":"rate_limit_error","message":"no"}}' };
    const upstream = await Recorder.start(({ url }) => url.startsWith('/v1/messages') ? limited : sim.url + url);
    await withProxy({ MODELS_CACHE_SECONDS: '1', WORKERS: '1' }, async ({ port }) => {
      const lists = () => upstream.calls.filter(({ url }) => url.startsWith('/v1/models')).length;
      await until('the first list', () => lists() > 0);
      assert.equal((await send(port, chat(ask('Hi')))).status, 429);
      assert.equal((await scrape(port)).sum('claude_proxy_upstream_key_cooling'), 1);
      const before = lists();
      await until('another list', async () => (await send(port, request('GET', '/v1/models'))).status === 200 && lists() > before);
      await new Promise((resolve) => setTimeout(resolve, 200)); // until it is read
      assert.equal((await scrape(port)).sum('claude_proxy_upstream_key_cooling'), 1);
    }, upstream);
    await upstream.stop();
  });

  it('an open stream is open until it ends, or its client leaves', async () => {
    await withProxy({}, async ({ port }) => {
      const connection = await Connection.open(port);
      await connection.write(chat(ask('[[sim: words=200 gap=50ms]]', { stream: true })));
      await connection.head();
      const during = await scrape(port);
      assert.equal(during.sum('claude_proxy_streams_open'), 1);
      assert.equal(during.sum('claude_proxy_requests_in_flight'), 2);
      connection.reset();
      const after = await scrapeUntil(port, 'the end', (m) => m.sum('claude_proxy_streams_open') === 0 && m.sum('claude_proxy_requests_total', { end: 'client_gone' }) === 1);
      assert.equal(after.sum('claude_proxy_streams_open'), 0);
      assert.equal(after.sum('claude_proxy_requests_total', { end: 'client_gone', model: MODEL }), 1);
    });
  });

  it('scraped under load: every page is whole, and nothing is lost in the end', async () => {
    await withProxy({}, async ({ port }) => {
      const clients = Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 25; i++) assert.equal((await send(port, chat(ask('Hi', { stream: i % 2 === 0 })))).status, 200);
      });
      let last = 0;
      const scraper = (async () => {
        for (let i = 0; i < 30; i++) {
          const n = (await scrape(port)).sum('claude_proxy_requests_total', { route: 'chat' });
          assert.ok(n >= last, `${n} after ${last}`);
          last = n;
        }
      })();
      await Promise.all([...clients, scraper]);
      const m = await scrapeUntil(port, 'all', (all) => all.sum('claude_proxy_requests_total', { route: 'chat' }) === 200);
      assert.equal(m.sum('claude_proxy_requests_total', { route: 'chat', end: 'done' }), 200);
      assert.equal(m.sum('gen_ai_server_request_duration_seconds_count'), 200);
      assert.equal(m.sum('claude_proxy_upstream_attempts_total'), 200);
      assert.equal(m.sum('claude_proxy_streams_open'), 0);
    });
  });
});

describe('names that clients choose', () => {
  const hostile = 'claude-"}\\x{a="b\\n';

  it('models that are not there have no row of their own', async () => {
    const upstream = await Recorder.start(({ url }) => url.startsWith('/v1/messages') ? { status: 404, body: '{"type":"error","error":{"type":"not_found_error","message":"model"}}' } : sim.url + url);
    await withProxy({}, async ({ port }) => {
      for (let i = 0; i < 80; i++) await send(port, chat(ask('Hi', { model: `${MODEL}-${20270000 + i}` })));
      const m = await scrapeUntil(port, 'all', (all) => all.sum('claude_proxy_requests_total', { model: 'other' }) === 80);
      assert.equal(m.sum('claude_proxy_requests_total', { model: 'other' }), 80);
      const models = new Set(m.find('claude_proxy_requests_total', { route: 'chat' }).map(({ labels }) => labels.model));
      assert.deepEqual([...models], ['other']);
    }, upstream);
    await upstream.stop();
  });

  it('one that the upstream lists is escaped', async () => {
    const list = JSON.stringify({ data: [{ type: 'model', id: hostile, display_name: 'x', created_at: '2026-01-01T00:00:00Z' }], has_more: false, first_id: hostile, last_id: hostile });
    const upstream = await Recorder.start(({ url }) => url.startsWith('/v1/models') ? { status: 200, body: list } : { status: 400, body: '{"type":"error","error":{"type":"invalid_request_error","message":"no"}}' });
    await withProxy({}, async (proxy) => {
      await until('the list', async () => (await send(proxy.port, request('GET', '/v1/models'))).text.includes('claude-\\"'));
      assert.equal((await send(proxy.port, chat(ask('Hi', { model: hostile })))).status, 400);
      const m = await scrapeUntil(proxy.port, 'it', (all) => all.sum('claude_proxy_requests_total', { model: hostile }) === 1);
      assert.equal(m.sum('claude_proxy_requests_total', { model: hostile, end: 'upstream_error', status: '4xx' }), 1);
    }, upstream);
    await upstream.stop();
  });
});
