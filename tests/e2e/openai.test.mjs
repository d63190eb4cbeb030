// The official openai SDK against the proxy, the simulator behind it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/error';

import { Recorder } from './lib/recorder.mjs';
import { MODEL, PROXY_KEY, SAMPLING_MODEL, UPSTREAM_KEY, startProxy, startSim, until } from './lib/process.mjs';

const ABORT_MS_MAX = 50;

let sim, recorder, proxy, client;

before(async () => {
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder, { REQUEST_TIMEOUT: '2' });
  client = makeClient();
});
after(async () => {
  try {
    await proxy?.stop();
  } finally {
    await recorder?.stop();
    await sim?.stop();
  }
});

function makeClient(more = {}, port = proxy.port) {
  return new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: PROXY_KEY, maxRetries: 0, ...more });
}

const user = (content) => [{ role: 'user', content }];
const create = (content, more = {}, options = {}) =>
  client.chat.completions.create({ model: MODEL, messages: user(content), ...more }, options);

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, content: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('') };
}

/** The error that `promise` ends in. */
async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('no error was raised');
}

describe('chat.completions.create', () => {
  it('answers a text', async () => {
    const completion = await create("What's the capital of France?");
    assert.equal(completion.object, 'chat.completion');
    assert.match(completion.id, /^chatcmpl-/);
    assert.equal(completion.model, MODEL);
    assert.ok(Math.abs(completion.created - Date.now() / 1000) < 60);
    assert.match(completion._request_id, /^req_/);
    const [choice, ...others] = completion.choices;
    assert.equal(others.length, 0);
    assert.equal(choice.index, 0);
    assert.equal(choice.logprobs, null);
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.role, 'assistant');
    assert.equal(choice.message.refusal, null);
    assert.equal('tool_calls' in choice.message, false);
    assert.match(choice.message.content, /Paris/);
    const { usage } = completion;
    assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.equal(usage.prompt_tokens_details.cached_tokens, 0);
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
  });

  it('sends system, developer and parts as Anthropic has them', async () => {
    const completion = await client.chat.completions.create({
      model: MODEL,
      messages: [
        { role: 'system', content: 'First rule.' },
        { role: 'developer', content: [{ type: 'text', text: 'Second rule.' }] },
        { role: 'user', content: [{ type: 'text', text: 'Hello,' }, { type: 'text', text: 'parts. [[sim: text="fine"]]' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'Yes?' }] },
        { role: 'system', content: 'A late rule.' },
        { role: 'user', content: 'Go on. [[sim: text="fine"]]' },
      ],
      max_completion_tokens: 77,
      stop: ['END'],
    });
    assert.equal(completion.choices[0].message.content, 'fine');
    const { body, headers } = recorder.last;
    assert.deepEqual(body.system.map((block) => block.text), ['First rule.', 'Second rule.']);
    assert.deepEqual(body.messages.map((message) => message.role), ['user', 'assistant', 'user', 'system']);
    assert.deepEqual(body.messages[0].content.map((block) => block.text.slice(0, 6)), ['Hello,', 'parts.']);
    assert.equal(body.max_tokens, 77);
    assert.deepEqual(body.stop_sequences, ['END']);
    assert.equal(body.stream, true);
    assert.equal(headers['anthropic-version'], '2026-10-21');
    assert.equal(headers['x-api-key'], UPSTREAM_KEY);
    assert.equal('authorization' in headers, false);
  });

  it('sends sampling only where the model takes it, and says so', async () => {
    const { response } = await client.chat.completions
      .create({ model: MODEL, messages: user('Hi'), temperature: 0.3, seed: 7 })
      .withResponse();
    assert.deepEqual(new Set(response.headers.get('x-ignored-params').split(/,\s*/)), new Set(['temperature', 'seed']));
    assert.equal('temperature' in recorder.last.body, false);
    await create('Hi', { model: SAMPLING_MODEL, temperature: 0.3 });
    const call = recorder.last;
    assert.equal(call.body.temperature, 0.3);
    assert.equal(call.headers['anthropic-version'], '2023-06-01');
  });

  it('serves a retired model by its successor', async () => {
    const { data, response } = await client.chat.completions
      .create({ model: 'claude-3-haiku-20240307', messages: user('Hi'), max_tokens: 16 })
      .withResponse();
    assert.match(data.model, /^claude-haiku-/);
    assert.match(response.headers.get('x-modified-params'), /\bmodel\b/);
    assert.ok(data.choices[0].message.content);
    await create('Hi', { model: 'claude-3-haiku-20240307' });
    const lines = proxy.stderr.split('\n').filter((line) => line.includes('retired model is served'));
    assert.equal(lines.length, 1, 'said once');
    assert.match(lines[0], /claude-3-haiku-20240307.*claude-haiku-/);
  });

  it('reports every usage figure', async () => {
    const { usage } = await create('[[sim: text="x" input=10 cached=1000 cache_write=100 output=5]]');
    assert.equal(usage.prompt_tokens, 1110);
    assert.equal(usage.completion_tokens, 5);
    assert.equal(usage.total_tokens, 1115);
    assert.equal(usage.prompt_tokens_details.cached_tokens, 1000);
    assert.equal(usage.prompt_tokens_details.cache_write_tokens, 100);
  });

  for (const [stop, finish] of [
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
  ])
    it(`${stop} is ${finish}`, async () => {
      const completion = await create(`[[sim: text="some text" stop=${stop}]]`);
      assert.equal(completion.choices[0].finish_reason, finish);
      assert.equal(completion.choices[0].message.content, 'some text');
    });

  it('a refusal is a content filter with the reason', async () => {
    const completion = await create('[[sim: blocks=none stop=refusal explanation="Not this."]]');
    const [{ message, finish_reason }] = completion.choices;
    assert.deepEqual([finish_reason, message.content, message.refusal], ['content_filter', null, 'Not this.']);
    const stream = await collect(await create('[[sim: text="Sure" stop=refusal explanation="Not this."]]', { stream: true }));
    assert.equal(stream.content, 'Sure');
    assert.equal(stream.chunks.map((chunk) => chunk.choices[0].delta.refusal ?? '').join(''), 'Not this.');
    assert.equal(stream.chunks.at(-1).choices[0].finish_reason, 'content_filter');
  });

  it('an empty answer is an empty text', async () => {
    const completion = await create('[[sim: blocks=none output=2]]');
    assert.equal(completion.choices[0].message.content, '');
    assert.equal(completion.choices[0].finish_reason, 'stop');
    const stream = await collect(await create('[[sim: blocks=none output=2]]', { stream: true }));
    assert.equal(stream.content, '');
  });

  it('refuses by name what it does not do', async () => {
    const refused = [
      [{ n: 2 }, 'n'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ temperature: 3 }, 'temperature'],
      [{ messages: [] }, 'messages'],
      [{ messages: [{ role: 'nobody', content: 'x' }] }, 'messages[0].role'],
      [{ modalities: ['audio'] }, 'modalities'],
      [{ response_format: { type: 'xml' } }, 'response_format.type'],
    ];
    const before = recorder.messages.length;
    for (const [more, param] of refused) {
      const error = await errorOf(create('Hi', more));
      assert.ok(error instanceof OpenAI.BadRequestError, `${param}: ${error}`);
      assert.equal(error.param, param);
      assert.equal(error.type, 'invalid_request_error');
      assert.ok(error.message.length > 10);
      assert.ok(error.requestID);
    }
    assert.equal(recorder.messages.length, before, 'nothing was sent upstream');
  });
});

