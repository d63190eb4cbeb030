// Traps that no golden case can hold alone: they need a key, a connection, a second turn or the
// bytes on the wire. The table of all is tests/traps.md.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, eventData, readStream, request, send } from './lib/http.mjs';
import { PROXY_KEY, SAMPLING_MODEL, UPSTREAM_KEY, startProxy, until } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const THINKER = 'claude-sonnet-5-5';
const OTHER_ACCOUNT = 'sk-ant-e2e-other-account';

let stage, sim, recorder, proxy;
before(async () => {
  stage = await setStage();
  ({ sim, recorder, proxy } = stage);
});
after(() => clearStage(stage));

const post = (body, options) => send(proxy.port, chat(body, options));
/** The answer, and what went upstream for it. */
async function exchange(body, options) {
  const before = recorder.messages.length;
  const answer = await post(body, options);
  return { answer, calls: recorder.messages.slice(before) };
}
/** Both kinds of answer, read alike. */
async function both(body) {
  const whole = await exchange({ ...body, stream: false });
  const streamed = await exchange({ ...body, stream: true });
  assert.equal(whole.answer.status, 200, whole.answer.text);
  assert.equal(streamed.answer.status, 200, streamed.answer.text);
  const [{ message, finish_reason }] = whole.answer.json.choices;
  const read = readStream(streamed.answer.text);
  assert.equal(read.error, null);
  assert.deepEqual({ content: read.content, finish: read.finish }, { content: message.content ?? '', finish: finish_reason });
  return { content: read.content, finish: read.finish, headers: whole.answer.headers, json: whole.answer.json, chunks: read.chunks, calls: [...whole.calls, ...streamed.calls] };
}

describe('answers', () => {
  it('trap 11: what stands in front of the stop sequence', async () => {
    const { content, finish } = await both({ ...ask('[[sim: text="one two X three"]]'), stop: 'X' });
    assert.equal(content, 'one two ');
    assert.equal(finish, 'stop');
  });

  it('trap 27: only the continuation', async () => {
    const messages = [{ role: 'user', content: '2+2? [[sim: text="42)"]]' }, { role: 'assistant', content: 'The answer is ( ' }];
    const { content, calls } = await both({ model: SAMPLING_MODEL, messages });
    assert.equal(content, '42)');
    for (const { body } of calls) assert.deepEqual(body.messages.at(-1), { role: 'assistant', content: [{ type: 'text', text: 'The answer is (' }] });
  });

  it('trap 39: a schema that cannot be forced is asked for in words', async () => {
    const schema = { type: 'object', properties: { kids: { type: 'array', items: { $ref: '#' } } } };
    const { headers, calls } = await both({ ...ask('[[sim: json]]'), response_format: { type: 'json_schema', json_schema: { name: 'tree', schema } } });
    assert.equal(headers['x-response-format'], 'best-effort');
    for (const { body } of calls) {
      assert.equal(body.output_config?.format, undefined);
      assert.match(body.system.at(-1).text, /"kids"/);
    }
  });

  it('trap 28: where the upstream continues nothing it is asked to go on', async () => {
    const messages = [{ role: 'user', content: '2+2?' }, { role: 'assistant', content: 'The answer is ( ' }];
    const { headers, calls } = await both({ model: 'claude-opus-5-5', messages });
    assert.equal(headers['x-modified-params'], 'messages(continue)');
    assert.equal(calls.length, 2); // no refusal in between
    for (const { body } of calls) assert.equal(body.messages.at(-1).role, 'user');
  });

  it('trap 69: no usage key on the wire', async () => {
    const answer = await post(ask('[[sim: text="a b"]]', { stream: true }));
    assert.doesNotMatch(answer.text, /"usage"/);
  });

  it('trap 68: usage null on every chunk but the one behind the finish', async () => {
    const answer = await post(ask('[[sim: text="a b"]]', { stream: true, stream_options: { include_usage: true } }));
    const data = eventData(answer.text);
    assert.equal(data.pop(), '[DONE]');
    const last = JSON.parse(data.pop());
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
    for (const piece of data) assert.equal(JSON.parse(piece).usage, null);
  });

  it('trap 93: the tier that served', async () => {
    const { json, calls, headers, chunks } = await both({ ...ask('[[sim: text=x]]'), service_tier: 'flex' });
    for (const { body } of calls) assert.ok(!('service_tier' in body));
    assert.equal(headers['x-ignored-params'], 'service_tier');
    assert.equal(json.service_tier, 'default');
    assert.ok(chunks.some((chunk) => chunk.service_tier === 'default'));
  });

  for (const model of ['claude-opus-5-5', SAMPLING_MODEL])
    it(`trap 116: the same upstream bytes for turns streamed and not: ${model}`, async () => {
      const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { b: {}, a: {} } } } }];
      const messages = [{ role: 'system', content: 'S' }, { role: 'user', content: 'Hi [[sim: text=x]]' }];
      const { calls: [first] } = await exchange({ model, messages, tools, stream: true });
      const { calls: [second] } = await exchange({ model, messages: [...messages, { role: 'assistant', content: 'x' }, { role: 'user', content: 'And?' }], tools });
      const prefix = (raw) => raw.slice(raw.indexOf('"system":'), raw.lastIndexOf(']}'));
      assert.ok(prefix(first.raw).length > 50);
      assert.ok(prefix(second.raw).startsWith(prefix(first.raw)), `${first.raw}\n${second.raw}`);
      assert.deepEqual(second.body.tools, first.body.tools);
    });
});

