// What is asked for, and how to tell that the answer is what was asked for: each order names the
// simulator's answer byte for byte, its usage too. Orders of one seed are always the same.
import assert from 'node:assert/strict';

import { readStream } from '../e2e/lib/http.mjs';

// Faults and leavers have a model of their own, so that the metrics of the other are those of
// well-served requests alone.
export const MODEL = 'claude-haiku-5-5';
export const FAULT_MODEL = 'claude-haiku-4-5';

const WORDS = ['river', 'amber', 'seven', 'Größe', '日本', 'line\nbreak', 'a "quote"', 'back\\slash', 'tab\there', '🙂', 'plain', 'and', 'of', 'the'];
const PIXELS = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(40_000, 7)]).toString('base64');
const FILLER = 'A line of a document that somebody pasted into the prompt. '.repeat(3500); // 200 KB

function someText(random, bytes) {
  let text = '';
  while (text.length < bytes) text += `${WORDS[random(WORDS.length)]} `;
  return text.trimEnd();
}

const quoted = (text) => JSON.stringify(text);
const sim = (directives) => `[[sim: ${directives}]]`;

const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] };
const tools = ['get_weather', 'find_trains'].map((name) => ({ type: 'function', function: { name, description: `Does ${name}.`, parameters } }));

/** Numbers that the answer must bring back. */
function someUsage(random) {
  const usage = { input: 1 + random(5000), output: 1 + random(3000), cached: random(4) ? 0 : random(9000) };
  return { usage, directive: `input=${usage.input} output=${usage.output} cached=${usage.cached} cache_write=0` };
}

const bodyOf = (content, { stream, model = MODEL, ...more }) => ({
  model, messages: [{ role: 'user', content }], ...(stream ? { stream, stream_options: { include_usage: true } } : {}), ...more,
});

/** {content, calls, finish, usage} of either kind of answer. */
export function readAnswer(answer, isStream) {
  if (isStream) return readStream(answer.text);
  const { choices: [{ message, finish_reason: finish }], usage } = JSON.parse(answer.text);
  return { content: message.content ?? '', calls: message.tool_calls ?? [], finish, usage };
}

/** Throws unless the answer is the one that was ordered, whole, and its usage right; returns it. */
function checkWell(order, answer) {
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  const got = readAnswer(answer, order.stream);
  assert.equal(got.error ?? null, null);
  assert.equal(got.content, order.content ?? '');
  assert.deepEqual(got.calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]), order.calls ?? []);
  assert.equal(got.finish, order.calls ? 'tool_calls' : 'stop');
  if (order.usage) {
    const { input, output, cached } = order.usage;
    assert.deepEqual([got.usage.prompt_tokens, got.usage.prompt_tokens_details.cached_tokens, got.usage.completion_tokens, got.usage.total_tokens], [input + cached, cached, output, input + cached + output]);
  }
  return got;
}

const textOrder = (random, { bytes, pace, stream, lead = 'Write.' }) => {
  const content = someText(random, bytes);
  const { usage, directive } = someUsage(random);
  return { stream, content, usage, body: bodyOf(`${lead} ${sim(`text=${quoted(content)} ${pace} ${directive}`)}`, { stream }) };
};

const short = (random) => textOrder(random, { bytes: 100 + random(1000), pace: `piece=${8 + random(24)} gap=${2 + random(15)}ms`, stream: true });
const long = (random) => ({ ...textOrder(random, { bytes: 9600, pace: 'piece=16 gap=100ms', stream: true }), seconds: 90 });
const whole = (random) => textOrder(random, { bytes: 20 + random(3000), pace: `piece=${20 + random(60)}`, stream: false });
const large = (random) => textOrder(random, { bytes: 200, pace: 'piece=20', stream: random(2) === 1, lead: `${random(1e9)} ${FILLER}` });

