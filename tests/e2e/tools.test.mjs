// Tools by the official openai SDK: what goes up, and what comes back as a client reads it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { MODEL, PROXY_KEY } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const UNFORCED_MODEL = 'claude-opus-5-5';
const weather = {
  type: 'function',
  function: {
    name: 'geo.weather',
    description: 'Weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  },
};

let stage, recorder, proxy, client;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
});
after(() => clearStage(stage));

const ask = (content, more = {}) =>
  client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content }], tools: [weather], ...more });

describe('function tools', () => {
  it('are called by the name that the client gave', async () => {
    const completion = await ask('[[sim: args="{\\"city\\":\\"Rome\\"}"]]', { tool_choice: 'required' });
    const [choice] = completion.choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.content, null);
    assert.equal(choice.message.tool_calls.length, 1);
    assert.equal(choice.message.tool_calls[0].type, 'function');
    assert.equal(choice.message.tool_calls[0].function.name, 'geo.weather');
    assert.deepEqual(JSON.parse(choice.message.tool_calls[0].function.arguments), { city: 'Rome' });
    assert.equal(recorder.last.body.tools[0].name, 'geo_weather');
    assert.deepEqual(recorder.last.body.tool_choice, { type: 'any' });
  });

  it('are read by the streaming helper as they are unstreamed', async () => {
    const request = { tool_choice: { type: 'function', function: { name: 'geo.weather' } } };
    const prompt = '[[sim: args="{\\"city\\":\\"S\\u00e3o Paulo \\\\\\"x\\\\\\"\\"}"]]';
    const whole = await ask(prompt, request);
    const streamed = await client.chat.completions
      .stream({ model: MODEL, messages: [{ role: 'user', content: prompt }], tools: [weather], ...request })
      .finalChatCompletion();
    const [a, b] = [whole, streamed].map((completion) => completion.choices[0]);
    assert.equal(b.finish_reason, 'tool_calls');
    assert.equal(b.message.tool_calls[0].function.name, a.message.tool_calls[0].function.name);
    assert.equal(b.message.tool_calls[0].function.arguments, a.message.tool_calls[0].function.arguments);
  });

  it('go up in the same bytes, streamed or not', async () => {
    await ask('Hello');
    const first = recorder.last.raw.match(/"tools":\[.*?\],"messages"/)[0];
    const stream = await ask('Hello again', { stream: true });
    for await (const chunk of stream) assert.ok(chunk.id);
    assert.equal(recorder.last.raw.match(/"tools":\[.*?\],"messages"/)[0], first);
  });

  it('without arguments get an empty object', async () => {
    const completion = await ask('x', { tools: [{ type: 'function', function: { name: 'now' } }], tool_choice: 'required' });
    assert.equal(completion.choices[0].message.tool_calls[0].function.arguments, '{}');
  });
});

describe('a model that cannot be forced', () => {
  it('is told to call', async () => {
    const { data, response } = await ask('geo_weather, please', { model: UNFORCED_MODEL, tool_choice: 'required' }).withResponse();
    assert.equal(response.headers.get('x-modified-params'), 'tool_choice=auto(model)');
    assert.equal(response.headers.get('x-tool-choice-unmet'), null);
    assert.equal(data.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(recorder.last.body.tool_choice, { type: 'auto' });
    assert.equal(recorder.last.body.messages.at(-1).role, 'system');
  });

  it('may not call, and the answer says so', async () => {
    const { data, response } = await ask('[[sim: text="No."]]', { model: UNFORCED_MODEL, tool_choice: 'required' }).withResponse();
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.choices[0].message.content, 'No.');
    assert.equal(response.headers.get('x-tool-choice-unmet'), '1');
  });
});

describe('custom tools', () => {
  const tools = [{ type: 'custom', custom: { name: 'code.exec', description: 'Runs code.' } }];
  const prompt = '[[sim: piece=3 args="{\\"input\\":\\"print(1)\\\\n\\\\u00e9 \\\\ud83d\\\\ude00\\"}"]]';
  const text = 'print(1)\né 😀';

  it('get text', async () => {
    const completion = await ask(prompt, { tools, tool_choice: 'required' });
    const [call] = completion.choices[0].message.tool_calls;
    assert.equal(call.type, 'custom');
    assert.deepEqual(call.custom, { name: 'code.exec', input: text });
  });

  it('get text, streamed', async () => {
    let input = '';
    for await (const chunk of await ask(prompt, { tools, tool_choice: 'required', stream: true }))
      input += chunk.choices[0]?.delta.tool_calls?.[0].custom.input ?? '';
    assert.equal(input, text);
  });
});

