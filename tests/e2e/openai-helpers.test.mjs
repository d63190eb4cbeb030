// The helpers of the official openai SDK, which read more of an answer than create() does:
// - runTools(): several turns, parallel calls, an error of a tool, a limit of turns, an end from
//   within, streamed and not; zodFunction tools;
// - parse() with zodResponseFormat (nested, nullable, enum, array, union) and zodFunction tools,
//   refused and truncated answers;
// - stream(): content.*, refusal.*, tool_calls.function.arguments.* events, parsed while it comes,
//   toReadableStream() and fromReadableStream(), abort; for await, tee(), n;
// - images (data URL, https URL), PDF and text files, in user messages and in results of tools;
// - logprobs, asked for in vain.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';
import { LengthFinishReasonError, ContentFilterFinishReasonError } from 'openai/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream';
import { Stream } from 'openai/streaming';
import { z } from 'zod';

import { PDF, PNG, argsOf, dataUrl, jsonOf } from './lib/content.mjs';
import { MODEL, PROXY_KEY, until } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

let stage, recorder, proxy, client;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
});
after(() => clearStage(stage));

const user = (content) => [{ role: 'user', content }];
const MODES = [['whole', {}], ['streamed', { stream: true }]];

/** The blocks of one type that the upstream got in its last request. */
const blocksUp = (type) => recorder.last.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter((block) => block.type === type);

describe('runTools', () => {
  const runnable = (name, run) => ({
    type: 'function',
    function: {
      name,
      description: `Asks for ${name}.`,
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
      parse: JSON.parse,
      function: run,
    },
  });

  for (const [mode, more] of MODES) {
    it(`${mode}: several turns to the answer`, async () => {
      const called = [];
      const tools = ['get_weather', 'get_time'].map((name) => runnable(name, ({ city }) => { called.push(name); return `${name} of ${typeof city}`; }));
      const run = client.chat.completions.runTools({ model: MODEL, messages: user('Go on. [[sim: loop=4]]'), tools, ...more });
      const seen = [];
      run.on('functionToolCall', ({ name }) => seen.push(name)).on('functionToolCallResult', (result) => seen.push(result));
      assert.match(await run.finalContent(), /of string/);
      assert.deepEqual(called, ['get_weather', 'get_time', 'get_weather', 'get_time']);
      assert.deepEqual(seen, called.flatMap((name) => [name, `${name} of string`]));
      assert.equal(run.allChatCompletions().length, 5);
      const usage = await run.totalUsage();
      if (mode === 'whole') assert.ok(usage.total_tokens > 0);
      assert.deepEqual(blocksUp('tool_result').map((block) => block.tool_use_id), blocksUp('tool_use').map((block) => block.id));
    });

    it(`${mode}: parallel calls, each with its own result`, async () => {
      const tools = ['get_weather', 'get_time'].map((name) => runnable(name, () => `${name}!`));
      const run = client.chat.completions.runTools({ model: MODEL, messages: user('get_weather and get_time, please [[sim: calls=2]]'), tools, ...more });
      await run.done();
      const [calls] = run.messages.filter((message) => message.tool_calls);
      assert.deepEqual(calls.tool_calls.map((call) => call.function.name), ['get_weather', 'get_time', 'get_weather', 'get_time']);
      assert.equal(new Set(calls.tool_calls.map((call) => call.id)).size, 4);
      const results = recorder.last.body.messages.at(-1).content;
      assert.deepEqual(results.map((block) => block.type), Array(4).fill('tool_result'));
      assert.deepEqual(results.map((block) => JSON.stringify(block.content).includes('get_weather!')), [true, false, true, false]);
    });

    it(`${mode}: arguments through a zodFunction`, async () => {
      const got = [];
      const args = { city: 'São Paulo "x"', days: 3 };
      const tool = zodFunction({ name: 'get_weather', parameters: z.object({ city: z.string(), days: z.number().int() }), function: (input) => { got.push(input); return 'sunny'; } });
      const run = client.chat.completions.runTools({ model: MODEL, messages: user(`get_weather, please [[sim: piece=3 ${argsOf(args)}]]`), tools: [tool], ...more });
      await run.done();
      assert.deepEqual(got, [args]);
      assert.deepEqual(blocksUp('tool_use').map((block) => block.input), [args]);
    });

    it(`${mode}: a tool is told what was wrong with its arguments`, async () => {
      const tool = runnable('get_weather', () => 'sunny');
      tool.function.parse = () => { throw new Error('no such city'); };
      const run = client.chat.completions.runTools({ model: MODEL, messages: user('get_weather, please'), tools: [tool], ...more });
      await run.done();
      assert.match(JSON.stringify(blocksUp('tool_result')), /no such city/);
    });

    it(`${mode}: a limit of turns and an end by abort()`, async () => {
      const limited = client.chat.completions.runTools({ model: MODEL, messages: user('Go on. [[sim: loop=9]]'), tools: [runnable('get_weather', () => 'x')], ...more }, { maxChatCompletions: 2 });
      await limited.done().catch(() => {});
      assert.equal(limited.allChatCompletions().length, 2);
      const stopped = client.chat.completions.runTools({ model: MODEL, messages: user('Go on. [[sim: loop=9]]'), tools: [runnable('get_weather', (_, runner) => { runner.abort(); return 'x'; })], ...more });
      await assert.rejects(stopped.done(), OpenAI.APIUserAbortError);
      assert.equal(stopped.allChatCompletions().length, 1);
    });
  }
});

