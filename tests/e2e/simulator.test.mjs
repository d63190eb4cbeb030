// The simulator is Anthropic's API as its official SDK knows it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { startSim } from './lib/process.mjs';

const MODEL = 'claude-haiku-5-5';
const SAMPLING_MODEL = 'claude-haiku-4-5';
const OLDER = { headers: { 'anthropic-version': '2023-06-01' } };

let sim, client;

before(async () => {
  sim = await startSim();
  client = new Anthropic({ baseURL: sim.url, apiKey: 'any', maxRetries: 0 });
});
after(() => sim?.stop());

const message = (content, more = {}) => ({ model: MODEL, max_tokens: 1000, messages: [{ role: 'user', content }], ...more });
const create = (content, more, options) => client.messages.create(message(content, more), options);

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('no error was raised');
}

describe('messages', () => {
  for (const [name, options] of [['2026-10-21', {}], ['2023-06-01', OLDER]]) {
    it(`create, version ${name}`, async () => {
      const answer = await create("What's the capital of France?", {}, options);
      assert.equal(answer.type, 'message');
      assert.equal(answer.role, 'assistant');
      assert.equal(answer.model, MODEL);
      assert.match(answer.id, /^msg_/);
      assert.match(answer._request_id, /^req_/);
      assert.match(answer.content.find((block) => block.type === 'text').text, /Paris/);
      assert.equal(answer.stop_reason, 'end_turn');
      assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
    });

    it(`stream, version ${name}`, async () => {
      const types = [];
      const stream = client.messages.stream(message('[[sim: text="alpha beta gamma" piece=5]]'), options);
      stream.on('streamEvent', (event) => types.push(event.type));
      const final = await stream.finalMessage();
      assert.equal(await stream.finalText(), 'alpha beta gamma');
      assert.equal(final.stop_reason, 'end_turn');
      assert.equal(types[0], 'message_start');
      assert.equal(types.at(-1), 'message_stop');
      assert.equal(types.filter((type) => type === 'content_block_delta').length, 4);
    });
  }

  it('a stream and an answer that is none are equal', async () => {
    for (const content of ['Hello', '[[sim: words=50]]', '[[sim: blocks=think,text think=text text=x]]', '[[sim: text="cut" stop=max_tokens input=7 cached=8 output=9]]']) {
      const whole = await create(content);
      const streamed = await client.messages.stream(message(content)).finalMessage();
      const plain = ({ content: blocks, stop_reason, usage: { input_tokens, output_tokens, cache_read_input_tokens } }) => ({ blocks: blocks.map(({ type, text, thinking }) => ({ type, text, thinking })), stop_reason, input_tokens, output_tokens, cache_read_input_tokens });
      assert.deepEqual(plain(streamed), plain(whole), content);
    }
  });

  it('thinking, tools and structured outputs', async () => {
    const thought = await create('[[sim: blocks=think,text think=text text=x]]');
    assert.deepEqual(thought.content.map((block) => block.type), ['thinking', 'text']);
    assert.ok(thought.content[0].signature.length > 20);
    const tools = [{ name: 'get_weather', description: 'Weather.', input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } }];
    const called = await create('[[sim: tool=get_weather]] Weather in Paris?', { tools });
    const call = called.content.find((block) => block.type === 'tool_use');
    assert.equal(call.name, 'get_weather');
    assert.match(call.id, /^toolu_/);
    assert.equal(typeof call.input.city, 'string');
    assert.equal(called.stop_reason, 'tool_use');
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };
    const structured = await create('A number.', { output_config: { format: { type: 'json_schema', schema } } });
    assert.ok(Number.isInteger(JSON.parse(structured.content.at(-1).text).n));
  });

  it('the rate-limit headers', async () => {
    const { response } = await create('Hi').withResponse();
    for (const family of ['requests', 'tokens', 'input-tokens', 'output-tokens']) {
      assert.ok(Number(response.headers.get(`anthropic-ratelimit-${family}-limit`)) > 0, family);
      assert.match(response.headers.get(`anthropic-ratelimit-${family}-reset`), /^\d{4}-\d\d-\d\dT/);
    }
  });
});