describe('legacy functions', () => {
  const legacy = { tools: undefined, functions: [weather.function], function_call: { name: 'geo.weather' } };

  it('give one function_call', async () => {
    const completion = await ask('[[sim: args="{\\"city\\":\\"Rome\\"}"]]', legacy);
    const [choice] = completion.choices;
    assert.equal(choice.finish_reason, 'function_call');
    assert.equal(choice.message.function_call.name, 'geo.weather');
    assert.deepEqual(JSON.parse(choice.message.function_call.arguments), { city: 'Rome' });
    assert.equal(choice.message.tool_calls, undefined);
    assert.deepEqual(recorder.last.body.tool_choice, { type: 'tool', name: 'geo_weather', disable_parallel_tool_use: true });
  });

  it('give it in a stream, too', async () => {
    let name = '', json = '', finish;
    for await (const chunk of await ask('[[sim: args="{\\"city\\":\\"Rome\\"}"]]', { ...legacy, stream: true })) {
      const [choice] = chunk.choices;
      name += choice.delta.function_call?.name ?? '';
      json += choice.delta.function_call?.arguments ?? '';
      finish = choice.finish_reason ?? finish;
    }
    assert.deepEqual([name, json, finish], ['geo.weather', '{"city":"Rome"}', 'function_call']);
  });
});

describe('a conversation with calls', () => {
  const results = () => recorder.last.body.messages.at(-1).content.filter((block) => block.type === 'tool_result');

  it('is run to its end by runTools', async () => {
    const cities = [];
    const run = client.chat.completions.runTools({
      model: MODEL,
      messages: [{ role: 'user', content: 'geo_weather, please [[sim: args="{\\"city\\":\\"Rome\\"}"]]' }],
      tools: [{
        type: 'function',
        function: {
          ...weather.function,
          parse: JSON.parse,
          function: ({ city }) => { cities.push(city); return 'sunny'; },
        },
      }],
    }, { maxChatCompletions: 3 });
    await run.done();
    assert.deepEqual(cities, ['Rome']);
    assert.ok((await run.finalContent()).length > 0);
    const [assistant, user] = recorder.last.body.messages.slice(-2);
    const use = assistant.content.find((block) => block.type === 'tool_use');
    assert.deepEqual([use.name, use.input], ['geo_weather', { city: 'Rome' }]);
    assert.deepEqual(user.content.map((block) => [block.type, block.tool_use_id]), [['tool_result', use.id]]);
  });

  it('takes back a custom tool\'s call as its text', async () => {
    const tools = [{ type: 'custom', custom: { name: 'code.exec' } }];
    const first = await ask('[[sim: args="{\\"input\\":\\"1 + 1\\"}"]]', { tools, tool_choice: 'required' });
    const [call] = first.choices[0].message.tool_calls;
    await client.chat.completions.create({
      model: MODEL,
      tools,
      messages: [
        { role: 'user', content: 'Add.' },
        first.choices[0].message,
        { role: 'tool', tool_call_id: call.id, content: '2' },
      ],
    });
    const use = recorder.last.body.messages.at(-2).content.find((block) => block.type === 'tool_use');
    assert.deepEqual([use.name, use.input, use.id], ['code_exec', { input: '1 + 1' }, call.id]);
    assert.equal(results()[0].tool_use_id, call.id);
  });

  it('takes back a legacy function_call', async () => {
    const legacy = { model: MODEL, functions: [weather.function] };
    const messages = [{ role: 'user', content: 'geo_weather, please [[sim: args="{\\"city\\":\\"Rome\\"}"]]' }];
    const first = await client.chat.completions.create({ ...legacy, messages });
    assert.equal(first.choices[0].finish_reason, 'function_call');
    const second = await client.chat.completions.create({
      ...legacy,
      messages: [...messages, first.choices[0].message, { role: 'function', name: 'geo.weather', content: 'sunny' }],
    });
    assert.equal(second.choices[0].finish_reason, 'stop');
    const use = recorder.last.body.messages.at(-2).content.find((block) => block.type === 'tool_use');
    assert.equal(use.name, 'geo_weather');
    assert.equal(results()[0].tool_use_id, use.id);
  });
});

describe('definitions', () => {
  it('that cannot be served are refused by their place', async () => {
    const error = await ask('x', { tools: [weather, { type: 'file_search' }] }).then(assert.fail, (e) => e);
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'tools[1].type');
  });

  it('of many strict tools are taken by the upstream', async () => {
    const tools = Array.from({ length: 25 }, (_, i) => ({
      type: 'function',
      function: { ...weather.function, name: `weather${i}`, strict: true },
    }));
    const { response } = await ask('Hello', { tools }).withResponse();
    assert.equal(response.headers.get('x-modified-params'), 'tools.strict=false(limit)');
    assert.equal(recorder.last.body.tools.filter((tool) => tool.strict).length, 20);
  });
});