describe('zod', () => {
  const Report = z.object({
    title: z.string(),
    kind: z.enum(['news', 'essay']),
    pages: z.number().int(),
    rating: z.number().nullable(),
    isDraft: z.boolean(),
    authors: z.array(z.object({ name: z.string(), born: z.union([z.number(), z.string()]) })),
  });

  it('parse() gives the typed object', async () => {
    const completion = await client.chat.completions.parse({ model: MODEL, messages: user('A report.'), response_format: zodResponseFormat(Report, 'report') });
    const { parsed, content } = completion.choices[0].message;
    assert.deepEqual(Report.parse(parsed), JSON.parse(content));
    assert.equal(recorder.last.body.output_config.format.type, 'json_schema');
  });

  it('stream() gives the same, and parts of it while it comes', async () => {
    const value = { title: 'Grüße 👋', kind: 'essay', pages: 3, rating: null, isDraft: false, authors: [{ name: 'A', born: 1900 }, { name: 'B', born: 'long ago' }] };
    const stream = client.chat.completions.stream({
      model: MODEL,
      messages: user(`A report. [[sim: piece=4 ${jsonOf(value)}]]`),
      response_format: zodResponseFormat(Report, 'report'),
    });
    const partial = [];
    const done = [];
    stream.on('content.delta', ({ parsed }) => partial.push(parsed)).on('content.done', (event) => done.push(event));
    const completion = await stream.finalChatCompletion();
    assert.deepEqual(completion.choices[0].message.parsed, value);
    assert.ok(partial.some((part) => part?.title === value.title && !('authors' in part)));
    assert.deepEqual(done.map((event) => event.parsed), [value]);
  });

  it('constraints that the upstream cannot hold are held by zod', async () => {
    const Short = z.object({ name: z.string().max(3), n: z.number().min(5).max(6) });
    const ask = (value) => client.chat.completions.parse({ model: MODEL, messages: user(`Short. [[sim: ${jsonOf(value)}]]`), response_format: zodResponseFormat(Short, 'short') });
    assert.deepEqual((await ask({ name: 'abc', n: 5 })).choices[0].message.parsed, { name: 'abc', n: 5 });
    assert.match(JSON.stringify(recorder.last.body.output_config.format.schema), /description/);
    await assert.rejects(ask({ name: 'abcd', n: 5 }), z.ZodError);
  });

  it('zodFunction: parse() and stream() give parsed_arguments', async () => {
    const tool = zodFunction({ name: 'get_weather', parameters: z.object({ city: z.string(), unit: z.enum(['C', 'F']) }) });
    const args = { city: 'Rome', unit: 'C' };
    const request = { model: MODEL, messages: user(`get_weather, please [[sim: piece=2 ${argsOf(args)}]]`), tools: [tool] };
    const whole = await client.chat.completions.parse(request);
    assert.deepEqual(whole.choices[0].message.tool_calls[0].function.parsed_arguments, args);
    assert.equal(recorder.last.body.tools[0].strict, true);
    const final = await client.chat.completions.stream(request).finalChatCompletion();
    assert.deepEqual(final.choices[0].message.tool_calls[0].function.parsed_arguments, args);
  });

  it('a truncated and a refused answer raise, streamed too', async () => {
    for (const [directives, cls] of [['text="{" stop=max_tokens', LengthFinishReasonError], ['text="{" stop=refusal', ContentFilterFinishReasonError]]) {
      const request = { model: MODEL, messages: user(`[[sim: ${directives}]]`), response_format: zodResponseFormat(Report, 'report') };
      await assert.rejects(client.chat.completions.parse(request), cls);
      await assert.rejects(client.chat.completions.stream(request).finalChatCompletion(), cls);
    }
  });
});

