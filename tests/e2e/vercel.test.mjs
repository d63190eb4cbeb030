// Vercel's AI SDK against the proxy, the simulator behind it: by its OpenAI provider (the chat API)
// and by its provider for compatible servers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

import { Recorder } from './lib/recorder.mjs';
import { MODEL, PROXY_KEY, startProxy, startSim } from './lib/process.mjs';

let sim, recorder, proxy;
const models = {};

before(async () => {
  globalThis.AI_SDK_LOG_WARNINGS = false;
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder);
  const baseURL = `http://127.0.0.1:${proxy.port}/v1`;
  models['@ai-sdk/openai'] = createOpenAI({ baseURL, apiKey: PROXY_KEY }).chat(MODEL);
  models['@ai-sdk/openai-compatible'] = createOpenAICompatible({ name: 'claude', baseURL, apiKey: PROXY_KEY, includeUsage: true })(MODEL);
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
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
  });
}