function image(random) {
  const order = whole(random);
  const [message] = order.body.messages;
  message.content = [{ type: 'text', text: message.content }, { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXELS}` } }];
  return order;
}

function callsOf(random) {
  const stream = random(2) === 1;
  const input = { city: someText(random, 1 + random(200)), days: random(30) };
  const name = tools[random(2)].function.name;
  const { usage, directive } = someUsage(random);
  return { stream, usage, calls: [[name, input]], body: bodyOf(`Look. ${sim(`tool=${name} args=${quoted(JSON.stringify(input))} ${directive}`)}`, { stream, tools }) };
}

function json(random) {
  const stream = random(2) === 1;
  const content = JSON.stringify({ city: someText(random, 1 + random(300)), days: random(100) });
  const format = random(2) ? { type: 'json_object' } : { type: 'json_schema', json_schema: { name: 'plan', schema: parameters } };
  const { usage, directive } = someUsage(random);
  return { stream, content, usage, body: bodyOf(`JSON please. ${sim(`text=${quoted(content)} ${directive}`)}`, { stream, response_format: format }) };
}

/** A turn that thinks and calls a tool; the next, of a client that drops the thinking, answers. */
function conversation(random) {
  const stream = random(2) === 1;
  const input = { city: `${random(1e9)}` };
  const result = someText(random, 200);
  const body = bodyOf(`Look it up. ${sim(`think=text loop=1 tool=get_weather args=${quoted(JSON.stringify(input))}`)}`, { stream, tools, reasoning_effort: 'medium' });
  const next = (answer) => {
    const { calls } = readAnswer(answer, stream);
    const messages = [...body.messages, { role: 'assistant', content: null, tool_calls: calls }, { role: 'tool', tool_call_id: calls[0].id, content: result }];
    return { name: 'conversation', stream, content: `The tool answered: ${result}`, check: checkWell, expected: 'well', body: { ...body, messages } };
  };
  return { stream, calls: [['get_weather', input]], body, next };
}

/** An error with a status. */
const refused = (status) => (_, answer) => {
  assert.equal(answer.status, status, answer.text.slice(0, 300));
  assert.ok(JSON.parse(answer.text).error.message);
};
/** Broken while it comes: an error chunk behind a part of the text, or a status when nothing went out. */
const broken = (order, answer) => {
  if (!order.stream || answer.status !== 200) {
    assert.ok(answer.status >= 500, `${answer.status} ${answer.text.slice(0, 300)}`);
    assert.ok(JSON.parse(answer.text).error.message);
    return;
  }
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  const got = readStream(answer.text);
  assert.ok(got.error?.message, 'a stream that was cut has no error');
  assert.ok(order.content.startsWith(got.content) && got.content.length < order.content.length, 'no part of the text');
};

// [directives, check]; the last ones pass when the request comes again, which nobody sees.
const FAULTS = [
  ['status=500', refused(500)],
  ['status=529', refused(503)],
  ['status=502 body=html', refused(502)],
  ['status=200 body=garbage', refused(502)],
  ['cut=head', refused(502)],
  ['error=overloaded_error after=3', broken],
  ['error=api_error after=5', broken],
  ['cut=4', broken],
  ['cut_bytes=900', broken],
  ['end=4', broken],
  ['garbage=4', broken],
  ['stall=4', broken],
];
const PASSING = ['status=500', 'status=529', 'status=429 retry_after=1', 'cut=head', 'error=overloaded_error', 'status=503 body=html'];

function fault(random) {
  const stream = random(2) === 1;
  const content = someText(random, 600);
  const answer = `text=${quoted(content)} piece=10 gap=3ms`;
  if (random(3) === 0) {
    const directive = PASSING[random(PASSING.length)];
    return { stream, content, kind: `${directive}, once`, body: bodyOf(`${random(1e9)} ${sim(`${directive} then=${quoted(answer)}`)}`, { stream, model: FAULT_MODEL }) };
  }
  const [directive, check] = FAULTS[random(FAULTS.length)];
  return { stream, content, kind: directive, check, expected: 'failed', seconds: 60, body: bodyOf(`${random(1e9)} ${sim(`${answer} ${directive}`)}`, { stream, model: FAULT_MODEL }) };
}

/** A client that leaves. `leave` is where; an answer is far from over then. */
const STAGES = ['body', 'wait', 'stream', 'unread', 'session'];
function leaver(random) {
  const leave = { stage: STAGES[random(STAGES.length)], bytes: 500 + random(8000), ms: random(1500), isReset: random(2) === 1 };
  const stream = leave.stage !== 'wait' || random(2) === 1;
  const directives = leave.stage === 'wait' ? 'first=60s' : 'words=6000 gap=10ms';
  return { stream, leave, kind: leave.stage, expected: 'left', body: bodyOf(`${random(1e9)} ${sim(directives)}`, { stream, model: FAULT_MODEL }) };
}

const models = () => ({ target: '/v1/models', check: (_, answer) => assert.ok(answer.status === 200 && JSON.parse(answer.text).data.length > 5) });

// Of a hundred orders; `seconds` in an order: how long a well-served one may take beyond the limit.
export const MIX = [
  ['short stream', 32, short],
  ['stream of a minute', 3, long],
  ['whole answer', 24, whole],
  ['tools', 10, callsOf],
  ['JSON mode', 8, json],
  ['body of 200 KB', 4, large],
  ['image', 2, image],
  ['conversation', 4, conversation],
  ['models', 3, models],
  ['fault', 5, fault],
  ['leaver', 5, leaver],
];
const TOTAL = MIX.reduce((all, [, weight]) => all + weight, 0);

export function nextOrder(random) {
  let at = random(TOTAL);
  for (const [name, weight, make] of MIX) {
    if (at < weight) return { name, check: checkWell, expected: 'well', seconds: 0, ...make(random) };
    at -= weight;
  }
  throw new Error('unreachable');
}