describe('streams', () => {
  it('for await gives the text of the unstreamed answer', async () => {
    const text = 'Grüße, 世界 👋 — "quoted"\n\tand\\more. '.repeat(20);
    const ordered = `[[sim: text=${JSON.stringify(text)} piece=3]]`;
    const whole = await create(ordered);
    const stream = await collect(await create(ordered, { stream: true }));
    assert.equal(whole.choices[0].message.content, text);
    assert.equal(stream.content, text);
    assert.ok(stream.chunks.length > 100);
    assert.ok(stream.chunks.every((chunk) => !('usage' in chunk)));
    assert.equal(stream.chunks[0].choices[0].delta.role, 'assistant');
  });

  it('include_usage gives one chunk with it, last, equal to the unstreamed usage', async () => {
    const ordered = '[[sim: text="one two three" input=10 cached=20 output=7]]';
    const whole = await create(ordered);
    const { chunks } = await collect(await create(ordered, { stream: true, stream_options: { include_usage: true } }));
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
  });

  it('usage: the last value wins, also where it falls', async () => {
    for (const input of [10682, 3]) {
      const { chunks } = await collect(
        await create(`[[sim: text="x" input=2679 delta_input=${input}]]`, { stream: true, stream_options: { include_usage: true } }),
      );
      assert.equal(chunks.at(-1).usage.prompt_tokens, input);
    }
  });

  it('the .stream() helper: its events and the final completion', async () => {
    const seen = { content: 0, chunk: 0, end: 0, error: 0 };
    const stream = client.chat.completions.stream({
      model: MODEL,
      messages: user('[[sim: text="alpha beta gamma delta" piece=4 output=9]]'),
      stream_options: { include_usage: true },
    });
    let snapshot;
    stream.on('content', (delta, all) => (seen.content++, (snapshot = all)));
    for (const event of ['chunk', 'end', 'error']) stream.on(event, () => seen[event]++);
    const completion = await stream.finalChatCompletion();
    assert.equal(snapshot, 'alpha beta gamma delta');
    assert.ok(seen.content >= 5 && seen.chunk > seen.content);
    assert.deepEqual([seen.end, seen.error], [1, 0]);
    assert.equal(completion.choices[0].message.content, 'alpha beta gamma delta');
    assert.equal(completion.choices[0].finish_reason, 'stop');
    assert.equal(completion.usage.completion_tokens, 9);
    assert.equal(await stream.finalContent(), 'alpha beta gamma delta');
  });

  it('reasoning that comes unasked stays out of the content', async () => {
    const ordered = '[[sim: blocks=think,text think=text text="the answer"]]';
    const whole = await create(ordered);
    const stream = await collect(await create(ordered, { stream: true }));
    assert.equal(whole.choices[0].message.content, 'the answer');
    assert.equal(stream.content, 'the answer');
    const reasoning = stream.chunks.map((chunk) => chunk.choices[0].delta.reasoning_content ?? '').join('');
    assert.ok(reasoning.length > 0);
    assert.equal(whole.choices[0].message.reasoning_content, reasoning);
  });

  it('odd upstream framing changes nothing', async () => {
    for (const oddity of ['split=1', 'eol=crlf split=3', 'eol=cr', 'nopad', 'pings=5', 'starts=2', 'deltas=2', 'usage=short', 'whole', 'unknown', 'blocks=empty,text,unknown']) {
      const ordered = `[[sim: text="Zürich 漢字 👍 end" piece=2 ${oddity}]]`;
      const stream = await collect(await create(ordered, { stream: true }));
      assert.equal(stream.content, 'Zürich 漢字 👍 end', oddity);
      assert.equal(stream.chunks.at(-1).choices[0].finish_reason, 'stop', oddity);
      assert.equal((await create(ordered)).choices[0].message.content, 'Zürich 漢字 👍 end', oddity);
    }
  });

  it('pings reach the client as comments that it does not notice', async () => {
    const answer = await fetch(`http://127.0.0.1:${proxy.port}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${PROXY_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, messages: user('[[sim: text="a b c d e f" piece=1 gap=60ms ping_every=20ms]]'), stream: true }),
    });
    assert.match(await answer.text(), /^:/m);
  });

  it('a stream longer than REQUEST_TIMEOUT is healthy while events come', async () => {
    const stream = await collect(await create('[[sim: text="abcdefghij" piece=1 gap=300ms nopad]]', { stream: true }));
    assert.equal(stream.content, 'abcdefghij');
  });
});

describe('structured outputs', () => {
  const schema = {
    type: 'object',
    properties: { title: { type: 'string' }, year: { type: 'integer', minimum: 0 }, tags: { type: 'array', items: { type: 'string' } } },
    required: ['title', 'year', 'tags'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema', json_schema: { name: 'book', strict: true, schema } };

  function checkBook(book) {
    assert.equal(typeof book.title, 'string');
    assert.ok(Number.isInteger(book.year));
    assert.ok(Array.isArray(book.tags));
  }

  it('.parse() with a JSON schema', async () => {
    const completion = await client.chat.completions.parse({ model: MODEL, messages: user('A book.'), response_format: format });
    const { message } = completion.choices[0];
    checkBook(message.parsed ?? JSON.parse(message.content));
    const { body } = recorder.last;
    assert.equal(body.output_config.format.type, 'json_schema');
    assert.equal('minimum' in body.output_config.format.schema.properties.year, false);
  });

  it('.parse() with a parser of its own, as the zod helper makes', async () => {
    const own = Object.defineProperties({ ...format }, {
      $brand: { value: 'auto-parseable-response-format', enumerable: false },
      $parseRaw: { value: (text) => { const book = JSON.parse(text); checkBook(book); return book; }, enumerable: false },
    });
    const completion = await client.chat.completions.parse({ model: MODEL, messages: user('A book.'), response_format: own });
    checkBook(completion.choices[0].message.parsed);
    const stream = client.chat.completions.stream({ model: MODEL, messages: user('A book.'), response_format: own });
    const final = await stream.finalChatCompletion();
    checkBook(final.choices[0].message.parsed);
  });

  it('.parse() of a truncated or refused answer raises', async () => {
    const parse = (content) => client.chat.completions.parse({ model: MODEL, messages: user(content), response_format: format });
    assert.ok((await errorOf(parse('[[sim: text="{" stop=max_tokens]]'))) instanceof LengthFinishReasonError);
    assert.ok((await errorOf(parse('[[sim: text="{" stop=refusal]]'))) instanceof ContentFilterFinishReasonError);
  });

  it('json_object: the fence of an answer is taken off, in streams too', async () => {
    for (const piece of [1, 3, 100]) {
      const ordered = `Give me JSON. [[sim: text="{\\"a\\":[1,2]}" fence piece=${piece}]]`;
      const more = { response_format: { type: 'json_object' } };
      assert.equal((await create(ordered, more)).choices[0].message.content, '{"a":[1,2]}');
      const stream = await collect(await create(ordered, { ...more, stream: true }));
      assert.equal(stream.content, '{"a":[1,2]}');
    }
  });
});

describe('models', () => {
  it('list joins the pages', async () => {
    const ids = [];
    for await (const model of client.models.list()) {
      assert.equal(model.object, 'model');
      assert.equal(model.owned_by, 'anthropic');
      assert.ok(Number.isInteger(model.created));
      ids.push(model.id);
    }
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.includes('claude-haiku-5-5') && ids.includes('claude-opus-5-5') && !ids.includes('claude-3-haiku-20240307'));
  });

  it('retrieve: one, a retired one, an unknown one', async () => {
    assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
    const retired = await client.models.retrieve('claude-3-haiku-20240307');
    assert.equal(retired.lifecycle, 'retired');
    assert.match(retired.resolves_to, /^claude-haiku-/);
    const error = await errorOf(client.models.retrieve('no-such-model'));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
  });
});

describe('errors', () => {
  const classes = [
    ['400', 'status=400 message="messages.0: bad thing"', OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' }],
    ['400, too long', 'status=400 message="prompt is too long: 300000 tokens > 200000 maximum"', OpenAI.BadRequestError, { code: 'context_length_exceeded', param: 'messages' }],
    ['401', 'status=401', OpenAI.AuthenticationError, { code: 'invalid_api_key' }],
    ['402', 'status=402', OpenAI.RateLimitError, { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' }],
    ['403', 'status=403', OpenAI.PermissionDeniedError, { code: 'permission_denied' }],
    ['404', 'status=404 message="model: claude-x"', OpenAI.NotFoundError, { code: 'model_not_found', param: 'model' }],
    ['409', 'status=409', OpenAI.ConflictError, { code: 'conflict' }],
    ['413', 'status=413', OpenAI.APIError, { status: 413, code: 'request_too_large' }],
    ['413 as HTML', 'status=413 body=html', OpenAI.APIError, { status: 413 }],
    ['422', 'status=422', OpenAI.UnprocessableEntityError, { status: 422 }],
    ['429', 'status=429 retry_after=7', OpenAI.RateLimitError, { code: 'rate_limit_exceeded' }],
    ['500', 'status=500', OpenAI.InternalServerError, { status: 500, type: 'server_error' }],
    ['503', 'status=503', OpenAI.InternalServerError, { status: 503, type: 'server_error' }],
    ['504', 'status=504', OpenAI.InternalServerError, { status: 504, code: 'timeout' }],
    ['529', 'status=529', OpenAI.InternalServerError, { status: 503, code: 'overloaded' }],
    ['502 with HTML', 'status=502 body=html', OpenAI.InternalServerError, { type: 'server_error' }],
    ['500 with nothing', 'status=500 body=empty', OpenAI.InternalServerError, { status: 500 }],
    ['500 with garbage', 'status=500 body=garbage', OpenAI.InternalServerError, { status: 500 }],
    ['error as the first event', 'error=overloaded_error after=start', OpenAI.InternalServerError, { status: 503, code: 'overloaded' }],
    ['error behind message_start', 'blocks=none error=overloaded_error after=0', OpenAI.InternalServerError, { status: 503, code: 'overloaded' }],
    ['garbage instead of events', 'garbage=start', OpenAI.InternalServerError, { status: 502 }],
    ['connection cut before the head', 'cut=head', OpenAI.InternalServerError, { status: 502 }],
    ['connection cut before the first event', 'cut=start', OpenAI.InternalServerError, { status: 502 }],
    ['ended before the first event', 'end=start', OpenAI.InternalServerError, { status: 502 }],
  ];
  for (const stream of [false, true])
    for (const [name, directives, cls, expected] of classes)
      it(`${name}${stream ? ', streaming' : ''}`, async () => {
        const error = await errorOf(create(`[[sim: ${directives}]]`, { stream }));
        assert.ok(error instanceof cls, `${error?.constructor?.name}: ${error}`);
        for (const [field, value] of Object.entries(expected)) assert.equal(error[field], value, field);
        assert.equal(typeof error.error.message, 'string');
        assert.ok(error.error.message.length > 0);
        assert.ok(error.requestID);
      });

  it("a 429 carries the upstream's wait, at most one that the SDK heeds", async () => {
    const short = await errorOf(create('[[sim: status=429 retry_after=7]]'));
    assert.equal(short.headers.get('retry-after'), '7');
    const long = await errorOf(create('[[sim: status=429 retry_after=120]]'));
    assert.equal(long.headers.get('retry-after'), '120');
    assert.equal(long.headers.get('x-should-retry'), 'false');
    const { response } = await create('[[sim: retry_after=12 text=x]]').withResponse();
    assert.equal(response.headers.get('retry-after'), null);
  });

  it('a wrong key is an AuthenticationError, whatever the route', async () => {
    const other = makeClient({ apiKey: 'wrong' });
    for (const ask of [() => other.models.list(), () => other.chat.completions.create({ model: MODEL, messages: user('Hi') })]) {
      const error = await errorOf(ask());
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.code, 'invalid_api_key');
      assert.doesNotMatch(error.message, new RegExp(PROXY_KEY));
    }
  });

  for (const [name, directives, code] of [
    ['an error event behind content_block_start', 'error=overloaded_error after=0', 'overloaded'],
    ['an error event within a stream', 'error=overloaded_error after=3', 'overloaded'],
    ['an upstream that is cut', 'cut=3', 'upstream_disconnected'],
    ['an upstream that ends early', 'end=3', 'upstream_disconnected'],
    ['an upstream that turns to garbage', 'garbage=3', undefined],
    ['an upstream that stalls', 'stall=3', 'timeout'],
  ]) {
    const ordered = `[[sim: text="one two three four five six seven eight" piece=4 gap=5ms ${directives}]]`;
    it(`${name} raises in for await, after the text so far`, async () => {
      const stream = await create(ordered, { stream: true });
      let content = '';
      const error = await errorOf((async () => {
        for await (const chunk of stream) content += chunk.choices[0].delta.content ?? '';
      })());
      assert.ok(error instanceof OpenAI.APIError);
      if (code) assert.equal(error.code, code);
      assert.ok('one two three four five six seven eight'.startsWith(content), content);
      assert.equal(content.length > 0, !directives.includes('after=0'));
    });
    it(`${name} raises from the .stream() helper`, async () => {
      const stream = client.chat.completions.stream({ model: MODEL, messages: user(ordered) });
      assert.ok((await errorOf(stream.finalChatCompletion())) instanceof OpenAI.OpenAIError);
    });
    it(`${name} is a 5xx where no stream was asked for`, async () => {
      const error = await errorOf(create(ordered));
      assert.ok(error instanceof OpenAI.InternalServerError, String(error));
    });
  }

  it('a stall before the first event is a 504 after REQUEST_TIMEOUT', async () => {
    for (const place of ['head', 'start']) {
      const started = performance.now();
      const error = await errorOf(create(`[[sim: stall=${place}]]`, { stream: true }));
      const ms = performance.now() - started;
      assert.equal(error.status, 504, place);
      assert.equal(error.code, 'timeout');
      assert.ok(ms > 1900 && ms < 4000, `${ms} ms`);
    }
  });

  it('a grammar excuses no silence behind the first event', async () => {
    const response_format = { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object', properties: {}, additionalProperties: false } } };
    const started = performance.now();
    const error = await errorOf(create('[[sim: stall=1]]', { response_format }));
    const ms = performance.now() - started;
    assert.equal(error.status, 504);
    assert.ok(ms > 1900 && ms < 4000, `${ms} ms`);
  });

  it('the SDK retries what can be retried and nothing else', async () => {
    const patient = makeClient({ maxRetries: 1 });
    for (const [directives, calls] of [['status=429 retry_after=0', 2], ['status=400', 1], ['status=402', 1], ['status=429 retry_after=120', 1]]) {
      const before = recorder.messages.length;
      await errorOf(patient.chat.completions.create({ model: MODEL, messages: user(`[[sim: ${directives}]]`) }));
      assert.equal(recorder.messages.length - before, calls, directives);
    }
  });
});

describe('abort', () => {
  async function measure(label, content, more, waitForFirst) {
    const tag = `abort-${label}-${Date.now()}`;
    const controller = new AbortController();
    const promise = create(`${tag} ${content}`, more, { signal: controller.signal });
    let iterator;
    if (waitForFirst) {
      iterator = (await promise)[Symbol.asyncIterator]();
      for (let i = 0; i < 3; i++) await iterator.next();
    } else {
      promise.catch(() => {});
      await until('the upstream has the request', () => recorder.find(tag));
    }
    const at = Date.now();
    controller.abort();
    if (iterator) while (!(await iterator.next().catch(() => ({ done: true }))).done);
    else assert.ok((await errorOf(promise)) instanceof OpenAI.APIUserAbortError);
    return (await until('the upstream saw the abort', () => recorder.find(tag).abortedAtMs, 3000)) - at;
  }
  const slow = '[[sim: words=5000 gap=20ms]]';

  for (const [label, content, more, waitForFirst] of [
    ['waiting, not streamed', '[[sim: first=30s text=x]]', {}, false],
    ['waiting, streamed', '[[sim: first=30s text=x]]', { stream: true }, false],
    ['streaming', slow, { stream: true }, true],
    ['answer under way, not streamed', slow, {}, false],
  ])
    it(`${label}: the upstream sees it within ${ABORT_MS_MAX} ms`, async (t) => {
      const ms = [];
      for (let i = 0; i < 5; i++) ms.push(await measure(label.replaceAll(/\W+/g, '-') + i, content, more, waitForFirst));
      t.diagnostic(`upstream saw the abort after ${ms.join(', ')} ms`);
      assert.ok(Math.max(...ms) <= ABORT_MS_MAX, `${ms} ms`);
    });

  it('break out of for await cancels too', async () => {
    const tag = `break-${Date.now()}`;
    for await (const chunk of await create(`${tag} ${slow}`, { stream: true })) if (chunk.choices[0].delta.content) break;
    await until('the upstream saw it', () => recorder.find(tag).abortedAtMs, 1000);
  });
});
