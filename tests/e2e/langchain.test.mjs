// LangChain's ChatOpenAI against the proxy, the simulator behind it:
// - invoke, stream, batch, chains; usage_metadata with cached and reasoning tokens, equal in both modes;
// - bindTools with every tool_choice, strict, parallel calls, calls put together from a stream;
// - createAgent: several turns, streamed, several tools, a structured answer by tool and by provider;
// - withStructuredOutput by jsonSchema, functionCalling and jsonMode, streamed and not;
// - images, files, reasoning effort, errors, retries, abort.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, providerStrategy, toolStrategy } from 'langchain';
import { z } from 'zod';

import { PDF, PNG, argsOf, dataUrl, jsonOf } from './lib/content.mjs';
import { MODEL, PROXY_KEY, until } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

let stage, recorder, proxy;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
});
after(() => clearStage(stage));

const chat = (more = {}) =>
  new ChatOpenAI({ model: MODEL, apiKey: PROXY_KEY, maxRetries: 0, configuration: { baseURL: `http://127.0.0.1:${proxy.port}/v1` }, ...more });

describe('ChatOpenAI', () => {
  it('invoke: a conversation, usage and end', async () => {
    const answer = await chat().invoke([new SystemMessage('Be brief.'), new HumanMessage('Say one'), new AIMessage('One'), new HumanMessage('What is the capital of France?')]);
    assert.match(answer.content, /Paris/);
    assert.equal(answer.response_metadata.finish_reason, 'stop');
    const usage = answer.usage_metadata;
    assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
    assert.ok(usage.output_tokens > 0);
    assert.deepEqual(recorder.last.body.messages.map(({ role }) => role), ['user', 'assistant', 'user']);
    assert.match(JSON.stringify(recorder.last.body.system), /Be brief\./);
  });

  it('stream: the pieces are the text, usage at the end', async () => {
    let whole;
    let n = 0;
    for await (const piece of await chat({ streamUsage: true }).stream('[[sim: words=200 piece=3]]')) {
      whole = whole ? whole.concat(piece) : piece;
      n++;
    }
    assert.ok(n > 50, `${n} pieces`);
    assert.equal(whole.content.split(' ').length, 200);
    assert.ok(whole.usage_metadata.output_tokens >= 200);
    assert.equal(whole.response_metadata.finish_reason, 'stop');
  });

  it('a chain of prompt, model and parser; batch', async () => {
    const chain = ChatPromptTemplate.fromMessages([['human', 'Say {word}']]).pipe(chat()).pipe(new StringOutputParser());
    assert.equal(await chain.invoke({ word: 'hello' }), 'Hello');
    assert.deepEqual(await chain.batch([{ word: 'one' }, { word: 'two' }, { word: 'three' }]), ['One', 'Two', 'Three']);
  });

  it('stop sequences and the limit of tokens', async () => {
    const answer = await chat({ maxTokens: 5 }).invoke('Say one two three four five six seven eight nine ten');
    assert.equal(answer.response_metadata.finish_reason, 'length');
    assert.equal(recorder.last.body.max_tokens, 5);
    const cut = await chat().invoke('Say one END two', { stop: ['END'] });
    assert.equal(cut.content.trim(), 'One');
  });

  it('bindTools: a call, its result, the answer', async () => {
    const get_weather = tool(({ city }) => `sunny in ${city}`, { name: 'get_weather', description: 'The weather.', schema: z.object({ city: z.string() }) });
    const model = chat().bindTools([get_weather]);
    const messages = [new HumanMessage('Please use get_weather')];
    const asked = await model.invoke(messages);
    assert.deepEqual(asked.tool_calls.map(({ name }) => name), ['get_weather']);
    messages.push(asked, await get_weather.invoke(asked.tool_calls[0]));
    assert.ok(messages.at(-1) instanceof ToolMessage);
    assert.match((await model.invoke(messages)).content, /sunny in/);
  });

  it('an error is the API error, with its status', async () => {
    await assert.rejects(chat().invoke('[[sim: status=400 message="too wide"]]'), (error) => error.status === 400 && /too wide/.test(error.message));
  });

  it('retries an overload', async () => {
    const before = recorder.messages.length;
    await assert.rejects(chat({ maxRetries: 1 }).invoke('[[sim: status=429 retry_after=0]]'));
    assert.ok(recorder.messages.length - before >= 2);
  });

  it('an error within a stream is raised, after the text so far', async () => {
    let content = '';
    await assert.rejects(async () => {
      for await (const piece of await chat().stream('[[sim: words=50 gap=2ms error=overloaded_error after=3]]')) content += piece.content;
    });
    assert.ok(content.length > 0);
  });

  it('abort: the upstream sees it', async () => {
    const tag = `langchain-abort-${Date.now()}`;
    const controller = new AbortController();
    await assert.rejects(async () => {
      for await (const piece of await chat().stream(`${tag} [[sim: words=5000 gap=20ms]]`, { signal: controller.signal })) if (piece.content) controller.abort();
    });
    await until('the upstream saw it', () => recorder.find(tag).abortedAtMs, 1000);
  });

  it('usage_metadata: cached and reasoning tokens, the same in both modes', async () => {
    const model = chat({ model: 'claude-opus-5-5', modelKwargs: { reasoning_effort: 'high' } });
    const prompt = '[[sim: think=text text="x" input=10 cached=1000 cache_write=100]]';
    const whole = (await model.invoke(prompt)).usage_metadata;
    assert.equal(whole.input_tokens, 1110);
    assert.equal(whole.input_token_details.cache_read, 1000);
    assert.ok(whole.output_token_details.reasoning > 0);
    assert.deepEqual(recorder.last.body.output_config, { effort: 'high' });
    let streamed;
    for await (const piece of await model.stream(prompt)) streamed = streamed ? streamed.concat(piece) : piece;
    assert.deepEqual(JSON.parse(JSON.stringify(streamed.usage_metadata)), JSON.parse(JSON.stringify(whole)));
  });

  it('images and files', async () => {
    const parts = [
      { type: 'text', text: 'Look. [[sim: text="I see."]]' },
      { type: 'image_url', image_url: { url: dataUrl('image/png', PNG) } },
      { type: 'image_url', image_url: 'https://example.com/cat.jpg' },
      { type: 'image', source_type: 'base64', mime_type: 'image/png', data: PNG.toString('base64') },
      { type: 'file', source_type: 'base64', mime_type: 'application/pdf', data: PDF.toString('base64'), metadata: { filename: 'a.pdf' } },
    ];
    assert.equal((await chat().invoke([new HumanMessage({ content: parts })])).content, 'I see.');
    const sources = [...blocksUp('image'), ...blocksUp('document')].map(({ source }) => [source.type, source.media_type ?? source.url]);
    assert.deepEqual(sources, [['base64', 'image/png'], ['url', 'https://example.com/cat.jpg'], ['base64', 'image/png'], ['base64', 'application/pdf']]);
  });
});

