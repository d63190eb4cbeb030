// An agent of ten tool turns by the plain openai SDK, which echoes no reasoning, on a simulator that
// enforces signatures and prefixes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { Recorder } from './lib/recorder.mjs';
import { PROXY_KEY, startProxy, startSim } from './lib/process.mjs';

const TURNS = 10;
const tools = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: { name, description: `Asks for ${name}.`, parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
}));

let sim, recorder, proxy, client;

before(async () => {
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

/** What a client that knows nothing of reasoning keeps of an answer. */
const plain = ({ role, content, tool_calls }) => ({ role, content, ...(tool_calls && { tool_calls }) });

async function runAgent(model) {
  const messages = [{ role: 'user', content: `Go on. [[sim: loop=${TURNS}]]` }];
  for (let turn = 0; turn <= TURNS; turn++) {
    const completion = await client.chat.completions.create({ model, messages, tools, reasoning_effort: 'high' });
    const { message, finish_reason } = completion.choices[0];
    messages.push(plain(message));
    if (finish_reason === 'stop') return { turns: turn, messages };
    assert.equal(finish_reason, 'tool_calls');
    for (const call of message.tool_calls) {
      assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
      messages.push({ role: 'tool', tool_call_id: call.id, content: `result ${turn}` });
    }
  }
  return assert.fail('the agent did not come to its end');
}

describe('an agent of ten tool turns', () => {
  for (const model of ['claude-fable-5-2', 'claude-opus-5-5', 'claude-haiku-5-5', 'claude-opus-4-8', 'claude-haiku-4-5'])
    it(`${model}: comes to its end without a refusal`, async () => {
      const { turns, messages } = await runAgent(model);
      assert.equal(turns, TURNS);
      assert.match(messages.at(-1).content, /result 9/);
      const results = recorder.last.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter(({ type }) => type === 'tool_result');
      assert.equal(results.length, TURNS);
    });
});
