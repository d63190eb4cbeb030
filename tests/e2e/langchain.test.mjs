// LangChain's ChatOpenAI against the proxy, the simulator behind it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';

import { Recorder } from './lib/recorder.mjs';
import { MODEL, PROXY_KEY, startProxy, startSim } from './lib/process.mjs';

let sim, recorder, proxy;

before(async () => {
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder);
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

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
});