// What every kind of block looks like to the SDK: its type, and that it is whole.
const BETA_BLOCKS = new Set(['mcp', 'compaction', 'fallback']);
const BLOCKS = [
  ['search,result,cited,text', ['server_tool_use', 'web_search_tool_result', 'text', 'text']],
  ['fetch,fetched,text', ['server_tool_use', 'web_fetch_tool_result', 'text']],
  ['code,output,text', ['server_tool_use', 'code_execution_tool_result', 'text']],
  ['bash,shell,edit,edited,text', ['server_tool_use', 'bash_code_execution_tool_result', 'server_tool_use', 'text_editor_code_execution_tool_result', 'text']],
  ['lookup,found,text', ['server_tool_use', 'tool_search_tool_result', 'text']],
  ['code,tool,output,text', ['server_tool_use', 'tool_use', 'code_execution_tool_result', 'text']],
  ['mcp,answered,text', ['mcp_tool_use', 'mcp_tool_result', 'text']],
  ['compaction,text', ['compaction', 'text']],
  ['fallback,text', ['fallback', 'text']],
  ['think,text,think,text', ['thinking', 'text', 'thinking', 'text']],
  ['redacted,text', ['redacted_thinking', 'text']],
  ['empty', ['text']],
  ['none', []],
];
const weather = { name: 'get_weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } };
const withoutIds = (content) => JSON.parse(JSON.stringify(content, (key, value) => (['id', 'tool_use_id', 'tool_id', 'signature'].includes(key) ? undefined : value)));

describe('every kind of block', () => {
  for (const [blocks, types] of BLOCKS)
    for (const name of BETA_BLOCKS.has(blocks.split(',')[0]) ? ['beta'] : ['stable', 'beta'])
      it(`${blocks} by the ${name} client`, async () => {
        const messages = name === 'beta' ? client.beta.messages : client.messages;
        const betas = name === 'beta' ? { betas: ['mcp-client-2025-11-20'] } : {};
        const body = { ...message(`Hi [[sim: blocks=${blocks} tool=get_weather think=text]]`, { tools: [weather] }), ...betas };
        const whole = await messages.create(body);
        assert.deepEqual(whole.content.map(({ type }) => type), types);
        const streamed = await messages.stream(body).finalMessage();
        assert.deepEqual(withoutIds(streamed.content), withoutIds(whole.content));
        assert.equal(streamed.stop_reason, whole.stop_reason);
        assert.equal(streamed.stop_reason, 'end_turn');
        // What it said it takes back.
        if (types.length && blocks !== 'empty')
          for (const said of [whole, streamed])
            await messages.create({ ...body, messages: [...body.messages, { role: 'assistant', content: said.content }, { role: 'user', content: 'Go on' }] });
      });

  it('citations of every kind', async () => {
    for (const [form, type] of [['web', 'web_search_result_location'], ['chars', 'char_location'], ['pages', 'page_location'], ['blocks', 'content_block_location'], ['result', 'search_result_location']]) {
      const content = `[[sim: blocks=text,cited text="one two" citation=${form}]]`;
      for (const answer of [await create(content), await client.messages.stream(message(content)).finalMessage()]) {
        assert.equal(answer.content[1].citations[0].type, type);
        assert.equal(answer.content[1].citations[0].cited_text, answer.content[1].text);
      }
    }
  });

  it('code that calls a tool, and goes on when it has the result', async () => {
    const tools = [{ ...weather, allowed_callers: ['code_execution_20250825'] }, { type: 'code_execution_20250825', name: 'code_execution' }];
    const asked = message('get_weather please', { tools });
    const called = await client.messages.create(asked);
    assert.equal(called.stop_reason, 'tool_use');
    const [code, call] = called.content;
    assert.deepEqual(call.caller, { type: 'code_execution_20250825', tool_id: code.id });
    assert.match(called.container.id, /^container_/);
    const answered = await client.messages.create({ ...asked, messages: [...asked.messages, { role: 'assistant', content: called.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'sunny' }] }] });
    assert.equal(answered.stop_reason, 'end_turn');
    assert.deepEqual(answered.content.map(({ type }) => type), ['code_execution_tool_result', 'text']);
    assert.equal(answered.content[0].tool_use_id, code.id);
  });

  it('server tools that the prompt names', async () => {
    for (const [tool, result] of [
      [{ type: 'web_search_20250305', name: 'web_search' }, 'web_search_tool_result'],
      [{ type: 'web_fetch_20250910', name: 'web_fetch' }, 'web_fetch_tool_result'],
      [{ type: 'code_execution_20250825', name: 'code_execution' }, 'code_execution_tool_result'],
    ]) {
      const answer = await create(`Use ${tool.name}.`, { tools: [tool] });
      assert.equal(answer.content[1].type, result);
      assert.equal(answer.stop_reason, 'end_turn');
    }
    const { usage } = await create('[[sim: blocks=search,result,search,result,fetch,fetched,text]]');
    assert.deepEqual(usage.server_tool_use, { web_search_requests: 2, web_fetch_requests: 1 });
  });

  it('every stop_reason', async () => {
    for (const [more, wanted] of [
      ['stop=max_tokens', { stop_reason: 'max_tokens', stop_sequence: null, stop_details: null }],
      ['stop=model_context_window_exceeded', { stop_reason: 'model_context_window_exceeded', stop_sequence: null, stop_details: null }],
      ['stop=pause_turn', { stop_reason: 'pause_turn', stop_sequence: null, stop_details: null }],
      ['stop=stop_sequence sequence=END', { stop_reason: 'stop_sequence', stop_sequence: 'END', stop_details: null }],
      ['stop=refusal category=cyber explanation="No."', { stop_reason: 'refusal', stop_sequence: null, stop_details: { type: 'refusal', category: 'cyber', explanation: 'No.' } }],
      ['stop=refusal blocks=none', { stop_reason: 'refusal', stop_sequence: null, stop_details: { type: 'refusal', category: null, explanation: null } }],
    ])
      for (const answer of [await create(`[[sim: ${more}]]`), await client.messages.stream(message(`[[sim: ${more}]]`)).finalMessage()]) {
        const { stop_reason, stop_sequence, stop_details } = answer;
        assert.deepEqual({ stop_reason, stop_sequence, stop_details }, wanted);
      }
  });

  it('usage counts writes by their life, a compaction apart', async () => {
    const long = 'word '.repeat(3000);
    const mark = (ttl) => ({ type: 'text', text: long, cache_control: { type: 'ephemeral', ttl } });
    const { usage } = await create([mark('1h'), mark('5m')]);
    assert.ok(usage.cache_creation.ephemeral_1h_input_tokens > 1000 && usage.cache_creation.ephemeral_5m_input_tokens > 1000);
    assert.equal(usage.cache_creation_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens + usage.cache_creation.ephemeral_5m_input_tokens);
    const compacted = await client.beta.messages.stream({ ...message('[[sim: blocks=compaction,text]]'), betas: ['compact-2026-01-12'] }).finalMessage();
    assert.deepEqual(compacted.usage.iterations.map(({ type }) => type), ['compaction', 'message']);
    assert.equal(compacted.usage.iterations[1].output_tokens, compacted.usage.output_tokens);
  });
});

