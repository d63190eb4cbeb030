// `claude-proxy translate` shows what the server would send and answer, with the server's settings.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { binary } from './lib/process.mjs';

function translate(what, flags, input, env = {}) {
  const run = spawnSync(binary, ['translate', what, '--env-file=/dev/null', ...flags], { input, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' });
  return { code: run.status, out: run.stdout, err: run.stderr };
}
const sse = (events) => events.map((e) => `event: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`).join('');
const thinking = { type: 'thinking', thinking: 't', signature: 'c2ln' };
const message = {
  id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-opus-5-5', stop_reason: 'tool_use', usage: { input_tokens: 3, output_tokens: 5 },
  content: [{ type: 'text', text: 'a' }, thinking, { type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: 1 } }],
};
const events = sse([
  { type: 'message_start', message: { ...message, content: [], stop_reason: null } },
  ...message.content.flatMap((content_block, index) => [{ type: 'content_block_start', index, content_block }, { type: 'content_block_stop', index }]),
  { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 5 } },
  { type: 'message_stop' },
]);
const all = ['--created', '1', '--reasoning-formats', 'reasoning_details,reasoning,thinking_blocks,content_blocks', '--anthropic-usage', 'on', '--carry-content'];

describe('claude-proxy translate', () => {
  it('response: every form of reasoning, the copy of the content, the upstream\'s usage', () => {
    const { code, out } = translate('response', all, JSON.stringify(message));
    assert.equal(code, 0);
    const { choices, usage } = JSON.parse(out);
    const { message: answer } = choices[0];
    assert.equal(answer.reasoning, 't');
    assert.ok(!('reasoning_content' in answer));
    assert.deepEqual(answer.thinking_blocks, [thinking]);
    assert.deepEqual(answer.content_blocks.map((b) => b.type), ['text', 'thinking']);
    assert.deepEqual(JSON.parse(answer.reasoning_details.at(-1).data), message.content);
    assert.deepEqual(usage.anthropic, message.usage);
  });

  it('stream --aggregate says the same', () => {
    const whole = translate('stream', [...all, '--aggregate'], events);
    assert.equal(whole.code, 0);
    assert.equal(whole.out, translate('response', all, JSON.stringify(message)).out);
  });

  it('stream: chunks, and a legacy function_call', () => {
    const { code, out } = translate('stream', [...all, '--include-usage', '--function-call'], events);
    assert.equal(code, 0);
    const chunks = out.split('\n\n').filter((line) => line.startsWith('data: {')).map((line) => JSON.parse(line.slice(6)));
    const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta));
    assert.equal(deltas.find((delta) => delta.function_call?.name).function_call.name, 'f');
    assert.equal(deltas.find((delta) => delta.reasoning).reasoning, 't');
    assert.equal(chunks.at(-1).usage.anthropic.output_tokens, 5);
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'function_call');
  });

  it('settings come from the environment, too; wrong ones are told', () => {
    const { out } = translate('response', [], JSON.stringify(message), { REASONING_FORMATS: 'thinking_blocks' });
    assert.deepEqual(Object.keys(JSON.parse(out).choices[0].message).filter((key) => /reason|blocks/.test(key)), ['thinking_blocks']);
    const wrong = translate('stream', ['--reasoning-formats', 'thoughts'], events);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /--reasoning-formats "thoughts" \(command line\) must be a comma list of reasoning_content/);
  });

  it('request: MIN_MAX_TOKENS_WHEN_THINKING', () => {
    const body = JSON.stringify({ model: 'claude-opus-5-5', max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] });
    const { out, err } = translate('request', ['--explain', '--min-max-tokens-when-thinking', '1024'], body);
    assert.equal(JSON.parse(out).max_tokens, 1024);
    assert.match(err, /x-modified-params: max_tokens=1024\(thinking\)/);
  });
});
