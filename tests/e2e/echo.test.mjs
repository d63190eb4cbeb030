// Recorded answers, echoed by a client that keeps every field: what goes upstream with the next
// turn is what the upstream wrote, block for block.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { chat, send } from './lib/http.mjs';
import { Child, binary, cleanEnvironment, shared, startProxy, until } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';

const folder = path.join(shared, 'fixtures');
const isHere = existsSync(path.join(folder, 'replay.mjs'));
const MODEL = 'claude-opus-5-5';
// Two answers spliced within a block by hand.
const SPLICED = 'a_526874d708ea';
const isSse = (body) => /^\s*(event|data):/.test(body);

/** The blocks of a recorded answer, as the upstream has them in one piece. */
function contentOf(body) {
  if (!isSse(body)) return JSON.parse(body).content;
  let content = [];
  const inputs = new Map();
  for (const [, data] of body.matchAll(/^data:(.*)$/gm)) {
    const event = JSON.parse(data);
    const block = content.at(-1);
    const { delta } = event;
    if (event.type === 'message_start') content = [...event.message.content];
    else if (event.type === 'content_block_start') content.push(event.content_block);
    else if (event.type !== 'content_block_delta') continue;
    else if (delta.type === 'text_delta') block.text += delta.text;
    else if (delta.type === 'thinking_delta') block.thinking += delta.thinking;
    else if (delta.type === 'signature_delta') block.signature = delta.signature;
    else if (delta.type === 'citations_delta') block.citations.push(delta.citation);
    else if (delta.type === 'compaction_delta') block.content = delta.content;
    else if (delta.type === 'input_json_delta') inputs.set(block, (inputs.get(block) ?? '') + delta.partial_json);
  }
  for (const [block, json] of inputs) block.input = inputOf(json);
  return content;
}

/** A cut one is no JSON: it comes back as text. */
function inputOf(json) {
  try {
    return JSON.parse(json || '{}');
  } catch {
    return { INVALID_JSON: json };
  }
}

/** Without what says nothing: empty texts and citations, the direct caller. */
function essence(content) {
  return content
    .filter((block) => block.type !== 'text' || block.text !== '')
    .map(({ citations, caller, ...block }) => ({
      ...block,
      ...(citations?.length && { citations }),
      ...(caller && caller.type !== 'direct' && { caller }),
    }));
}

/** What the upstream must get back once the user has spoken: no call of its own that is still open. */
function expectedOf(content) {
  const results = new Set(content.map((block) => block.tool_use_id));
  return essence(content.filter(({ type, id }) => type !== 'server_tool_use' || results.has(id)));
}

