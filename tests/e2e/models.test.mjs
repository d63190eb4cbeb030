// What a model can do comes from the upstream's list, on every worker, and follows it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { send, request } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { PROXY_KEY, startProxy, until } from './lib/process.mjs';

const yes = { supported: true }, no = { supported: false };
const WORKERS = 3;

/** A model that no table knows, and that can do what no other does. */
const nova = (more = {}) => ({
  type: 'model', id: 'claude-nova-9', display_name: 'Nova', created_at: '2026-11-01T00:00:00Z', lifecycle: 'active', line: null,
  max_input_tokens: 50000, max_tokens: 5000,
  capabilities: {
    effort: { supported: true, low: yes, medium: no, high: no, xhigh: no, max: yes },
    structured_outputs: no,
    thinking: { supported: true, types: { adaptive: no, between_tools: no, disabled: yes, enabled: yes } },
    ...more,
  },
});

let upstream, proxy, listed;
const sse = (events) => events.map((e) => `event: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`).join('');
const said = (model) => sse([
  { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model, content: [], stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } },
  { type: 'message_stop' },
]);

before(async () => {
  listed = [nova()];
  upstream = await Recorder.start(({ url, body }) => {
    if (url.startsWith('/v1/models')) return { status: 200, body: JSON.stringify({ data: listed, has_more: false, first_id: null, last_id: null }) };
    return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: said(body.model) };
  });
  proxy = await startProxy(upstream, { WORKERS: String(WORKERS), MODELS_CACHE_SECONDS: '1', REQUESTS_PER_MINUTE: '0', TOKENS_PER_MINUTE: '0', MODEL_ALIASES: 'house=claude-nova-9' });
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await upstream?.stop();
  }
});

/** One request on a connection of its own: which worker takes it is the kernel's choice. */
async function ask(more) {
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0, defaultHeaders: { connection: 'close' } });
  const { data, response } = await client.chat.completions.create({ model: 'claude-nova-9', messages: [{ role: 'user', content: 'Hi' }], ...more }).withResponse();
  assert.equal(data.choices[0].message.content, 'Hi');
  return { up: upstream.last.body, version: upstream.last.headers['anthropic-version'], modified: response.headers.get('x-modified-params'), headers: response.headers };
}
const list = async () => (await send(proxy.port, request('GET', '/v1/models', { authorization: `Bearer ${PROXY_KEY}` }))).json;
/** Asks so often that every worker has had its turn; all must say the same. */
async function everywhere(more, check) {
  for (let i = 0; i < WORKERS * 8; i++) check(await ask(more));
}

describe('a model that only the upstream knows', () => {
  it('is listed, and nothing else is', async () => {
    await until('the list', async () => (await list()).data.length === 1);
    const { data } = await list();
    assert.deepEqual([data[0].id, data[0].context_length, data[0].max_output_tokens], ['claude-nova-9', 50000, 5000]);
  });

  it('its longest answer, on every worker', async () => {
    await everywhere({ max_tokens: 9000 }, ({ up, modified }) => {
      assert.deepEqual([up.max_tokens, modified], [5000, 'max_tokens=5000(clamped)']);
    });
  });

  it('its efforts and types of thinking, by an alias, too', async () => {
    for (const model of ['claude-nova-9', 'house']) {
      const { up } = await ask({ model, reasoning_effort: 'high', max_tokens: 4000 });
      assert.equal(up.model, 'claude-nova-9');
      assert.equal(up.thinking.type, 'enabled');
      assert.equal(up.output_config.effort, 'low');
      assert.equal((await ask({ model, reasoning_effort: 'max', max_tokens: 4000 })).up.output_config.effort, 'max');
      assert.equal((await ask({ model, reasoning_effort: 'none' })).up.thinking.type, 'disabled');
    }
  });

  it('without structured outputs a schema is an instruction', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false };
    const { up, headers } = await ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } });
    assert.ok(!up.output_config?.format);
    assert.equal(headers.get('x-response-format'), 'best-effort');
  });

  it('what is in no list takes the careful rule: no sampling, the newest version', async () => {
    const { up, version, headers } = await ask({ temperature: 0.5, top_p: 0.5 });
    assert.ok(!('temperature' in up) && !('top_p' in up));
    assert.equal(headers.get('x-ignored-params'), 'temperature,top_p');
    assert.equal(version, '2026-10-21');
  });

  it('a change of the list is followed on every worker', async () => {
    listed = [nova({ effort: no, structured_outputs: yes, thinking: { supported: true, types: { adaptive: yes, between_tools: no, disabled: no, enabled: no } } }), { ...nova(), id: 'claude-nova-10', max_tokens: 700 }];
    await until('the new list', async () => (await list()).data.length === 2);
    const schema = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false };
    const isNew = (up) => up.thinking?.type === 'adaptive' && !up.output_config.effort && up.output_config.format;
    const body = { reasoning_effort: 'high', response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } };
    await until('one that was answered anew', async () => isNew((await ask(body)).up));
    await everywhere(body, ({ up }) => assert.ok(isNew(up), JSON.stringify(up)));
    assert.equal((await ask({ model: 'claude-nova-10', max_tokens: 9000 })).up.max_tokens, 700);
  });
});
