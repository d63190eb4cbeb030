// Vercel's AI SDK, version 7 and the one before it, against the proxy, the simulator behind it: by its
// OpenAI provider (the chat API) and by its provider for compatible servers, each with:
// - generateText, streamText: conversations, limits, usage with cached and reasoning tokens, errors
//   before and within a stream, retries, abort;
// - tools in loops of several steps (stopWhen), parallel ones, toolChoice, a tool that throws, images
//   in results;
// - generateObject, streamObject: object, array, enum, no schema; Output.object with tools beside it;
// - image parts (bytes, URL), PDF parts;
// - reasoning in answers and streams, sent back in the next turn (the compatible provider alone).
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { z } from 'zod';

import { PDF, PNG, argsOf, jsonOf } from './lib/content.mjs';
import { MODEL, PROXY_KEY, until } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const THINKING_MODEL = 'claude-opus-5-5';
const VERSIONS = [
  ['ai 7', 'ai', '@ai-sdk/openai', '@ai-sdk/openai-compatible'],
  ['ai 6', 'ai-v6', '@ai-sdk/openai-v3', '@ai-sdk/openai-compatible-v2'],
];

let stage, recorder, proxy;

before(async () => {
  globalThis.AI_SDK_LOG_WARNINGS = false;
  stage = await setStage();
  ({ recorder, proxy } = stage);
});
after(() => clearStage(stage));

const blocksUp = (type) => recorder.last.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter((block) => block.type === type);

for (const [name, sdk, openaiPackage, compatiblePackage] of VERSIONS) {
  const [ai, { createOpenAI }, { createOpenAICompatible }] = await Promise.all([sdk, openaiPackage, compatiblePackage].map((id) => import(id)));
  describe(name, () => suite(ai, createOpenAI, createOpenAICompatible));
}