describe('errors', () => {
  for (const [directives, cls, type] of [
    ['status=400', Anthropic.BadRequestError, 'invalid_request_error'],
    ['status=401', Anthropic.AuthenticationError, 'authentication_error'],
    ['status=403', Anthropic.PermissionDeniedError, 'permission_error'],
    ['status=404', Anthropic.NotFoundError, 'not_found_error'],
    ['status=409', Anthropic.ConflictError, 'conflict_error'],
    ['status=429', Anthropic.RateLimitError, 'rate_limit_error'],
    ['status=500', Anthropic.InternalServerError, 'api_error'],
    ['status=529', Anthropic.InternalServerError, 'overloaded_error'],
  ])
    it(`${directives} is a ${cls.name}`, async () => {
      const content = `[[sim: ${directives}]]`;
      for (const ask of [() => create(content), () => client.messages.stream(message(content)).finalMessage()]) {
        const error = await errorOf(ask());
        assert.ok(error instanceof cls, String(error));
        assert.equal(error.error.error.type, type);
        assert.match(error.requestID ?? error.error.request_id, /^req_/);
      }
    });

  it('an error event and a cut within a stream', async () => {
    for (const directives of ['error=overloaded_error after=2', 'cut=2']) {
      const error = await errorOf(client.messages.stream(message(`[[sim: text="one two three four" piece=4 ${directives}]]`)).finalMessage());
      assert.ok(error instanceof Anthropic.AnthropicError, `${directives}: ${error}`);
    }
  });

  it('no key, an unknown model, an unknown route', async () => {
    const answer = await fetch(`${sim.url}/v1/messages`, { method: 'POST', body: JSON.stringify(message('Hi')), headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' } });
    assert.equal(answer.status, 401);
    assert.equal((await answer.json()).error.type, 'authentication_error');
    assert.equal((await errorOf(create('Hi', { model: 'claude-none' }))).error.error.message, 'model: claude-none');
    assert.ok((await errorOf(create('Hi', { model: 'claude-3-haiku-20240307' }))) instanceof Anthropic.NotFoundError);
    assert.ok((await errorOf(client.get('/v1/nothing'))) instanceof Anthropic.NotFoundError);
    assert.equal((await fetch(`${sim.url}/v1/messages`, { headers: { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' } })).status, 405);
  });

  const tooDeep = (text) => ({ type: 'text', text });
  for (const [name, more, options, says] of [
    ['sampling on 2026-10-21, even the default', { model: SAMPLING_MODEL, temperature: 1 }, {}, /temperature: Extra inputs are not permitted/],
    ['sampling on a model without it', { temperature: 0.5 }, OLDER, /`temperature` is deprecated for this model/],
    ['temperature with top_p', { model: SAMPLING_MODEL, temperature: 0.5, top_p: 0.5 }, OLDER, /cannot both be specified/],
    ['temperature above 1', { model: SAMPLING_MODEL, temperature: 1.5 }, OLDER, /temperature: range: 0\.\.1/],
    ['prefill', { messages: [{ role: 'user', content: 'x' }, { role: 'assistant', content: 'y' }] }, {}, /must end with a user message/],
    ['an empty text block', { messages: [{ role: 'user', content: [tooDeep('')] }] }, {}, /non-empty/],
    ['a system message on a model without it', { model: 'claude-sonnet-5', messages: [{ role: 'user', content: 'x' }, { role: 'system', content: 'y' }] }, {}, /role 'system' is not supported on this model/],
    ['an open schema', { output_config: { format: { type: 'json_schema', schema: { type: 'object', properties: {} } } } }, {}, /'additionalProperties' must be explicitly set to false/],
    ['an unanswered tool call', { messages: [{ role: 'user', content: 'x' }, { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'f', input: {} }] }, { role: 'user', content: 'y' }] }, {}, /`tool_use` ids were found without `tool_result` blocks/],
    ['no max_tokens', { max_tokens: undefined }, {}, /max_tokens: Field required/],
    ['no messages', { messages: undefined }, {}, /messages: Field required/],
    ['an unknown field', { colour: 'red' }, {}, /colour: Extra inputs are not permitted/],
  ])
    it(`refuses ${name}`, async () => {
      const error = await errorOf(create('Hi', more, options));
      assert.ok(error instanceof Anthropic.BadRequestError, String(error));
      assert.match(error.error.error.message, says);
    });

  it('accepts what the older version accepts', async () => {
    await create('Hi', { model: SAMPLING_MODEL, temperature: 0.5 }, OLDER);
    await create('Hi', { model: SAMPLING_MODEL, top_p: 0.5 }, OLDER);
    await create('Hi', { model: SAMPLING_MODEL, messages: [{ role: 'user', content: 'Go' }, { role: 'assistant', content: 'Well' }] }, OLDER);
  });

  it('an unknown directive is refused by name', async () => {
    assert.match((await errorOf(create('[[sim: wrods=3]]'))).message, /wrods/);
  });
});

describe('the other routes', () => {
  it('models.list pages', async () => {
    const all = [];
    for await (const model of client.models.list({ limit: 1000 })) all.push(model);
    const paged = [];
    for await (const model of client.models.list({ limit: 2 })) paged.push(model);
    assert.deepEqual(paged, all);
    assert.ok(all.length > 10);
    const page = await client.models.list({ limit: 2 });
    assert.equal(page.data.length, 2);
    assert.equal(page.has_more, true);
    const model = all.find(({ id }) => id === MODEL);
    assert.equal(model.type, 'model');
    assert.equal(model.lifecycle, 'active');
    assert.equal(model.line, 'haiku');
    assert.equal(model.capabilities.structured_outputs.supported, true);
    assert.ok(model.max_tokens > 0 && model.max_input_tokens > 0);
  });

  it('models.retrieve resolves an alias', async () => {
    assert.equal((await client.models.retrieve('claude-haiku-4-5')).id, 'claude-haiku-4-5-20251001');
    assert.ok((await errorOf(client.models.retrieve('none'))) instanceof Anthropic.NotFoundError);
  });

  it('countTokens counts tools, images and what was said', async () => {
    const count = async (more) => (await client.messages.countTokens({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }], ...more })).input_tokens;
    const plain = await count({});
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' } };
    assert.ok((await count({ tools: [weather] })) > plain);
    assert.ok((await count({ system: 'Be brief.' })) > plain);
    assert.ok((await count({ messages: [{ role: 'user', content: [image, { type: 'text', text: 'Hi' }] }] })) > plain);
    assert.match((await errorOf(count({ max_tokens: 1 }))).message, /max_tokens: Extra inputs are not permitted/);
  });

  it('countTokens agrees with the usage', async () => {
    const counted = await client.messages.countTokens({ model: MODEL, messages: [{ role: 'user', content: 'How many tokens is this?' }] });
    const answer = await create('How many tokens is this?');
    assert.equal(counted.input_tokens, answer.usage.input_tokens);
  });
});