const blocksUp = (type) => recorder.last.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter((block) => block.type === type);
const city = z.object({ city: z.string() });
const makeTools = (called = []) => ['get_weather', 'get_time'].map((name) => tool((input) => { called.push([name, input]); return `${name}: fine`; }, { name, description: `Asks for ${name}.`, schema: city }));

describe('bindTools', () => {
  for (const [choice, upstream, names] of [
    ['auto', { type: 'auto' }, []],
    ['any', { type: 'any' }, ['get_weather']],
    ['required', { type: 'any' }, ['get_weather']],
    ['get_time', { type: 'tool', name: 'get_time' }, ['get_time']],
    ['none', { type: 'none' }, []],
  ])
    it(`tool_choice ${choice}`, async () => {
      const answer = await chat().bindTools(makeTools(), { tool_choice: choice }).invoke('Hello');
      assert.deepEqual(recorder.last.body.tool_choice ?? { type: 'auto' }, upstream);
      assert.deepEqual(answer.tool_calls.map(({ name }) => name), names);
    });

  it('strict tools, one call at a time', async () => {
    const model = chat().bindTools(makeTools(), { strict: true, parallel_tool_calls: false });
    const answer = await model.invoke('get_weather and get_time, please');
    assert.equal(answer.tool_calls.length, 1);
    assert.ok(recorder.last.body.tools.every(({ strict }) => strict === true));
    assert.equal(recorder.last.body.tool_choice.disable_parallel_tool_use, true);
  });

  it('parallel calls, put together from a stream', async () => {
    const args = { city: 'Zürich "漢字"' };
    let whole;
    for await (const piece of await chat().bindTools(makeTools()).stream(`get_weather and get_time, please [[sim: piece=3 ${argsOf(args)}]]`)) whole = whole ? whole.concat(piece) : piece;
    assert.deepEqual(whole.tool_calls.map(({ name, args: input }) => [name, input]), [['get_weather', args], ['get_time', args]]);
    assert.equal(new Set(whole.tool_calls.map(({ id }) => id)).size, 2);
    assert.equal(whole.response_metadata.finish_reason, 'tool_calls');
  });
});