describe('what the proxy refuses by itself', () => {
  const picture = (url) => ({ messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, { type: 'image_url', image_url: { url } }] }] });
  for (const [what, more, param, code] of [
    ['trap 3: no tokens', { max_tokens: 0 }, 'max_tokens', 'integer_below_min_value'],
    ['trap 9: nine choices', { n: 9 }, 'n', 'integer_above_max_value'],
    ['trap 55: svg', picture('data:image/svg+xml;base64,PHN2Zy8+'), 'messages[0].content[1].image_url.url', 'invalid_value'],
    ['trap 57: audio', { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'eA==', format: 'wav' } }] }] }, 'messages[0].content[0].type', 'unsupported_value'],
  ])
    it(`${what}`, async () => {
      const { answer, calls } = await exchange({ ...ask('Hi'), ...more });
      assert.equal(answer.status, 400);
      assert.deepEqual([answer.json.error.param, answer.json.error.code], [param, code]);
      assert.equal(calls.length, 0);
    });
});

describe('errors', () => {
  for (const [what, directives] of [
    ['trap 81: a spent budget', 'status=429 details=enforced_spend_limit_reached'],
    ['trap 124: out of credit', 'status=400 message="Your credit balance is too low to access the Anthropic API."'],
  ])
    it(`${what}`, async () => {
      const { answer, calls } = await exchange(ask(`[[sim: ${directives}]]`));
      assert.equal(answer.status, 429);
      assert.deepEqual([answer.json.error.type, answer.json.error.code], ['insufficient_quota', 'insufficient_quota']);
      assert.equal(answer.headers['x-should-retry'], 'false');
      assert.equal(calls.length, 1);
    });

  for (const [where, directives] of [['as the first event', 'after=start'], ['right behind message_start', 'blocks=none after=0']])
    for (const stream of [false, true])
      it(`trap 76: an error ${where}${stream ? ', streamed' : ''}`, async () => {
        const answer = await post(ask(`[[sim: error=overloaded_error ${directives}]]`, { stream }));
        assert.equal(answer.status, 503);
        assert.equal(answer.json.error.code, 'overloaded');
        assert.doesNotMatch(answer.text, /DONE/);
      });

  it('trap 77: behind text', async () => {
    const answer = await post(ask('[[sim: text="one two three" piece=4 error=overloaded_error after=2]]', { stream: true }));
    const data = eventData(answer.text);
    assert.equal(JSON.parse(data.at(-1)).error.code, 'overloaded');
    assert.ok(data.some((piece) => piece.includes('"content":"one ')));
  });

  it('trap 78: the upstream closes in the middle of a text', async () => {
    const answer = await post(ask('[[sim: text="one two three" piece=4 cut=2]]', { stream: true }));
    const data = eventData(answer.text);
    assert.equal(JSON.parse(data.at(-1)).error.code, 'upstream_disconnected');
  });

  it('trap 79: 529 keeps its wait', async () => {
    const answer = await post(ask('[[sim: status=529 retry_after=9]]'));
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '9');
    assert.equal(answer.json.error.code, 'overloaded');
  });

  it('trap 82: 413 in HTML', async () => {
    const answer = await post(ask('[[sim: status=413 body=html]]'));
    assert.equal(answer.status, 413);
    assert.ok(answer.json.error.message);
  });

  for (const [what, content, more] of [['an answer', 'text=x', {}], ['a stream', 'text=x', { stream: true }], ['an error', 'status=500', {}], ['an error of a stream', 'status=429', { stream: true }]])
    it(`trap 84: the upstream's id, of ${what}`, async () => {
      const { answer } = await exchange(ask(`[[sim: ${content}]]`, more));
      assert.match(answer.headers['x-request-id'], /^req_/);
      assert.equal(answer.headers['request-id'], answer.headers['x-request-id']);
    });
});