function suite(ai, createOpenAI, createOpenAICompatible) {
  const { NoObjectGeneratedError, Output, generateObject, generateText, stepCountIs, streamObject, streamText, tool } = ai;
  const models = {};
  const thinking = {};
  before(() => {
    const settings = { baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY };
    const openai = createOpenAI(settings);
    const compatible = createOpenAICompatible({ name: 'claude', includeUsage: true, supportsStructuredOutputs: true, supportedUrls: () => ({ 'image/*': [/^https:/] }), ...settings });
    for (const [list, model] of [[models, MODEL], [thinking, THINKING_MODEL]]) Object.assign(list, { '@ai-sdk/openai': openai.chat(model), '@ai-sdk/openai-compatible': compatible(model) });
  });

  for (const provider of ['@ai-sdk/openai', '@ai-sdk/openai-compatible']) {
    describe(provider, () => {
      it('generateText: system, prompt, usage and end', async () => {
        const result = await generateText({ model: models[provider], system: 'Be brief.', prompt: 'What is the capital of France?', maxOutputTokens: 100, maxRetries: 0 });
        assert.match(result.text, /Paris/);
        assert.equal(result.finishReason, 'stop');
        assert.equal(result.usage.totalTokens, result.usage.inputTokens + result.usage.outputTokens);
        assert.ok(result.usage.outputTokens > 0);
        const { body } = recorder.last;
        assert.equal(body.max_tokens, 100);
        assert.match(JSON.stringify(body.system), /Be brief\./);
      });

      it('generateText: a conversation of several turns', async () => {
        const result = await generateText({
          model: models[provider],
          messages: [
            { role: 'user', content: 'Say one' },
            { role: 'assistant', content: 'One' },
            { role: 'user', content: [{ type: 'text', text: 'Say two' }] },
          ],
          maxRetries: 0,
        });
        assert.equal(result.text, 'Two');
        assert.deepEqual(recorder.last.body.messages.map(({ role }) => role), ['user', 'assistant', 'user']);
      });

      it('generateText: an answer that max_tokens cuts', async () => {
        const result = await generateText({ model: models[provider], prompt: '[[sim: words=20 stop=max_tokens]]', maxRetries: 0 });
        assert.equal(result.finishReason, 'length');
      });

      it('streamText: the pieces are the text, usage at the end', async () => {
        const result = streamText({ model: models[provider], prompt: '[[sim: words=200 piece=3]]', maxRetries: 0 });
        const pieces = [];
        for await (const piece of result.textStream) pieces.push(piece);
        assert.ok(pieces.length > 50, `${pieces.length} pieces`);
        assert.equal(pieces.join('').split(' ').length, 200);
        assert.equal(pieces.join(''), await result.text);
        assert.equal(await result.finishReason, 'stop');
        const usage = await result.usage;
        assert.ok(usage.inputTokens > 0 && usage.outputTokens >= 200);
      });

      it('generateText: tools run in a loop', async () => {
        const cities = [];
        const get_weather = tool({ description: 'The weather.', inputSchema: z.object({ city: z.string() }), execute: ({ city }) => cities.push(city) && 'sunny' });
        const result = await generateText({ model: models[provider], prompt: 'Go on. [[sim: loop=3]]', tools: { get_weather }, stopWhen: stepCountIs(6), maxRetries: 0 });
        assert.equal(cities.length, 3);
        assert.deepEqual(result.steps.map(({ finishReason }) => finishReason), ['tool-calls', 'tool-calls', 'tool-calls', 'stop']);
        assert.match(result.text, /sunny/);
      });

      it('an error is the API error, with its status', async () => {
        await assert.rejects(
          generateText({ model: models[provider], prompt: '[[sim: status=400 message="too wide"]]', maxRetries: 0 }),
          (error) => error.statusCode === 400 && /too wide/.test(error.message),
        );
      });

      it('an overload is retried', async () => {
        const before = recorder.messages.length;
        await assert.rejects(generateText({ model: models[provider], prompt: '[[sim: status=429 retry_after=0]]', maxRetries: 1 }));
        assert.ok(recorder.messages.length - before >= 2);
      });

      const ask = (prompt, more = {}) => ({ model: models[provider], prompt, maxRetries: 0, ...more });
      const city = z.object({ city: z.string() });

      it('streamText: tools run in a loop, parallel ones too', async () => {
        const called = [];
        const tools = Object.fromEntries(['get_weather', 'get_time'].map((name) => [name, tool({ inputSchema: city, execute: (input) => { called.push([name, input]); return { name, ok: true }; } })]));
        const args = { city: 'Zürich "漢字"' };
        const result = streamText(ask(`get_weather and get_time, please [[sim: piece=3 ${argsOf(args)}]]`, { tools, stopWhen: stepCountIs(4) }));
        const kinds = [];
        for await (const part of result.fullStream) kinds.push(part.type);
        assert.deepEqual(called, [['get_weather', args], ['get_time', args]]);
        assert.equal(kinds.filter((kind) => kind === 'tool-call').length, 2);
        assert.ok(kinds.filter((kind) => kind === 'tool-input-delta').length > 6);
        assert.deepEqual((await result.steps).map(({ finishReason }) => finishReason), ['tool-calls', 'stop']);
        assert.deepEqual(blocksUp('tool_use').map(({ id }) => id), blocksUp('tool_result').map((block) => block.tool_use_id));
      });

      it('a tool that throws: the model is told', async () => {
        const tools = { get_weather: tool({ inputSchema: city, execute: () => { throw new Error('no such city'); } }) };
        const result = await generateText(ask('get_weather, please', { tools, stopWhen: stepCountIs(3) }));
        assert.equal(result.finishReason, 'stop');
        assert.match(JSON.stringify(blocksUp('tool_result')), /no such city/);
      });

      it('toolChoice: required, one by name, none', async () => {
        const tools = { get_weather: tool({ inputSchema: city }), get_time: tool({ inputSchema: city }) };
        const forced = await generateText(ask('Hello', { tools, toolChoice: 'required' }));
        assert.equal(forced.toolCalls.length, 1);
        assert.deepEqual(recorder.last.body.tool_choice, { type: 'any' });
        const named = await generateText(ask('Hello', { tools, toolChoice: { type: 'tool', toolName: 'get_time' } }));
        assert.deepEqual(named.toolCalls.map(({ toolName }) => toolName), ['get_time']);
        const none = await generateText(ask('get_weather, please', { tools, toolChoice: 'none' }));
        assert.equal(none.toolCalls.length, 0);
      });

      const Book = z.object({ title: z.string(), year: z.number().int(), tags: z.array(z.string()), author: z.object({ name: z.string() }).nullable() });
      const book = { title: 'Grüße 👋', year: 1999, tags: ['a', 'b'], author: null };

      it('generateObject: an object', async () => {
        const { object, usage, finishReason } = await generateObject(ask('A book.', { schema: Book }));
        assert.deepEqual(Book.parse(object), object);
        assert.equal(finishReason, 'stop');
        assert.ok(usage.totalTokens > 0);
        assert.equal(recorder.last.body.output_config.format.type, 'json_schema');
      });

      it('streamObject: an object, growing', async () => {
        const result = streamObject(ask(`A book. [[sim: piece=4 ${jsonOf(book)}]]`, { schema: Book }));
        const parts = [];
        for await (const part of result.partialObjectStream) parts.push(structuredClone(part));
        assert.ok(parts.length > 3);
        assert.ok(parts.some((part) => part.title === book.title && !('tags' in part)));
        assert.deepEqual(await result.object, book);
        assert.ok((await result.usage).totalTokens > 0);
      });

      it('generateObject, streamObject: an array', async () => {
        const schema = z.object({ name: z.string() });
        const { object } = await generateObject(ask(`Names. [[sim: ${jsonOf({ elements: [{ name: 'a' }, { name: 'b' }] })}]]`, { output: 'array', schema }));
        assert.deepEqual(object, [{ name: 'a' }, { name: 'b' }]);
        assert.ok((await generateObject(ask('Names.', { output: 'array', schema }))).object.every(({ name }) => typeof name === 'string'));
        const elements = [];
        for await (const element of streamObject(ask(`Names. [[sim: piece=3 ${jsonOf({ elements: [{ name: 'a' }, { name: 'b' }] })}]]`, { output: 'array', schema })).elementStream) elements.push(element);
        assert.deepEqual(elements, [{ name: 'a' }, { name: 'b' }]);
      });

      it('generateObject: one of an enum', async () => {
        const { object } = await generateObject(ask('Which?', { output: 'enum', enum: ['sunny', 'rainy'] }));
        assert.ok(['sunny', 'rainy'].includes(object));
      });

      it('generateObject, streamObject: no schema', async () => {
        const { object } = await generateObject(ask('Any JSON.', { output: 'no-schema' }));
        assert.equal(typeof object, 'object');
        const result = streamObject(ask(`Any JSON. [[sim: piece=2 fence ${jsonOf({ a: [1, 2] })}]]`, { output: 'no-schema' }));
        for await (const part of result.partialObjectStream) assert.ok(part);
        assert.deepEqual(await result.object, { a: [1, 2] });
      });

      it('an object that is none is an error with the text', async () => {
        await assert.rejects(generateObject(ask('A book. [[sim: text="{" stop=max_tokens]]', { schema: Book })), (error) => NoObjectGeneratedError.isInstance(error) && error.finishReason === 'length' && error.text === '{');
      });

      it('Output.object: with tools beside it, streamed and not', async () => {
        const tools = { get_weather: tool({ inputSchema: city, execute: () => 'sunny' }) };
        const more = { tools, stopWhen: stepCountIs(4), output: Output.object({ schema: z.object({ answer: z.string() }) }) };
        const whole = await generateText(ask('get_weather, please', more));
        assert.equal(typeof whole.output.answer, 'string');
        assert.equal(whole.steps.length, 2);
        const streamed = streamText(ask('get_weather, please', more));
        for await (const part of streamed.partialOutputStream) assert.equal(typeof part, 'object');
        assert.equal(typeof (await streamed.output).answer, 'string');
      });

      it('parts: images by bytes and by URL, a PDF', async () => {
        const content = [
          { type: 'text', text: 'Look. [[sim: text="I see."]]' },
          { type: 'image', image: PNG },
          { type: 'image', image: new URL('https://example.com/cat.jpg'), mediaType: 'image/jpeg' },
          { type: 'file', data: PDF, mediaType: 'application/pdf', filename: 'a.pdf' },
        ];
        const messages = [{ role: 'user', content }];
        assert.equal((await generateText({ model: models[provider], messages, maxRetries: 0 })).text, 'I see.');
        const sources = () => [...blocksUp('image'), ...blocksUp('document')].map(({ source }) => [source.type, source.media_type ?? source.url]);
        const expected = [['base64', 'image/png'], ['url', 'https://example.com/cat.jpg'], ['base64', 'application/pdf']];
        assert.deepEqual(sources(), expected);
        assert.equal(await streamText({ model: models[provider], messages, maxRetries: 0 }).text, 'I see.');
        assert.deepEqual(sources(), expected);
      });

      it('usage: cached and reasoning tokens, the same in both modes', async () => {
        const request = { model: thinking[provider], prompt: '[[sim: think=text text="x" input=10 cached=1000 cache_write=100]]', maxRetries: 0, providerOptions: { openai: { reasoningEffort: 'high' }, claude: { reasoningEffort: 'high' } } };
        const { usage } = await generateText(request);
        assert.equal(usage.inputTokens, 1110);
        assert.equal(usage.inputTokenDetails.cacheReadTokens, 1000);
        assert.ok(usage.outputTokenDetails.reasoningTokens > 0);
        assert.equal(recorder.last.body.output_config.effort, 'high');
        const streamed = streamText(request);
        await streamed.consumeStream();
        const { raw, ...counts } = usage;
        const { raw: rawStreamed, ...countsStreamed } = await streamed.usage;
        assert.deepEqual(countsStreamed, counts);
        assert.deepEqual(rawStreamed, raw);
      });

      it('abort: the upstream sees it', async () => {
        const tag = `vercel-abort-${provider}-${Date.now()}`;
        const controller = new AbortController();
        const result = streamText(ask(`${tag} [[sim: words=5000 gap=20ms]]`, { abortSignal: controller.signal }));
        const kinds = [];
        for await (const part of result.fullStream) {
          kinds.push(part.type);
          if (part.type === 'text-delta') controller.abort();
        }
        assert.equal(kinds.at(-1), 'abort');
        await until('the upstream saw it', () => recorder.find(tag).abortedAtMs, 1000);
        const waiting = new AbortController();
        setTimeout(() => waiting.abort(), 50);
        await assert.rejects(generateText(ask('[[sim: first=30s text=x]]', { abortSignal: waiting.signal })), { name: 'AbortError' });
      });

      for (const [what, directives] of [['an error event', 'error=overloaded_error after=3'], ['a cut', 'cut=3']])
        it(`${what} within a stream is an error, never an end`, async () => {
          const result = streamText(ask(`[[sim: words=50 gap=2ms ${directives}]]`, { onError() {} }));
          const kinds = [];
          for await (const part of result.fullStream) kinds.push(part.type);
          assert.ok(kinds.includes('text-delta') && kinds.includes('error'), kinds.join());
          assert.notEqual(await Promise.resolve(result.finishReason).catch(() => 'error'), 'stop');
        });

      it('a refusal is a content filter, streamed and not', async () => {
        const prompt = '[[sim: blocks=none stop=refusal explanation="Not this."]]';
        assert.equal((await generateText(ask(prompt))).finishReason, 'content-filter');
        assert.equal(await streamText(ask(prompt)).finishReason, 'content-filter');
      });
    });
  }

  describe('@ai-sdk/openai-compatible: reasoning', () => {
    const request = (prompt, more = {}) => ({ model: thinking['@ai-sdk/openai-compatible'], prompt, maxRetries: 0, providerOptions: { claude: { reasoningEffort: 'high' } }, ...more });

    it('is reasoningText, and parts of a stream', async () => {
      const whole = await generateText(request('[[sim: think=text text="the answer"]]'));
      assert.ok(whole.reasoningText.length > 0);
      assert.equal(whole.text, 'the answer');
      const kinds = new Set();
      const result = streamText(request('[[sim: think=text text="the answer" piece=3]]'));
      for await (const part of result.fullStream) kinds.add(part.type);
      for (const kind of ['reasoning-start', 'reasoning-delta', 'reasoning-end', 'text-delta']) assert.ok(kinds.has(kind), kind);
      assert.equal(await result.reasoningText, whole.reasoningText);
      assert.equal(await result.text, 'the answer');
    });

    it('goes on in loops of tools, which send its text back', async () => {
      const tools = { get_weather: tool({ inputSchema: z.object({ city: z.string() }), execute: () => 'sunny' }) };
      for (const run of [generateText, async (options) => { const result = streamText(options); await result.consumeStream(); return { steps: await result.steps, text: await result.text }; }]) {
        const { steps, text } = await run(request('Go on. [[sim: loop=3 think=text]]', { tools, stopWhen: stepCountIs(6) }));
        assert.equal(steps.length, 4);
        assert.ok(steps.every((step) => step.reasoningText.length > 0));
        assert.match(text, /sunny/);
      }
    });

    it('goes on in the next turn of a conversation', async () => {
      const first = await generateText(request('[[sim: think=text text="the answer"]]'));
      const messages = [{ role: 'user', content: 'Why?' }, ...first.response.messages, { role: 'user', content: 'And? [[sim: text="so"]]' }];
      assert.ok(first.response.messages[0].content.some(({ type }) => type === 'reasoning'));
      assert.equal((await generateText(request(undefined, { messages }))).text, 'so');
      assert.match(JSON.stringify(recorder.last.body.messages[1]), /the answer/);
    });
  });

  describe('@ai-sdk/openai-compatible: without structured outputs', () => {
    it('generateObject asks for JSON, and the schema is in the prompt', async () => {
      const model = createOpenAICompatible({ name: 'claude', baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY })(MODEL);
      const { object } = await generateObject({ model, schema: z.object({ a: z.number() }), prompt: `A number. [[sim: fence ${jsonOf({ a: 1 })}]]`, maxRetries: 0 });
      assert.deepEqual(object, { a: 1 });
    });
  });
}