describe('the events of stream()', () => {
  it('content', async () => {
    const stream = client.chat.completions.stream({ model: MODEL, messages: user('[[sim: text="alpha beta gamma" piece=4]]') });
    const deltas = [];
    const done = [];
    stream.on('content.delta', (event) => deltas.push(event)).on('content.done', (event) => done.push(event));
    await stream.done();
    assert.equal(deltas.map(({ delta }) => delta).join(''), 'alpha beta gamma');
    assert.equal(deltas.at(-1).snapshot, 'alpha beta gamma');
    assert.deepEqual(done.map(({ content }) => content), ['alpha beta gamma']);
  });

  it('a refusal', async () => {
    const stream = client.chat.completions.stream({ model: MODEL, messages: user('[[sim: blocks=none stop=refusal explanation="Not this."]]') });
    const seen = [];
    stream.on('refusal.delta', ({ delta }) => seen.push(delta)).on('refusal.done', ({ refusal }) => seen.push(`done: ${refusal}`));
    await stream.done().catch((error) => assert.ok(error instanceof ContentFilterFinishReasonError));
    assert.equal(seen.slice(0, -1).join(''), 'Not this.');
    assert.equal(seen.at(-1), 'done: Not this.');
  });

  it('arguments of parallel calls, each under its index', async () => {
    const args = { city: 'Zürich 漢字' };
    const tools = ['get_weather', 'get_time'].map((name) => ({ type: 'function', function: { name, parameters: { type: 'object', properties: { city: { type: 'string' } } } } }));
    const stream = client.chat.completions.stream({ model: MODEL, messages: user(`get_weather and get_time, please [[sim: piece=3 ${argsOf(args)}]]`), tools });
    const pieces = ['', ''];
    const done = [];
    stream.on('tool_calls.function.arguments.delta', ({ index, arguments_delta }) => (pieces[index] += arguments_delta));
    stream.on('tool_calls.function.arguments.done', ({ index, name, arguments: json }) => done.push([index, name, JSON.parse(json)]));
    const { choices } = await stream.finalChatCompletion();
    assert.deepEqual(pieces.map(JSON.parse), [args, args]);
    assert.deepEqual(done, [[0, 'get_weather', args], [1, 'get_time', args]]);
    assert.equal(choices[0].finish_reason, 'tool_calls');
  });

  it('go over a wire by toReadableStream() and fromReadableStream()', async () => {
    const request = { model: MODEL, messages: user('[[sim: text="alpha beta gamma" piece=4]]') };
    const stream = client.chat.completions.stream(request);
    const there = ChatCompletionStream.fromReadableStream(stream.toReadableStream());
    assert.equal(await there.finalContent(), 'alpha beta gamma');
    const raw = await client.chat.completions.create({ ...request, stream: true });
    let content = '';
    for await (const chunk of Stream.fromReadableStream(raw.toReadableStream(), new AbortController())) content += chunk.choices[0]?.delta.content ?? '';
    assert.equal(content, 'alpha beta gamma');
  });

  it('of a run of tools go over a wire, too', async () => {
    const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: {} }, parse: JSON.parse, function: () => 'sunny' } }];
    const run = client.chat.completions.runTools({ model: MODEL, stream: true, messages: user('Go on. [[sim: loop=2]]'), tools });
    const { ChatCompletionStreamingRunner } = await import('openai/lib/ChatCompletionStreamingRunner');
    const there = ChatCompletionStreamingRunner.fromReadableStream(run.toReadableStream());
    assert.match(await there.finalContent(), /sunny/);
  });

  it('abort() ends it, here and upstream', async () => {
    const tag = `helper-abort-${Date.now()}`;
    const stream = client.chat.completions.stream({ model: MODEL, messages: user(`${tag} [[sim: words=5000 gap=20ms]]`) });
    stream.once('content', () => stream.abort());
    await assert.rejects(stream.done(), OpenAI.APIUserAbortError);
    await until('the upstream saw it', () => recorder.find(tag).abortedAtMs, 1000);
  });

  it('an HTTP error is its error class', async () => {
    await assert.rejects(client.chat.completions.stream({ model: MODEL, messages: user('[[sim: status=429 retry_after=1]]') }).done(), OpenAI.RateLimitError);
    await assert.rejects(client.chat.completions.parse({ model: MODEL, messages: user('[[sim: status=404]]') }), OpenAI.NotFoundError);
  });
});