describe('keys', () => {
  it('trap 100: two keys that differ', async () => {
    for (const headers of [
      { authorization: `Bearer ${PROXY_KEY}`, 'x-api-key': 'another' },
      { authorization: 'Bearer another', 'x-api-key': PROXY_KEY },
    ]) {
      const { answer, calls } = await exchange(ask('Hi'), { key: '', headers });
      assert.equal(answer.status, 401);
      assert.equal(calls.length, 0);
    }
    const { answer, calls: [call] } = await exchange(ask('[[sim: text=x]]'), { headers: { 'x-api-key': PROXY_KEY } });
    assert.equal(answer.status, 200);
    assert.equal(call.headers['x-api-key'], UPSTREAM_KEY);
    assert.equal(call.headers.authorization, undefined);
    assert.ok(!JSON.stringify(call.headers).includes(PROXY_KEY));
  });

  for (const stream of [false, true])
    it(`trap 104: thinking of another account${stream ? ', streamed' : ''}`, async () => {
      // An account that knows no other's signatures: with Sonnet 5.5 they are bound to the account.
      const strict = await Recorder.start(({ headers, raw, url }) => (headers['x-api-key'] === OTHER_ACCOUNT && raw.includes('"signature"')
        ? { status: 400, body: '{"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}' }
        : sim.url + url));
      try {
        const messages = [{ role: 'user', content: 'Think. [[sim: think=text text=one]]' }];
        for (const [turn, key] of [UPSTREAM_KEY, OTHER_ACCOUNT].entries()) {
          const one = await startProxy(strict, { ANTHROPIC_API_KEY: key });
          try {
            const answer = await send(one.port, chat({ model: THINKER, reasoning_effort: 'high', messages, stream: stream && turn > 0 }));
            assert.equal(answer.status, 200, answer.text);
            if (turn > 0) {
              assert.equal(answer.headers['x-ignored-params'], 'messages.reasoning_details');
              assert.ok(strict.messages.some(({ headers, raw }) => headers['x-api-key'] === OTHER_ACCOUNT && raw.includes('"signature"')));
              if (stream) assert.equal(readStream(answer.text).content, 'two');
              else assert.equal(answer.json.choices[0].message.content, 'two');
            } else {
              const [{ message }] = answer.json.choices;
              assert.ok(message.reasoning_details.some((detail) => detail.signature));
              messages.push(message, { role: 'user', content: 'And? [[sim: text=two]]' });
            }
          } finally {
            await one.stop();
          }
        }
      } finally {
        await strict.stop();
      }
    });
});

describe('connections and routes', () => {
  it('trap 102: one prompt or several', async () => {
    for (const prompt of ['one', ['one', 'two']]) {
      const answer = await send(proxy.port, request('POST', '/v1/completions', { body: { model: 'claude-haiku-5-5', prompt } }));
      assert.equal(answer.status, 404);
      assert.equal(answer.json.error.code, 'unknown_url');
      assert.match(answer.json.error.message, /\/v1\/completions/);
    }
  });

  it('trap 103: a stream that nobody reads any more', async () => {
    const tag = `leaves-${process.pid}`;
    const connection = await Connection.open(proxy.port);
    await connection.write(chat(ask(`${tag} [[sim: words=100000 gap=5ms]]`, { stream: true })));
    await connection.wait('content', (c) => c.data.includes('"content":"'));
    const call = recorder.find(tag);
    connection.close();
    await until('the upstream sees it', () => call.abortedAtMs, 1000);
  });

  it('trap 121: a field whose name has line breaks', async () => {
    const { answer } = await exchange({ ...ask('[[sim: text=x]]'), 'a\r\nx: y': 1 });
    assert.equal(answer.status, 200);
    assert.equal('x' in answer.headers, false);
    assert.doesNotMatch(answer.headers['x-ignored-params'], /[\r\n]|x: y/);
  });
});