describe('recorded answers, echoed', { skip: !isHere && `no recordings in ${folder}` }, () => {
  let replay, recorder, proxy;
  before(async () => {
    replay = new Child(process.execPath, [path.join(folder, 'replay.mjs'), '0']);
    const base = await until('replay.mjs listens', () => /http:\/\/127\.0\.0\.1:\d+/.exec(replay.stdout)?.[0]);
    recorder = await Recorder.start(({ raw, url }) => {
      const id = /replay (\w+)"/.exec(raw)?.[1];
      const isNext = raw.includes('"And then?"');
      return id && !isNext ? `${base}/${id}${url}` : { status: 400, body: '{"type":"error","error":{"type":"invalid_request_error","message":"seen"}}' };
    });
    proxy = await startProxy(recorder, { REQUEST_TIMEOUT: '20' });
  });
  after(async () => {
    try {
      await proxy?.stop();
    } finally {
      await recorder?.stop();
      replay?.child.kill('SIGTERM');
      await replay?.end();
    }
  });

  const exchanges = isHere
    ? readFileSync(path.join(folder, 'anthropic_exchanges.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
      .filter(({ id, path: target, status }) => status === 200 && target.split('?')[0].endsWith('/v1/messages') && id !== SPLICED)
    : [];

  it('come back as they were', { timeout: 120_000 }, async (t) => {
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const failures = [];
    let refusals = 0;
    for (const { id, response_body: body } of exchanges) {
      const first = { role: 'user', content: `replay ${id}` };
      const ask = (messages) => send(proxy.port, chat({ model: MODEL, reasoning_effort: 'low', tools, messages }));
      const answer = await ask([first]);
      assert.equal(answer.status, 200, `${id}: ${answer.text}`);
      const [{ message }] = answer.json.choices;
      const results = (message.tool_calls ?? []).map((call) => ({ role: 'tool', tool_call_id: call.id, content: 'r' }));
      const { headers } = await ask([first, message, ...results, { role: 'user', content: 'And then?' }]);
      const expected = expectedOf(contentOf(body));
      if (!expected.length && message.refusal) {
        expected.push({ type: 'text', text: message.refusal }); // all that the client got
        refusals++;
      }
      const [, up] = recorder.last.body.messages;
      const actual = up?.role === 'assistant' ? essence(up.content) : [];
      // What was cut within a call is not remembered: whether it thought is not known any more.
      const isCut = expected.some(({ input }) => input?.INVALID_JSON);
      try {
        assert.deepStrictEqual(actual, expected);
        assert.equal(headers['x-ignored-params'], undefined);
        assert.equal(headers['x-modified-params'], isCut ? 'messages(thinking_not_remembered),messages(tool_calls.arguments)' : undefined);
      } catch (error) {
        failures.push(`${id}: ${error.message}`);
      }
    }
    t.diagnostic(`count: recorded answers echoed: ${exchanges.length - failures.length} came back block for block, ${refusals} of them as the words of a refusal, ${failures.length} failed`);
    assert.equal(failures.length, 0, failures.slice(0, 5).join('\n'));
  });
});

describe('recorded conversations with Anthropic', { skip: !isHere && `no recordings in ${folder}` }, () => {
  /** What is the same in both forms of a content: a string is one text, marks may move. */
  function plain(content) {
    const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    return essence(blocks).map(({ cache_control, is_error, content: inner, ...block }) => ({
      ...block, ...(is_error && { is_error }), ...(inner?.length && { content: block.type === 'tool_result' ? plain(inner) : inner }),
    }));
  }
  /** As the upstream counts them: neighbours of one role are one turn. */
  function turnsOf(messages) {
    const turns = [];
    for (const { role, content } of messages) {
      if (turns.at(-1)?.role === role) turns.at(-1).content.push(...plain(content));
      else turns.push({ role, content: plain(content) });
    }
    return turns;
  }

  it("go up as they are, Anthropic's blocks within OpenAI's messages", (t) => {
    const requests = isHere
      ? readFileSync(path.join(folder, 'anthropic_exchanges.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
        .filter(({ path: target, status, request_body: body }) => status === 200 && target.split('?')[0].endsWith('/v1/messages') && body?.messages?.some(({ role }) => role === 'assistant'))
      : [];
    const counts = { same: 0, 'with a request to go on': 0, 'repaired, for its ids do not match': 0, 'refused, with blocks of server tools that only a copy of the content may bring': 0 };
    for (const { id, request_body: { system, messages, tools } } of requests) {
      const input = JSON.stringify({ model: 'claude-opus-4-8', tools, messages: [...(system ? [{ role: 'system', content: system }] : []), ...messages] });
      const { status, stdout, stderr } = spawnSync(binary, ['translate', 'request', '--explain'], { input, env: cleanEnvironment() });
      const answer = JSON.parse(stdout);
      if (status !== 0) {
        assert.match(answer.error.param, /^messages\[\d+\]\.content\[.*\]\.type$/, id);
        assert.match(answer.error.message, /"(server_tool_use|container_upload|tool_reference|tool_addition)"/, id);
        counts['refused, with blocks of server tools that only a copy of the content may bring']++;
        continue;
      }
      const modified = /^x-modified-params: (.*)$/m.exec(stderr)?.[1];
      if (modified === 'messages(continue)') {
        assert.equal(messages.at(-1).role, 'assistant', id);
        assert.deepStrictEqual(turnsOf(answer.messages).slice(0, -1), turnsOf(messages), id);
        counts['with a request to go on']++;
      } else if (modified) {
        assert.equal(modified, 'messages(tool->user),messages(tool_result)', id);
        counts['repaired, for its ids do not match']++;
      } else {
        assert.deepStrictEqual(turnsOf(answer.messages), turnsOf(messages), id);
        counts.same++;
      }
    }
    t.diagnostic(`count: recorded conversations with Anthropic, sent by OpenAI's API: ${requests.length}: ${Object.entries(counts).map(([what, n]) => `${n} ${what}`).join(', ')}`);
    assert.ok(counts.same > requests.length / 2);
  });
});
