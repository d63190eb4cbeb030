// Thinking by the official openai SDK: it is shown, it comes back signed, and loops of tools go on.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { PROXY_KEY, startProxy } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const MODELS = ['claude-fable-5-2', 'claude-opus-5-5', 'claude-sonnet-5-5', 'claude-sonnet-4-6', 'claude-haiku-4-5'];
const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } };

let stage, recorder, proxy, client;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
});
after(() => clearStage(stage));

// What the upstream gets back of the assistant's turns.
const turnsUp = () => recorder.last.body.messages.filter((m) => m.role === 'assistant').map((m) => m.content);

describe('reasoning', () => {
  for (const model of MODELS) {
    it(`${model}: a loop of tools brings every signed block back, which the simulator checks`, async () => {
      const messages = [{ role: 'user', content: '[[sim: think=text tool=f]] go' }];
      const signatures = [];
      for (let turn = 0; turn < 5; turn++) {
        const { choices } = await client.chat.completions.create({ model, messages, tools: [tool], reasoning_effort: 'low' });
        const { message, finish_reason } = choices[0];
        assert.ok(message.reasoning_content.length > 0);
        signatures.push(...message.reasoning_details.map((d) => d.signature));
        messages.push(message);
        for (const call of message.tool_calls ?? []) messages.push({ role: 'tool', tool_call_id: call.id, content: 'r' });
        if (finish_reason === 'stop') messages.push({ role: 'user', content: '[[sim: think=text tool=f]] more' });
      }
      const blocks = turnsUp().flat().filter((b) => b.type === 'thinking');
      assert.deepEqual(blocks.map((b) => b.signature), signatures.slice(0, -1));
    });
  }

  it('between texts it comes back in its place', async () => {
    const messages = [{ role: 'user', content: '[[sim: blocks=think,redacted,text,think,text]] go' }];
    for (let turn = 0; turn < 2; turn++) {
      const { choices } = await client.chat.completions.create({ model: 'claude-opus-5-5', messages });
      messages.push(choices[0].message, { role: 'user', content: 'and?' });
    }
    assert.deepEqual(turnsUp()[0].map((b) => b.type), ['thinking', 'redacted_thinking', 'text', 'thinking', 'text']);
  });

  it('so does a search with its results', async () => {
    const messages = [{ role: 'user', content: '[[sim: blocks=search,result,text]] go' }];
    for (let turn = 0; turn < 2; turn++) {
      const { choices } = await client.chat.completions.create({ model: 'claude-opus-5-5', messages });
      assert.equal(choices[0].message.tool_calls, undefined);
      messages.push(choices[0].message, { role: 'user', content: 'and?' });
    }
    assert.deepEqual(turnsUp()[0].map((b) => b.type), ['server_tool_use', 'web_search_tool_result', 'text']);
  });

  it('is streamed as it is answered', async () => {
    const request = { model: 'claude-sonnet-5-5', reasoning_effort: 'high', messages: [{ role: 'user', content: '[[sim: think=text]] go' }] };
    const whole = await client.chat.completions.create(request);
    let text = '';
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      text += chunk.choices[0]?.delta.reasoning_content ?? '';
    assert.equal(text, whole.choices[0].message.reasoning_content);
    assert.deepEqual(recorder.last.body.thinking, { type: 'adaptive', display: 'summarized' });
    assert.deepEqual(recorder.last.body.output_config, { effort: 'high' });
  });
});

