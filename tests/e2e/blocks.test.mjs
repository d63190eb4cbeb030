// Whatever blocks Claude answers with, an OpenAI client reads the same answer, streamed and not, and
// nothing that is not for it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { MODEL, PROXY_KEY } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const weather = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } };

let stage, recorder, proxy, client;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
});
after(() => clearStage(stage));

const ask = (content, more = {}) => client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content }], ...more });

/** The message as chunks make it: every member of a delta is appended, whatever it is called. */
async function gather(stream) {
  const message = {};
  let finish_reason, usage;
  const append = (to, delta) => {
    for (const [key, value] of Object.entries(delta)) {
      if (value === null || ['index', 'id', 'type', 'role'].includes(key)) to[key] ??= value;
      else if (key === 'tool_calls') for (const call of value) append(((to.tool_calls ??= [])[call.index] ??= {}), call);
      else if (Array.isArray(value)) (to[key] ??= []).push(...value);
      else if (typeof value === 'object') append((to[key] ??= {}), value);
      else to[key] = (to[key] ?? '') + value;
    }
  };
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const { delta, finish_reason: reason } of chunk.choices) append(message, delta), (finish_reason = reason ?? finish_reason);
  }
  return { message, finish_reason, usage };
}

async function both(content, more = {}) {
  const { choices: [whole], usage } = await ask(content, more);
  const streamed = await gather(await ask(content, { ...more, stream: true, stream_options: { include_usage: true } }));
  return [{ ...whole, usage }, streamed];
}

describe('blocks that are not for the client', () => {
  for (const [blocks, text] of [
    ['fetch,fetched,text', 'one two'],
    ['code,output,text', 'one two'],
    ['text,code,output,text', 'one\n\n two'],
    ['bash,shell,edit,edited,text', 'one two'],
    ['lookup,found,text', 'one two'],
    ['mcp,answered,text', 'one two'],
    ['upload,text', 'one two'],
    ['compaction,text', 'one two'],
    ['fallback,text', 'one two'],
    ['redacted,text', 'one two'],
    ['unknown,text', 'one two'],
    ['search,result,empty,text', 'one two'],
    ['none', ''],
  ])
    it(blocks, async () => {
      const [whole, streamed] = await both(`[[sim: blocks=${blocks} text="one two"]]`, { tools: [weather] });
      for (const { message, finish_reason } of [whole, streamed]) {
        assert.equal(message.content.replace('\n\n', ''), text.replace('\n\n', ''));
        assert.equal(message.tool_calls, undefined);
        assert.equal(finish_reason, 'stop');
      }
      assert.equal(streamed.message.content, whole.message.content);
      assert.deepEqual(streamed.usage, whole.usage);
    });
});

describe('citations', () => {
  it('of the web are annotations at their place', async () => {
    const [whole, streamed] = await both('[[sim: blocks=search,result,cited,text text="one two"]]');
    for (const { message } of [whole, streamed]) {
      assert.equal(message.annotations.length, 1);
      const { type, url_citation: { url, title, start_index, end_index } } = message.annotations[0];
      assert.deepEqual([type, url, title], ['url_citation', 'https://example.com/', 'An example']);
      assert.equal(message.content.slice(start_index, end_index), 'one');
    }
    assert.deepEqual(streamed.message.annotations, whole.message.annotations);
  });

  for (const [form, type] of [['chars', 'char_location'], ['pages', 'page_location'], ['blocks', 'content_block_location'], ['result', 'search_result_location']])
    it(`of ${form} are kept as Anthropic has them`, async () => {
      const [whole, streamed] = await both(`[[sim: blocks=text,cited text="one two" citation=${form}]]`);
      for (const { message } of [whole, streamed]) {
        assert.equal(message.content, 'one two');
        assert.equal(message.citations[0].type, type);
        assert.equal(message.citations[0].cited_text, ' two');
      }
      assert.deepEqual(streamed.message.citations, whole.message.citations);
    });
});

describe('calls from code', () => {
  it('that wait for the client are tool calls', async () => {
    for (const { message, finish_reason } of await both('[[sim: blocks=code,tool tool=get_weather args="{\\"city\\":\\"Rome\\"}"]]', { tools: [weather] })) {
      assert.equal(finish_reason, 'tool_calls');
      assert.deepEqual(message.tool_calls.map((call) => [call.function.name, call.function.arguments]), [['get_weather', '{"city":"Rome"}']]);
    }
  });

  it('that were answered already are none', async () => {
    for (const { message, finish_reason } of await both('[[sim: blocks=code,tool,output,text tool=get_weather text=done]]', { tools: [weather] })) {
      assert.equal(finish_reason, 'stop');
      assert.equal(message.tool_calls, undefined);
      assert.equal(message.content, 'done');
    }
  });

  it('are answered by a client that knows nothing of code', async () => {
    const [{ message }] = await both('[[sim: blocks=code,tool tool=get_weather]]', { tools: [weather] });
    const { choices: [choice] } = await client.chat.completions.create({
      model: MODEL,
      tools: [weather],
      messages: [{ role: 'user', content: 'Go.' }, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'sunny' }],
    });
    assert.equal(choice.finish_reason, 'stop');
    assert.match(choice.message.content, /sunny/);
  });

  it('that are whole in message_start', async () => {
    for (const { message, finish_reason } of await both('[[sim: blocks=tool tool=get_weather whole]]', { tools: [weather] })) {
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(message.tool_calls[0].function.arguments, '{"city":"' + JSON.parse(message.tool_calls[0].function.arguments).city + '"}');
    }
  });
});

describe('ends', () => {
  for (const [directives, finish_reason, content] of [
    ['stop=max_tokens text=cut', 'length', 'cut'],
    ['stop=model_context_window_exceeded text=full', 'length', 'full'],
    ['stop=stop_sequence sequence=END text=until', 'stop', 'until'],
    ['stop=pause_turn text=on', 'stop', null],
    ['stop=compaction text=x', 'stop', 'x'],
    ['stop=tool_use text=x', 'stop', 'x'],
  ])
    it(directives, async () => {
      const [whole, streamed] = await both(`[[sim: ${directives}]]`, { stop: ['END'] });
      for (const choice of [whole, streamed]) {
        assert.equal(choice.finish_reason, finish_reason);
        if (content !== null) assert.equal(choice.message.content, content);
      }
      assert.equal(streamed.message.content, whole.message.content);
      assert.deepEqual(streamed.usage, whole.usage);
    });

  it('refusals with category and explanation', async () => {
    for (const { message, finish_reason } of await both('[[sim: stop=refusal category=bio explanation="Not that." blocks=none]]')) {
      assert.equal(finish_reason, 'content_filter');
      assert.equal(message.refusal, 'Not that.');
      assert.equal(message.refusal_category, 'bio');
    }
  });
});

describe('usage', () => {
  it('is that of the answer, with what was cached and thought', async () => {
    const [whole, streamed] = await both('[[sim: blocks=think,text text=x cached=30 cache_write=20 input=10 output=90]]');
    assert.deepEqual(streamed.usage, whole.usage);
    assert.equal(whole.usage.prompt_tokens, 60);
    assert.equal(whole.usage.completion_tokens, 90);
    assert.equal(whole.usage.prompt_tokens_details.cached_tokens, 30);
    assert.ok(whole.usage.completion_tokens_details.reasoning_tokens > 0);
  });
});
