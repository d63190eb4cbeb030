// response_format from the answer's side: what the SDK's helpers parse, what is mended, asked for
// again, and named in a header where it stays wrong.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { chat, request, send } from './lib/http.mjs';
import { MODEL, PROXY_KEY, startProxy, startSim } from './lib/process.mjs';

let sim, proxy, client;
before(async () => {
  sim = await startSim();
  proxy = await startProxy(sim, { WORKERS: '1' });
  client = new OpenAI({ apiKey: PROXY_KEY, baseURL: `http://127.0.0.1:${proxy.port}/v1`, maxRetries: 0 });
});
after(async () => {
  await proxy?.stop();
  await sim?.stop();
});
beforeEach(() => send(sim.port, request('POST', '/__sim/reset')));

const quoted = (text) => JSON.stringify(typeof text === 'string' ? text : JSON.stringify(text));
/** A prompt whose answer is `first`, and `then` (directives) when it is asked for again. */
const prompt = (first, then, more = '') => `An answer. [[sim: text=${quoted(first)}${then === undefined ? '' : ` then=${quoted(then)}`} ${more}]]`;
const text = (value) => `text=${quoted(value)}`;
const user = (content) => [{ role: 'user', content }];
const schemaFormat = (schema, strict) => ({ type: 'json_schema', json_schema: { name: 'answer', schema, ...(strict === undefined ? {} : { strict }) } });
const post = (content, more) => send(proxy.port, chat({ model: MODEL, messages: user(content), ...more }));
const ANY_JSON = { response_format: { type: 'json_object' } };
const header = (answer) => answer.headers['x-response-format-unmet'];
const lastLine = () => proxy.stderr.split('\n').findLast((line) => line.includes('/v1/chat/completions'));
async function received() {
  const stats = (await send(sim.port, request('GET', '/__sim/stats'))).json;
  return stats.recent.filter((call) => call.request === 'POST /v1/messages').sort((a, b) => a.at_us - b.at_us);
}

// A list of lists has no end: the upstream's decoder cannot be given it.
const TREE = { $ref: '#/$defs/node', $defs: { node: { type: 'object', properties: { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } }, required: ['name', 'children'], additionalProperties: false } } };
const tree = { name: 'a', children: [{ name: 'b', children: [] }] };
const broken = { name: 'a', children: [{ name: 7, children: [] }] };

describe('.parse() of the openai SDK with zod', () => {
  const Event = z.object({
    name: z.string(),
    level: z.enum(['Low', 'High']),
    place: z.union([z.object({ kind: z.literal('city'), city: z.string() }), z.object({ kind: z.literal('Online'), url: z.string().nullable() })]),
    tags: z.array(z.enum(['New', 'Old'])),
    note: z.string().nullable(),
  });
  const event = { name: 'x', level: 'Low', place: { kind: 'Online', url: null }, tags: ['New', 'Old'], note: null };
  const parse = (content, format) => client.chat.completions.parse({ model: MODEL, messages: user(content), response_format: format });

  it('enums, unions, null: what the decoder gives', async () => {
    const { choices } = await parse('An event.', zodResponseFormat(Event, 'event'));
    assert.doesNotThrow(() => Event.parse(choices[0].message.parsed));
    const [{ body }] = await received();
    assert.equal(body.output_config.format.type, 'json_schema');
  });

  it('trap 41: letter case of enum and const is mended, within lists and alternatives too', async () => {
    const odd = { ...event, level: 'low', place: { kind: 'ONLINE', url: null }, tags: ['NEW', 'Old'] };
    const { choices } = await parse(prompt(odd), zodResponseFormat(Event, 'event'));
    assert.deepEqual(choices[0].message.parsed, event);
    assert.equal((await received()).length, 1);
  });

  it('a recursive schema goes as an instruction, and the answer is held against it', async () => {
    const Node = z.object({ name: z.string(), get children() { return z.array(Node); } });
    const format = zodResponseFormat(Node, 'tree');
    const { choices } = await parse(prompt(broken, text(tree)), format);
    assert.deepEqual(choices[0].message.parsed, tree);
    const calls = await received();
    assert.equal(calls.length, 2);
    assert.deepEqual(calls[0].body, calls[1].body);
    assert.equal(calls[0].body.output_config?.format, undefined);
    assert.match(calls[0].body.system.at(-1).text, /JSON Schema:/);
  });

  it('.stream(): chunks as they come, the final one parsed', async () => {
    const stream = client.chat.completions.stream({ model: MODEL, messages: user(prompt(event, undefined, 'piece=5')), response_format: zodResponseFormat(Event, 'event') });
    const seen = [];
    stream.on('content.delta', ({ parsed }) => seen.push(parsed));
    const final = await stream.finalChatCompletion();
    assert.deepEqual(final.choices[0].message.parsed, event);
    assert.ok(seen.length > 3);
    assert.equal(seen.at(-1).note, null);
  });
});