describe('createAgent', () => {
  for (const [what, settings] of [['plain', {}], ['that thinks', { model: 'claude-opus-5-5', modelKwargs: { reasoning_effort: 'high' } }]])
    it(`${what}: several turns to the answer`, async () => {
      const called = [];
      const agent = createAgent({ model: chat(settings), tools: makeTools(called), systemPrompt: 'Use tools.' });
      const { messages } = await agent.invoke({ messages: [new HumanMessage('Go on. [[sim: loop=4]]')] });
      assert.deepEqual(called.map(([name]) => name), ['get_weather', 'get_time', 'get_weather', 'get_time']);
      assert.match(messages.at(-1).text, /fine/);
      assert.match(JSON.stringify(recorder.last.body.system), /Use tools\./);
      assert.deepEqual(blocksUp('tool_use').map(({ id }) => id), blocksUp('tool_result').map((block) => block.tool_use_id));
    });

  it('stream: updates and messages', async () => {
    const agent = createAgent({ model: chat(), tools: makeTools() });
    const steps = [];
    let text = '';
    for await (const [mode, piece] of await agent.stream({ messages: [new HumanMessage('get_weather and get_time, please')] }, { streamMode: ['updates', 'messages'] })) {
      if (mode === 'updates') steps.push(...Object.keys(piece));
      else if (AIMessage.isInstance(piece[0])) text += piece[0].text;
    }
    assert.equal(steps[0], steps.at(-1));
    assert.ok(steps.includes('tools'), steps.join());
    assert.match(text, /fine/);
  });

  const Answer = z.object({ place: z.string(), degrees: z.number() });
  for (const [what, strategy, prompt] of [['a tool', toolStrategy, 'Go on. [[sim: loop=2]]'], ['the provider', providerStrategy, 'get_weather, please']])
    it(`a structured answer by ${what}`, async () => {
      const agent = createAgent({ model: chat(), tools: makeTools().slice(0, 1), responseFormat: strategy(Answer) });
      const { structuredResponse } = await agent.invoke({ messages: [new HumanMessage(prompt)] });
      assert.deepEqual(Answer.parse(structuredResponse), structuredResponse);
    });
});

describe('withStructuredOutput', () => {
  const Book = z.object({ title: z.string().describe('Its title.'), year: z.number().int(), kind: z.enum(['novel', 'essay']), tags: z.array(z.string()), author: z.object({ name: z.string() }).nullable() });
  const book = { title: 'Grüße 👋', year: 1999, kind: 'novel', tags: ['a', 'b'], author: null };

  for (const method of ['jsonSchema', 'functionCalling', 'jsonMode']) {
    // jsonMode tells the model nothing of the schema: the prompt has to.
    const prompt = method === 'functionCalling' ? `A book. [[sim: piece=4 ${argsOf(book)}]]` : `A book, in JSON. [[sim: piece=4 ${jsonOf(book)}]]`;
    it(`${method}: invoke`, async () => {
      assert.deepEqual(await chat().withStructuredOutput(Book, { name: 'book', method }).invoke(prompt), book);
    });

    it(`${method}: with the raw message`, async () => {
      const { raw, parsed } = await chat().withStructuredOutput(Book, { name: 'book', method, includeRaw: true }).invoke(prompt);
      assert.deepEqual(parsed, book);
      assert.ok(raw.usage_metadata.total_tokens > 0);
    });

    it(`${method}: stream`, async () => {
      let last;
      for await (const piece of await chat().withStructuredOutput(Book, { name: 'book', method }).stream(prompt)) last = piece;
      assert.deepEqual(last, book);
    });
  }

  for (const method of ['jsonSchema', 'functionCalling'])
    it(`${method}: what the model makes of the schema alone`, async () => {
      const value = await chat().withStructuredOutput(Book, { name: 'book', method, strict: true }).invoke('A book.');
      assert.deepEqual(Book.parse(value), value);
      const { body } = recorder.last;
      if (method === 'jsonSchema') assert.equal(body.output_config.format.type, 'json_schema');
      else assert.equal(body.tools[0].strict, true);
    });

  it('a plain JSON schema', async () => {
    const schema = { title: 'pair', type: 'object', properties: { a: { type: 'string' }, b: { type: 'number' } }, required: ['a', 'b'], additionalProperties: false };
    const value = await chat().withStructuredOutput(schema, { method: 'jsonSchema' }).invoke('A pair.');
    assert.deepEqual([typeof value.a, typeof value.b], ['string', 'number']);
  });
});