describe('streams of create()', () => {
  const contentOf = async (stream) => {
    let content = '';
    for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? '';
    return content;
  };

  it('tee() gives both readers everything', async () => {
    const stream = await client.chat.completions.create({ model: MODEL, messages: user('[[sim: words=300 piece=3]]'), stream: true });
    const [left, right] = stream.tee();
    const [a, b] = await Promise.all([contentOf(left), contentOf(right)]);
    assert.equal(a, b);
    assert.equal(a.split(' ').length, 300);
  });

  it('n: each choice whole, streamed and not', async () => {
    const request = { model: MODEL, messages: user('[[sim: text="alpha beta gamma" piece=3 gap=2ms]]'), n: 3 };
    const whole = await client.chat.completions.create(request);
    assert.deepEqual(whole.choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason]), [0, 1, 2].map((i) => [i, 'alpha beta gamma', 'stop']));
    const stream = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    assert.deepEqual(final.choices.map(({ index, message }) => [index, message.content]), [0, 1, 2].map((i) => [i, 'alpha beta gamma']));
    assert.equal(final.usage.completion_tokens, whole.usage.completion_tokens);
  });

  it('logprobs are ignored, and that is said', async () => {
    const request = { model: MODEL, messages: user('[[sim: text=x]]'), logprobs: true, top_logprobs: 3 };
    const { data, response } = await client.chat.completions.create(request).withResponse();
    assert.equal(data.choices[0].logprobs, null);
    assert.equal(response.headers.get('x-ignored-params'), 'logprobs,top_logprobs');
    const final = await client.chat.completions.stream(request).finalChatCompletion();
    assert.equal(final.choices[0].logprobs, null);
  });
});

describe('images and files', () => {
  const ask = async (parts, more) => {
    const request = { model: MODEL, messages: user([...parts, { type: 'text', text: '[[sim: text="I see."]]' }]), ...more };
    return more.stream ? (await client.chat.completions.stream(request).finalChatCompletion()).choices[0].message.content : (await client.chat.completions.create(request)).choices[0].message.content;
  };
  const image = (url) => ({ type: 'image_url', image_url: { url, detail: 'auto' } });
  const file = (type, bytes, filename) => ({ type: 'file', file: { filename, file_data: dataUrl(type, bytes) } });

  for (const [mode, more] of MODES) {
    it(`${mode}: images by data URL and by https URL`, async () => {
      assert.equal(await ask([image(dataUrl('image/png', PNG)), image('https://example.com/cat.jpg')], more), 'I see.');
      assert.deepEqual(blocksUp('image').map((block) => block.source), [
        { type: 'base64', media_type: 'image/png', data: PNG.toString('base64') },
        { type: 'url', url: 'https://example.com/cat.jpg' },
      ]);
    });

    it(`${mode}: PDF and text files`, async () => {
      assert.equal(await ask([file('application/pdf', PDF, 'a.pdf'), file('text/plain', Buffer.from('Grüße'), 'a.txt')], more), 'I see.');
      const [pdf, text] = blocksUp('document');
      assert.deepEqual(pdf.source, { type: 'base64', media_type: 'application/pdf', data: PDF.toString('base64') });
      assert.deepEqual(text.source, { type: 'text', media_type: 'text/plain', data: 'Grüße' });
      assert.deepEqual([pdf.title, text.title], ['a.pdf', 'a.txt']);
    });
  }

  it('what cannot be shown is refused by its place', async () => {
    for (const [part, param] of [
      [{ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }, 'messages[0].content[0]'],
      [image(dataUrl('image/svg+xml', Buffer.from('<svg/>'))), 'messages[0].content[0].image_url.url'],
    ]) {
      const error = await ask([part], {}).then(assert.fail, (e) => e);
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.ok(error.param.startsWith(param), error.param);
    }
  });

  it('an image in the result of a tool stays in the result', async () => {
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }];
    const messages = user('look, please');
    const first = await client.chat.completions.create({ model: MODEL, messages, tools });
    const [call] = first.choices[0].message.tool_calls;
    messages.push(first.choices[0].message, { role: 'tool', tool_call_id: call.id, content: [{ type: 'text', text: 'Here:' }, image(dataUrl('image/png', PNG))] });
    const second = await client.chat.completions.create({ model: MODEL, messages, tools });
    assert.equal(second.choices[0].finish_reason, 'stop');
    assert.deepEqual(blocksUp('tool_result')[0].content.map((block) => block.type), ['text', 'image']);
  });
});
