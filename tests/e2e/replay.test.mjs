// Recorded exchanges with Anthropic, cut at random places, through the proxy, read by the OpenAI
// SDK: what arrives must equal what this file reads from the recording by itself.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { Recorder } from './lib/recorder.mjs';
import { Child, PROXY_KEY, shared, startProxy, until } from './lib/process.mjs';

const folder = path.join(shared, 'fixtures');
const isHere = existsSync(path.join(folder, 'replay.mjs'));
const AT_ONCE = 4;
// Two answers spliced within a block by hand: no upstream sends it, only no crash is asked for.
const SPLICED = 'a_526874d708ea';

const read = (file) => readFileSync(path.join(folder, file), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

// --- what a recording says ----------------------------------------------------------------------

function eventsOf(body) {
  const events = [];
  for (const block of body.split(/\r?\n\r?\n/)) {
    const data = block.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n');
    if (data.trim()) events.push(JSON.parse(data));
  }
  return events;
}

/** The message that a recording holds: {content, stop_reason, stop_details, usage}, or {error}. */
function messageOf(record) {
  const body = record.response_body;
  if (!/^\s*(event|data):/.test(body)) {
    const message = JSON.parse(body);
    return message.type === 'error' ? { error: message.error } : message;
  }
  let message = null;
  let isWhole = false;
  for (const event of eventsOf(body)) {
    if (event.type === 'error') return { error: event.error, content: message?.content ?? [] };
    if (event.type === 'message_start') {
      message ??= { ...event.message, content: [...event.message.content] };
    } else if (event.type === 'content_block_start') {
      message.content.push({ ...event.content_block });
    } else if (event.type === 'content_block_delta') {
      const block = message.content.at(-1);
      if (event.delta.type === 'text_delta') block.text += event.delta.text;
      if (event.delta.type === 'thinking_delta') block.thinking += event.delta.thinking;
      if (event.delta.type === 'input_json_delta') block.json = (block.json ?? '') + event.delta.partial_json;
    } else if (event.type === 'message_delta') {
      message.stop_reason = event.delta.stop_reason ?? message.stop_reason;
      message.stop_details = event.delta.stop_details ?? message.stop_details;
      const usage = Object.entries(event.usage ?? {}).filter(([, value]) => value !== null);
      message.usage = { ...message.usage, ...Object.fromEntries(usage) };
    } else if (event.type === 'message_stop') {
      isWhole = true;
    }
  }
  return isWhole || message?.stop_reason ? message : { error: { type: 'cut' }, content: message?.content ?? [] };
}

const FINISH = {
  end_turn: 'stop', stop_sequence: 'stop', max_tokens: 'length', model_context_window_exceeded: 'length',
  refusal: 'content_filter', tool_use: 'tool_calls', pause_turn: 'stop', compaction: 'stop',
};

/** Texts joined as they are; a blank line between two that something else stood between. */
function textOf(blocks) {
  let text = '';
  let isApart = false;
  for (const block of blocks) {
    if (block.type !== 'text') isApart = true;
    else if (block.text) {
      if (isApart && text && !/\s$/.test(text) && !/^\s/.test(block.text)) text += '\n\n';
      text += block.text;
      isApart = false;
    }
  }
  return text;
}

function usageOf(usage) {
  const cached = usage.cache_read_input_tokens ?? 0;
  const written = usage.cache_creation_input_tokens ?? 0;
  const prompt = (usage.input_tokens ?? 0) + cached + written;
  const completion = usage.output_tokens ?? 0;
  return {
    prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion,
    cached, written, reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
  };
}
const readUsage = (usage) => ({
  prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens, total_tokens: usage.total_tokens,
  cached: usage.prompt_tokens_details.cached_tokens, written: usage.prompt_tokens_details.cache_write_tokens,
  reasoning: usage.completion_tokens_details.reasoning_tokens,
});

/** Arguments, which are no JSON where max_tokens cut them. */
function plain(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function expectedOf(message) {
  const calls = message.content.filter((block) => block.type === 'tool_use' && (block.caller?.type ?? 'direct') === 'direct');
  const text = textOf(message.content);
  let finish = FINISH[message.stop_reason] ?? (text ? 'stop' : 'length');
  if (finish === 'stop' && calls.length) finish = 'tool_calls';
  if (finish === 'tool_calls' && !calls.length) finish = 'stop';
  return {
    text, finish, usage: usageOf(message.usage),
    calls: calls.map((block) => ({ id: block.id, name: block.name, arguments: block.json ?? JSON.stringify(block.input ?? {}) })),
  };
}

// --- the proxy's answer -------------------------------------------------------------------------

async function ask(client, id, options, stream) {
  const content = `replay ${id} ${JSON.stringify(options)}`;
  const request = { model: 'claude-haiku-5-5', messages: [{ role: 'user', content }] };
  if (!stream) {
    const completion = await client.chat.completions.create(request);
    const [{ message, finish_reason }] = completion.choices;
    return { content: message.content, refusal: message.refusal, finish: finish_reason, usage: completion.usage, calls: message.tool_calls ?? [] };
  }
  const result = { content: '', refusal: null, finish: null, usage: null, calls: [], roles: 0 };
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
    result.usage = chunk.usage ?? result.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    result.finish ??= choice.finish_reason;
    const { delta } = choice;
    if (delta.role) result.roles++;
    result.content += delta.content ?? '';
    if (delta.refusal) result.refusal = (result.refusal ?? '') + delta.refusal;
    for (const call of delta.tool_calls ?? []) {
      if (call.id) result.calls[call.index] = { id: call.id, function: { name: call.function.name, arguments: '' } };
      result.calls[call.index].function.arguments += call.function.arguments;
    }
  }
  assert.equal(result.roles, 1, 'one role');
  return result;
}

/** Compares both kinds of answer; returns how many comparisons that were. */
async function compare(client, record, options) {
  const message = messageOf(record);
  const expected = message.error ? null : expectedOf(message);
  let comparisons = 0;
  for (const stream of [false, true]) {
    const label = `${record.id}, ${stream ? 'streamed' : 'whole'}, ${JSON.stringify(options)}`;
    const same = (actual, wanted, what) => {
      assert.deepEqual(actual, wanted, `${label}: ${what}`);
      comparisons++;
    };
    let answer;
    try {
      answer = await ask(client, record.id, options, stream);
    } catch (error) {
      if (!expected && error instanceof OpenAI.APIError) {
        comparisons++;
        continue;
      }
      throw new Error(`${label}: ${error}`, { cause: error });
    }
    assert.ok(expected, `${label}: a success that was none`);
    const isRefused = message.stop_reason === 'refusal';
    if (isRefused && !stream) same(answer.content, null, 'content');
    else same(answer.content ?? '', expected.text, 'content');
    if (isRefused) assert.ok(answer.refusal, `${label}: no refusal`);
    same(answer.finish, expected.finish, 'finish_reason');
    same(readUsage(answer.usage), expected.usage, 'usage');
    same(answer.calls.map((call) => ({ id: call.id, name: call.function.name })), expected.calls.map(({ id, name }) => ({ id, name })), 'calls');
    for (const [i, call] of expected.calls.entries())
      same(plain(answer.calls[i].function.arguments), plain(call.arguments || '{}'), 'arguments');
  }
  return comparisons;
}

async function forEachAtOnce(items, use) {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < items.length) await use(items[next], next++);
  }));
}