describe('REASONING_FORMATS', () => {
  const forms = ['reasoning', 'thinking_blocks', 'content_blocks', 'reasoning_content,reasoning_details,reasoning,thinking_blocks,content_blocks'];
  const members = ['reasoning_content', 'reasoning_details', 'reasoning', 'thinking_blocks', 'content_blocks'];
  const ask = (content, more) => ({ model: 'claude-opus-5-5', reasoning_effort: 'low', messages: [{ role: 'user', content }], ...more });

  async function withFormats(form, use) {
    const own = await startProxy(recorder, { REASONING_FORMATS: form });
    try {
      await use(new OpenAI({ baseURL: `http://127.0.0.1:${own.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 }));
    } finally {
      await own.stop();
    }
  }
  // What a client that keeps the pieces of a stream makes of them: texts joined, lists appended.
  async function join(stream) {
    const message = { role: 'assistant', content: '' };
    for await (const chunk of stream)
      for (const [key, value] of Object.entries(chunk.choices[0]?.delta ?? {})) {
        if (key === 'role' || value === null) continue;
        if (key === 'content_blocks') {
          for (const { index, delta } of value) {
            const block = ((message.content_blocks ??= [])[index] ??= {});
            for (const [k, v] of Object.entries(delta)) block[k] = k === 'type' ? v : (block[k] ?? '') + v;
            block.type ??= 'thinking' in block ? 'thinking' : 'text';
          }
        } else message[key] = Array.isArray(value) ? [...(message[key] ?? []), ...value] : (message[key] ?? '') + value;
      }
    return message;
  }

  for (const form of forms)
    for (const stream of [false, true])
      it(`${form}${stream ? ', streamed' : ''}: what is asked for, no more, and signed thinking comes back by it`, async () => {
        await withFormats(form, async (openai) => {
          const answer = await openai.chat.completions.create(ask('[[sim: blocks=think,redacted,text]] go', { stream }));
          const message = stream ? await join(answer) : answer.choices[0].message;
          const asked = form.split(',');
          for (const member of members) assert.equal(member in message, asked.includes(member), member);
          const text = message.reasoning ?? message.reasoning_content ?? message.thinking_blocks?.map((b) => b.thinking ?? '').join('') ?? message.content_blocks?.[0].thinking;
          assert.ok(text.length > 0);
          const again = await openai.chat.completions.create({ ...ask('x'), messages: [{ role: 'user', content: '[[sim: blocks=think,redacted,text]] go' }, message, { role: 'user', content: 'and?' }] });
          assert.ok(again.choices[0].message.content.length > 0);
          const types = form === 'reasoning' ? ['text'] : ['thinking', 'redacted_thinking', 'text'];
          assert.deepEqual(turnsUp()[0].map((b) => b.type), types);
        });
      });
});

describe("Anthropic's own usage", () => {
  const body = { model: 'claude-opus-5-5', messages: [{ role: 'user', content: 'Hi' }] };
  it('is there for who asks, equal in both modes, and for nobody else', async () => {
    const { usage } = await client.chat.completions.create({ ...body, usage: { include: true } });
    assert.equal(usage.anthropic.input_tokens + usage.anthropic.cache_read_input_tokens + usage.anthropic.cache_creation_input_tokens, usage.prompt_tokens);
    assert.equal(usage.anthropic.output_tokens, usage.completion_tokens);
    let last;
    for await (const chunk of await client.chat.completions.create({ ...body, usage: { include: true }, stream: true })) last = chunk;
    assert.deepEqual(last.usage, usage);
    assert.ok(!('anthropic' in (await client.chat.completions.create(body)).usage));
  });
  it('of several choices is their sum', async () => {
    const { usage } = await client.chat.completions.create({ ...body, n: 3, usage: { include: true } });
    assert.equal(usage.anthropic.output_tokens, usage.completion_tokens);
    assert.equal(usage.anthropic.input_tokens, usage.prompt_tokens);
  });
  it('ANTHROPIC_USAGE=on adds it to every answer', async () => {
    const own = await startProxy(recorder, { ANTHROPIC_USAGE: 'on' });
    try {
      const openai = new OpenAI({ baseURL: `http://127.0.0.1:${own.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
      assert.ok((await openai.chat.completions.create(body)).usage.anthropic.output_tokens > 0);
    } finally {
      await own.stop();
    }
  });
});