describe('an answer that is not what was asked for', () => {
  it('json_object: once more, both counted', async () => {
    const content = prompt('Sure! Here you are.', `${text({ a: 1 })} input=20 output=7`, 'input=10 output=5');
    const answer = await post(content, ANY_JSON);
    assert.equal(answer.json.choices[0].message.content, '{"a":1}');
    assert.equal(header(answer), undefined);
    assert.equal(answer.json.usage.prompt_tokens, 30);
    assert.equal(answer.json.usage.completion_tokens, 12);
    const calls = await received();
    assert.equal(calls.length, 2);
    assert.deepEqual(calls[0].body, calls[1].body);
    const line = JSON.parse(lastLine());
    assert.deepEqual([line.repeats, line.input_tokens, line.output_tokens, line.attempts], [1, 30, 12, undefined]);
  });

  it('json_object: still none, the answer goes out and a header says so', async () => {
    const answer = await post(prompt('No JSON today.'), ANY_JSON);
    assert.equal(answer.status, 200);
    assert.equal(answer.json.choices[0].message.content, 'No JSON today.');
    assert.equal(header(answer), '$: not JSON');
    assert.equal((await received()).length, 2);
    assert.equal(header(await post(prompt([1]), ANY_JSON)), '$: not an object');
  });

  it('best effort, strict: once more; else only told', async () => {
    for (const [strict, calls] of [[true, 2], [false, 1], [undefined, 1]]) {
      await send(sim.port, request('POST', '/__sim/reset'));
      const answer = await post(prompt(broken), { response_format: schemaFormat(TREE, strict) });
      assert.equal(answer.headers['x-response-format'], 'best-effort');
      assert.equal(header(answer), '$.children[0].name: expected type string');
      assert.deepEqual(JSON.parse(answer.json.choices[0].message.content), broken);
      assert.equal((await received()).length, calls);
    }
  });

  it('what the decoder does not hold is checked and named, not asked for again', async () => {
    const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 3 }, id: { type: 'string', pattern: '^[a-z]{2}-\\d+$' } }, required: ['n', 'id'], additionalProperties: false };
    const ask = (value) => post(prompt(value), { response_format: schemaFormat(schema, true) });
    assert.equal(header(await ask({ n: 3, id: 'ab-1' })), undefined);
    assert.equal(header(await ask({ n: 2, id: 'ab-1' })), '$.n: breaks minimum');
    assert.equal(header(await ask({ n: 3, id: 'AB-1' })), '$.id: breaks pattern');
    assert.equal((await received()).length, 3);
  });

  it('the second attempt fails: the first answer is better than an error', async () => {
    for (const then of ['status=529', 'status=400', 'cut=head', 'cut=start', 'error=overloaded_error', 'status=200 body=garbage', 'end=start', 'text="x" stop=refusal', 'text="{" stop=max_tokens']) {
      const answer = await post(prompt(`No JSON ${then.length}.`, then), ANY_JSON);
      assert.equal(answer.status, 200, then);
      assert.match(answer.json.choices[0].message.content, /^No JSON/, then);
      assert.equal(header(answer), '$: not JSON', then);
      assert.equal(answer.headers['retry-after'], undefined, then);
      assert.equal(JSON.parse(lastLine()).end, 'done', then);
    }
  });

  it('refusals, cut answers and tool calls are not checked', async () => {
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }];
    for (const [content, more, reason] of [
      [prompt('{', undefined, 'stop=max_tokens'), {}, 'length'],
      [prompt('{', undefined, 'stop=refusal'), {}, 'content_filter'],
      [prompt('{', undefined, 'stop=stop_sequence sequence="x"'), { stop: 'x' }, 'stop'],
      ['[[sim: tool=look]]', { tools }, 'tool_calls'],
    ]) {
      await send(sim.port, request('POST', '/__sim/reset'));
      const answer = await post(content, { ...ANY_JSON, ...more });
      assert.equal(answer.json.choices[0].finish_reason, reason);
      assert.equal(header(answer), undefined, reason);
      assert.equal((await received()).length, 1, reason);
    }
  });

  it('of several choices each is asked for again by itself', async () => {
    const answer = await post(prompt('None.', text({ a: 1 }), 'input=10 output=5'), { ...ANY_JSON, n: 3 });
    assert.equal(answer.json.choices.length, 3);
    const calls = await received();
    assert.ok(calls.length >= 3 && calls.length <= 6, calls.length);
    const always = await post(prompt('None at all.'), { ...ANY_JSON, n: 2 });
    assert.equal(header(always), 'choices[0] $: not JSON');
  });

  it('a stream goes out as it comes: nothing is asked for again, no header can know', async () => {
    const answer = await post(prompt('No JSON.'), { ...ANY_JSON, stream: true });
    assert.equal(header(answer), undefined);
    assert.equal((await received()).length, 1);
  });

  it('a client that leaves takes the second attempt with it', async () => {
    const controller = new AbortController();
    const asked = client.chat.completions.create({ model: MODEL, messages: user(prompt('No JSON.', 'stall=head')), ...ANY_JSON }, { signal: controller.signal });
    asked.catch(() => {});
    for (let i = 0; i < 200 && (await received()).length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await received()).length, 2);
    controller.abort();
    await assert.rejects(asked);
    for (let i = 0; i < 200 && !(await received())[1].end; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await received())[1].end, 'aborted');
  });
});