// ------------------------------------------------------------------------------------------------

describe('recorded exchanges', { skip: !isHere && `no recordings in ${folder}` }, () => {
  let replay, recorder, proxy, client;

  before(async () => {
    replay = new Child(process.execPath, [path.join(folder, 'replay.mjs'), '0']);
    const base = await until('replay.mjs listens', () => /http:\/\/127\.0\.0\.1:\d+/.exec(replay.stdout)?.[0]);
    // Which exchange is asked for stands in the prompt: so several can run at once.
    recorder = await Recorder.start(({ raw, url }) => {
      const asked = /replay (\w+) (\{.*?\})"/.exec(raw.replaceAll('\\"', '"'));
      if (!asked) return { status: 404, body: '{"type":"error","error":{"type":"not_found_error","message":"Not found"}}' };
      return `${base}/${asked[1]}${url}?${new URLSearchParams(JSON.parse(asked[2]))}`;
    });
    proxy = await startProxy(recorder, { REQUEST_TIMEOUT: '20' });
    client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
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

  const isMessages = (record) => /\/v1\/messages$/.test(record.path.split('?')[0]);
  const blocksOf = (record) => record.kinds.filter((kind) => kind.startsWith('block:'));
  const exchanges = isHere ? read('anthropic_exchanges.jsonl').filter((record) => isMessages(record)) : [];
  const answered = exchanges.filter((record) => record.status === 200);
  const isText = (record) => blocksOf(record).length === 1 && blocksOf(record)[0] === 'block:text';

  const reported = isHere ? read('reported_errors.jsonl').filter(isMessages) : [];
  const passed = new Set(); // ids of exchanges that were read as they are

  async function compareAll(t, records, options) {
    const failures = [];
    let comparisons = 0;
    await forEachAtOnce(records, async (record, i) => {
      try {
        const made = await compare(client, record, options(i));
        comparisons += made;
        passed.add(record.id);
      } catch (error) {
        failures.push(error);
      }
    });
    t.diagnostic(`${records.length} exchanges, ${comparisons} comparisons`);
    assert.equal(failures.length, 0, `${failures.length} failed, the first: ${failures.slice(0, 5).map(String).join('\n')}`);
    return comparisons;
  }

  it('texts, JSON and SSE, streamed and not, cut at random places', { timeout: 120_000 }, async (t) => {
    const records = answered.filter(isText);
    assert.ok(records.length >= 300, String(records.length));
    await compareAll(t, records, (i) => ({ seed: i + 1 }));
  });

  it('a sample of them in single bytes, with CRLF, with a byte order mark, whole', { timeout: 120_000 }, async (t) => {
    const records = answered.filter((record) => isText(record) && record.response_body.length < 6000).filter((_, i) => i % 12 === 0);
    for (const options of [{ max_chunk: 1 }, { crlf: true, max_chunk: 7 }, { whole: true }])
      await compareAll(t, records, (i) => ({ seed: i + 1, ...options }));
    await compareAll(t, records.filter((record) => record.kinds.includes('stream')), (i) => ({ seed: i, bom: true }));
  });

  it('empty answers and refusals', async (t) => {
    await compareAll(t, answered.filter((record) => blocksOf(record).length === 0), (i) => ({ seed: i }));
  });

  it('answers with thinking, tools, searches and blocks of other kinds', { timeout: 120_000 }, async (t) => {
    const records = answered.filter((record) => blocksOf(record).length && !isText(record) && record.id !== SPLICED);
    assert.ok(records.length > 200);
    await compareAll(t, records, (i) => ({ seed: i + 1 }));
    for (const stream of [false, true]) await ask(client, SPLICED, {}, stream).catch((error) => assert.ok(error instanceof OpenAI.APIError, String(error)));
  });

  it('a text cut off at any place is an error, never a success', { timeout: 120_000 }, async (t) => {
    const records = answered.filter((record) => isText(record) && record.kinds.includes('stream') && record.response_body.length < 4000).slice(0, 8);
    let cuts = 0;
    await forEachAtOnce(records, async (record) => {
      // Behind the stop reason the answer is whole, whatever follows.
      const end = Buffer.byteLength(record.response_body.slice(0, record.response_body.indexOf('message_delta')));
      for (let cut_at = 0; cut_at < end; cut_at += Math.ceil(end / 25)) {
        for (const stream of [false, true]) {
          await assert.rejects(ask(client, record.id, { cut_at }, stream), OpenAI.APIError, `${record.id} cut at ${cut_at}`);
          cuts++;
        }
      }
    });
    t.diagnostic(`${records.length} exchanges, ${cuts} cuts`);
  });

  const STATUS = { 529: 503 };
  const isRetryable = (record) => /overloaded|does not support effort|temperature/.test(record.response_body);
  it('errors: the status, the message, the request id', async (t) => {
    const errors = [...exchanges, ...reported].filter((record) => record.status >= 400);
    assert.ok(errors.length >= 18, String(errors.length));
    for (const record of errors) {
      for (const stream of [false, true]) {
        const error = await ask(client, record.id, {}, stream).then(() => assert.fail(`${record.id}: a success`), (e) => e);
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.equal(error.status, STATUS[record.status] ?? record.status, record.id);
        assert.ok(error.error.message.includes(JSON.parse(record.response_body).error.message), `${record.id}: ${error.error.message}`);
        assert.ok(error.requestID, record.id);
        if (record.status === 429) assert.equal(error.headers.get('retry-after'), '16');
      }
      passed.add(record.id);
    }
    t.diagnostic(`${errors.length} exchanges, ${errors.filter(isRetryable).length} of them retried`);
  });

  it('an error within a stream is raised behind the text', async () => {
    const [record] = read('reported_errors.jsonl').filter(({ id }) => id === 'r_sse_error_midstream');
    const { content } = messageOf(record);
    const stream = await client.chat.completions.create({ model: 'claude-haiku-5-5', stream: true, messages: [{ role: 'user', content: `replay ${record.id} {}` }] });
    let text = '';
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
    }, (error) => error instanceof OpenAI.APIError && error.code === 'overloaded');
    assert.equal(text, textOf(content));
    await assert.rejects(ask(client, record.id, {}, false), OpenAI.InternalServerError);
    passed.add(record.id);
  });

  it('no exchange of the Messages API was left out', (t) => {
    const all = [...exchanges, ...reported];
    const isSse = ({ response_body: body }) => /^\s*(event|data):/.test(body);
    const left = all.filter(({ id }) => !passed.has(id) && id !== SPLICED).map(({ id }) => id);
    const sse = all.filter(isSse).length;
    t.diagnostic(`count: recorded exchanges: ${all.length} (${sse} SSE, ${all.length - sse} JSON), read streamed and not: ${passed.size} passed, 1 spliced by hand and only survived, ${left.length} failed`);
    assert.deepEqual(left, []);
  });
});
