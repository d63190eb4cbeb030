// More than one upstream call for a request: 400s that are mended unseen, several choices,
// and answers that the upstream pauses.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import OpenAI from 'openai';

import { Connection, ask, chat, eventData, request, send } from './lib/http.mjs';
import { PROXY_KEY, SAMPLING_MODEL, sleep, startProxy, startSim, until } from './lib/process.mjs';

const NEWEST = 'claude-opus-5-5';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());
beforeEach(() => send(sim.port, request('POST', '/__sim/reset')));

const stats = async () => (await send(sim.port, request('GET', '/__sim/stats'))).json;
/** What the simulator got at /v1/messages, oldest first. */
async function received() {
  const all = (await stats()).recent.filter((call) => call.request === 'POST /v1/messages');
  return all.sort((a, b) => a.at_us - b.at_us);
}
async function withProxy(env, use, upstream = sim) {
  const proxy = await startProxy(upstream, { WORKERS: '1', ...env });
  try {
    await use((body, options) => send(proxy.port, chat(body, options)), proxy);
  } finally {
    await proxy.stop();
  }
}
const lastLine = (proxy) => proxy.stderr.split('\n').findLast((line) => line.includes('/v1/chat/completions'));

describe('400s that are mended', () => {
  const user = { role: 'user', content: '' };
  const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };
  const cases = [
    { refuse: 'sampling', body: { model: SAMPLING_MODEL, temperature: 0.5 }, ignored: 'temperature',
      check: ({ body }) => assert.ok(!('temperature' in body)) },
    { refuse: 'sampling', what: "the operator's own default", body: { model: SAMPLING_MODEL },
      check: ({ body }) => assert.ok(!('temperature' in body)) },
    { refuse: 'version', body: { model: NEWEST }, modified: 'anthropic-version=2023-06-01',
      check: ({ headers }) => assert.equal(headers['anthropic-version'], '2023-06-01') },
    { refuse: 'prefill', body: { model: SAMPLING_MODEL, messages: [user, { role: 'assistant', content: 'Once' }] },
      modified: 'messages(continue)', check: ({ body }) => assert.equal(body.messages.at(-1).role, 'user') },
    { refuse: 'system_role', body: { model: NEWEST, messages: [user, { role: 'system', content: 'Be late.' }] },
      modified: 'messages(system->first)', check: ({ body }) => assert.equal(body.system[0].text, 'Be late.') },
    { refuse: 'assistant_first', what: 'trap 16: assistant_first', body: { model: NEWEST, messages: [{ role: 'assistant', content: 'Hello' }, user] },
      modified: 'messages(user->first)', check: ({ body }) => assert.equal(body.messages[0].content[0].text, '...') },
    { refuse: 'schema', what: 'trap 122: a strict tool', isOfRequest: true, modified: 'tools.strict=false(upstream)',
      body: { model: NEWEST, tools: [{ type: 'function', function: { name: 'count', parameters: schema, strict: true } }] },
      check: ({ body }) => assert.ok(!body.tools[0].strict) },
    { refuse: 'forced_tools', body: { model: SAMPLING_MODEL, tools: [{ type: 'function', function: { name: 'count', parameters: schema } }], tool_choice: 'required' },
      modified: 'tool_choice=auto(model)', check: ({ body }) => assert.ok(!['any', 'tool'].includes(body.tool_choice?.type)) },
    { refuse: 'none', what: 'a signature that the upstream does not know', isOfRequest: true, ignored: 'messages.thinking_blocks',
      body: { model: NEWEST, messages: [user, { role: 'assistant', content: 'b', thinking_blocks: [{ type: 'thinking', thinking: 't', signature: 'c2ln' }] }, user] },
      check: ({ body }) => assert.ok(!JSON.stringify(body).includes('c2ln')) },
    { refuse: 'no_tools', what: 'calls in the history, but no tools',
      body: { model: NEWEST, messages: [user, { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f.g', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'a', content: 'x' }, user] },
      check: ({ body }) => assert.deepEqual([body.tools, body.tool_choice], [[{ name: 'f_g', input_schema: { type: 'object' } }], { type: 'none' }]) },
    { refuse: 'schema', isOfRequest: true, modified: 'response_format(best-effort)',
      body: { model: NEWEST, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } },
      check: ({ body }) => assert.ok(!body.output_config?.format && /JSON Schema/.test(body.system.at(-1).text)) },
  ];
  for (const { refuse, what = refuse, body, ignored, modified, isOfRequest, check } of cases) {
    for (const stream of [false, true])
      it(`${what}${stream ? ', streamed' : ''}: once for the first request, never for the second`, async () => {
        await withProxy({}, async (post, proxy) => {
          const content = `${refuse === 'none' ? '' : `[[sim: refuse=${refuse}]] `}Hi`;
          const messages = (body.messages ?? [user]).map((m) => (m.role === 'user' ? { ...m, content } : m));
          for (const calls of [2, isOfRequest ? 4 : 3]) {
            const answer = await post({ ...body, messages, stream });
            assert.equal(answer.status, 200, answer.text);
            assert.equal(answer.headers['x-modified-params'], modified);
            assert.equal(answer.headers['x-ignored-params'], ignored);
            if (stream) assert.equal(eventData(answer.text).at(-1), '[DONE]');
            const all = await received();
            assert.equal(all.length, calls);
            assert.equal(all[0].status, 400);
            assert.equal(all.at(-1).status, 200);
            check(all.at(-1));
            await until('the access log', () => lastLine(proxy)?.includes('refused'));
            assert.match(lastLine(proxy), /refused/);
          }
          assert.match(proxy.stderr, /attempts"?[=:]2/);
        });
      });
  }

  it('two causes in one request, each once', async () => {
    await withProxy({}, async (post) => {
      const answer = await post({ model: NEWEST, messages: [{ role: 'user', content: '[[sim: refuse=version,system_role]]' }, { role: 'system', content: 'x' }] });
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers['x-modified-params'], 'messages(system->first),anthropic-version=2023-06-01');
      assert.equal((await received()).length, 3);
    });
  });

  it('never more than three attempts', async () => {
    await withProxy({}, async (post) => {
      const messages = [{ role: 'assistant', content: 'a' }, { role: 'user', content: '[[sim: refuse=version,system_role,assistant_first]]' }, { role: 'system', content: 'x' }];
      const answer = await post({ model: NEWEST, messages });
      assert.equal(answer.status, 400, answer.text);
      assert.equal((await received()).length, 3);
    });
  });

  for (const [what, content] of [
    ['a cause that nothing can be done about', '[[sim: status=400 message="role \'system\' is not supported on this model"]]'],
    ['another 400', '[[sim: status=400 message="prompt is too long: 5 tokens > 4 maximum"]]'],
    ['another status', '[[sim: status=500 message="`temperature` is deprecated for this model."]]'],
  ])
    it(`${what} is answered as it is, after one attempt`, async () => {
      await withProxy({}, async (post) => {
        const answer = await post(ask(content));
        assert.equal(answer.status, Number(/status=(\d+)/.exec(content)[1]));
        assert.equal((await received()).length, 1);
      });
    });

  it('STRICT: the refusal stands, for the repair would lose something', async () => {
    await withProxy({ STRICT: '1' }, async (post) => {
      const answer = await post({ model: NEWEST, messages: [{ role: 'user', content: '[[sim: refuse=system_role]]' }, { role: 'system', content: 'x' }] });
      assert.equal(answer.status, 400);
      assert.match(answer.json.error.message, /role 'system' is not supported/);
      assert.equal((await received()).length, 1);
    });
  });

  it('what one model refuses is asked of others', async () => {
    await withProxy({}, async (post) => {
      for (const model of ['claude-haiku-4-5', 'claude-sonnet-4-5']) assert.equal((await post({ ...ask('[[sim: refuse=sampling]]'), model })).status, 200);
      assert.equal((await received()).length, 4);
    });
  });

  it('a pinned version is not given up', async () => {
    await withProxy({ ANTHROPIC_VERSION: '2026-10-21' }, async (post) => {
      const answer = await post({ ...ask('[[sim: refuse=version]]'), model: NEWEST });
      assert.equal(answer.status, 400, answer.text);
      assert.equal((await received()).length, 1);
    });
  });

  it('a client that leaves meanwhile', async () => {
    await withProxy({}, async (post, proxy) => {
      const connection = await Connection.open(proxy.port);
      await connection.write(chat({ ...ask('[[sim: refuse=version first=100ms]]'), model: NEWEST }));
      await until('both calls', async () => (await stats()).requests >= 2);
      connection.close();
      await until('no call is left', async () => (await stats()).open === 0);
    });
  });
});

/** The choices of a stream, each joined; checks what must hold of all chunks together. */
function readChoices(text, n) {
  const data = eventData(text);
  assert.equal(data.pop(), '[DONE]');
  assert.ok(!data.includes('[DONE]'));
  const chunks = data.map((piece) => JSON.parse(piece));
  const choices = Array.from({ length: n }, () => ({ content: '', roles: 0, finish: null }));
  let usage;
  for (const chunk of chunks) {
    for (const field of ['id', 'model', 'created', 'object']) assert.equal(chunk[field], chunks[0][field], field);
    assert.equal(usage, undefined, 'usage is last');
    if (chunk.usage) usage = chunk.usage;
    for (const { index, delta, finish_reason: finish } of chunk.choices) {
      const choice = choices[index];
      assert.equal(choice.finish, null);
      assert.equal('role' in delta, choice.content === '' && choice.roles === 0, 'the role comes once, first');
      choice.roles += 'role' in delta ? 1 : 0;
      choice.content += delta.content ?? '';
      choice.finish = finish;
    }
  }
  return { choices, usage, chunks };
}

describe('n', () => {
  it('one answer with all choices, usage summed', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(ask('[[sim: text="two by two" input=10 output=3]]', { n: 8 }));
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(answer.json.choices.map(({ index }) => index), [0, 1, 2, 3, 4, 5, 6, 7]);
      for (const choice of answer.json.choices) {
        assert.equal(choice.message.content, 'two by two');
        assert.equal(choice.finish_reason, 'stop');
      }
      assert.equal(answer.json.usage.prompt_tokens, 80);
      assert.equal(answer.json.usage.completion_tokens, 24);
      assert.equal(answer.json.usage.total_tokens, 104);
      assert.equal((await received()).length, 8);
    });
  });

  it('one stream with all choices, one [DONE], usage summed', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(ask('[[sim: words=30 gap=1ms input=10 output=3]]', { n: 3, stream: true, stream_options: { include_usage: true } }));
      assert.equal(answer.status, 200, answer.text);
      const { choices, usage, chunks } = readChoices(answer.text, 3);
      for (const choice of choices) {
        assert.equal(choice.finish, 'stop');
        assert.equal(choice.roles, 1);
        assert.equal(choice.content.split(/\s+/).length, 30);
      }
      assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [30, 9, 39]);
      const order = chunks.flatMap((chunk) => chunk.choices.map(({ index }) => index)).join('');
      assert.doesNotMatch(order, /^0*1*2*$/, 'the choices are interleaved');
    });
  });

  it('the SDK reads both', async () => {
    await withProxy({}, async (post, proxy) => {
      const client = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
      const params = { ...ask('[[sim: text=same]]'), n: 2 };
      const whole = await client.chat.completions.create(params);
      assert.deepEqual(whole.choices.map(({ message }) => message.content), ['same', 'same']);
      const streamed = await client.chat.completions.stream({ ...params, stream: true }).finalChatCompletion();
      assert.deepEqual(streamed.choices.map(({ message }) => message.content), ['same', 'same']);
    });
  });

  it('an error before anything has flowed is an HTTP error, and all are over', async () => {
    await withProxy({}, async (post) => {
      for (const stream of [false, true]) {
        const answer = await post(ask('[[sim: status=529]]', { n: 4, stream }));
        assert.equal(answer.status, 503, answer.text);
        assert.equal(answer.json.error.code, 'overloaded');
      }
      await until('no call is left', async () => (await stats()).open === 0);
    });
  });

  it('an error behind that is an error chunk, and all are over', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(ask('[[sim: words=50 gap=2ms error=overloaded_error after=10]]', { n: 3, stream: true }));
      assert.equal(answer.status, 200);
      const data = eventData(answer.text);
      assert.ok(JSON.parse(data.at(-1)).error, answer.text.slice(-300));
      assert.equal(data.filter((piece) => JSON.parse(piece).error).length, 1);
      await until('no call is left', async () => (await stats()).open === 0);
    });
  });

  it('without streaming one that breaks off breaks all', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(ask('[[sim: words=50 cut=10]]', { n: 3 }));
      assert.equal(answer.status, 502, answer.text);
    });
  });

  it('a client that leaves ends them all', async () => {
    await withProxy({}, async (post, proxy) => {
      const connection = await Connection.open(proxy.port);
      await connection.write(chat(ask('[[sim: words=10000 gap=5ms]]', { n: 8, stream: true })));
      await until('eight calls', async () => (await stats()).open === 8);
      await connection.wait('the first content', (c) => c.data.includes('"content":"'));
      connection.close();
      await until('no call is left', async () => (await stats()).open === 0);
      assert.equal((await stats()).aborted, 8);
    });
  });

  it('a client that does not read holds all of them back', async () => {
    await withProxy({}, async (post, proxy) => {
      const connection = await Connection.open(proxy.port);
      connection.socket.pause();
      await connection.write(chat(ask('[[sim: words=200000]]', { n: 2, stream: true })));
      await sleep(700);
      assert.equal((await stats()).open, 2);
      connection.socket.resume();
      const answer = await connection.answer({ ms: 30_000 });
      for (const choice of readChoices(answer.text, 2).choices) assert.equal(choice.content.split(/\s+/).length, 200000);
      connection.close();
    });
  });

  it('the limits are reserved for all', async () => {
    await withProxy({ REQUESTS_PER_MINUTE: '10', TOKENS_PER_MINUTE: '60000' }, async (post) => {
      const begun = Date.now();
      const first = await post(ask('[[sim: text=x input=100 output=50]]', { n: 4 }));
      assert.equal(first.status, 200, first.text);
      assert.equal(Number(first.headers['x-ratelimit-remaining-requests']), 6);
      const second = await post(ask('[[sim: text=x]]'));
      const left = Number(second.headers['x-ratelimit-remaining-tokens']);
      const regained = Date.now() - begun; // one a millisecond
      assert.ok(left <= 60000 - 600 + regained && left >= 60000 - 1300, `${left} tokens are left`);
      const third = await post(ask('[[sim: text=x]]', { n: 8 }));
      assert.equal(third.status, 429, third.text);
      assert.equal(third.json.error.type, 'requests');
      assert.equal(Number(third.headers['x-ratelimit-remaining-requests']), 5, 'what was refused does not count');
    });
  });

  it('a refusal is learned by all together', async () => {
    await withProxy({}, async (post) => {
      const answer = await post({ ...ask('[[sim: refuse=version text=x]]', { n: 3 }), model: NEWEST });
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(answer.json.choices.map(({ message }) => message.content), ['x', 'x', 'x']);
      assert.equal((await received()).filter(({ status }) => status === 200).length, 3);
    });
  });

  it('JSON mode: the fence of each choice is stripped', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(ask('[[sim: fence text="{\\"a\\":1}"]]', { n: 2, response_format: { type: 'json_object' } }));
      assert.equal(answer.status, 200, answer.text);
      for (const { message } of answer.json.choices) assert.deepEqual(JSON.parse(message.content), { a: 1 });
    });
  });
});

describe('paused turns', () => {
  const tools = [{ type: 'web_search_20250305', name: 'web_search' }];
  const search = (directives, more = {}) => ask(`Look it up. [[sim: stop=pause_turn ${directives}]]`, { model: 'claude-sonnet-4-5', tools, ...more });

  for (const stream of [false, true])
    it(`trap 61: continued unseen, usage summed${stream ? ', streamed' : ''}`, async () => {
      await withProxy({}, async (post, proxy) => {
        const answer = await post(search('pauses=3 text=found input=100 output=7', { stream, ...(stream ? { stream_options: { include_usage: true } } : {}) }));
        assert.equal(answer.status, 200, answer.text);
        let content, usage;
        if (stream) {
          const read = readChoices(answer.text, 1);
          assert.equal(read.choices[0].roles, 1);
          assert.equal(read.choices[0].finish, 'stop');
          ({ usage } = read);
          ({ content } = read.choices[0]);
        } else {
          assert.equal(answer.json.choices[0].finish_reason, 'stop');
          ({ usage } = answer.json);
          ({ content } = answer.json.choices[0].message);
        }
        assert.equal(content.match(/found/g).length, 4);
        assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [400, 28]);
        const all = await received();
        assert.deepEqual(all.map(({ status }) => status), [200, 200, 200, 200]);
        for (const [i, { body }] of all.entries()) {
          assert.deepEqual({ ...body, messages: body.messages.slice(0, 1) }, { ...all[0].body, messages: all[0].body.messages });
          assert.equal(body.messages.length, i ? 2 : 1);
          const searches = (body.messages[1]?.content ?? []).filter(({ type }) => type === 'server_tool_use');
          assert.equal(searches.length, i);
        }
        await until('the access log', () => /continuations"?[=:]3/.test(proxy.stderr));
      });
    });

  it('at most ten times', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(search('pauses=20 text=x'));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json.choices[0].finish_reason, 'stop');
      assert.equal((await received()).length, 11);
    });
  });

  it('each choice for itself', async () => {
    await withProxy({}, async (post) => {
      const answer = await post(search('text=x input=10 output=1', { n: 3 }));
      assert.equal(answer.status, 200, answer.text);
      for (const { message } of answer.json.choices) assert.equal(message.content.match(/x/g).length, 2);
      assert.equal(answer.json.usage.prompt_tokens, 60);
      assert.equal((await received()).length, 6);
    });
  });

  it('a client that leaves between', async () => {
    await withProxy({}, async (post, proxy) => {
      const connection = await Connection.open(proxy.port);
      await connection.write(chat(search('pauses=50 words=20 gap=5ms', { stream: true })));
      await until('the third call', async () => (await stats()).requests >= 3);
      connection.close();
      await until('no call is left', async () => (await stats()).open === 0);
      assert.ok((await stats()).requests < 10);
    });
  });

  it('the tokens of all calls are settled', async () => {
    await withProxy({ TOKENS_PER_MINUTE: '60000' }, async (post) => {
      assert.equal((await post(search('pauses=3 text=x input=1000 output=0'))).status, 200);
      const left = Number((await post(ask('[[sim: text=x]]'))).headers['x-ratelimit-remaining-tokens']);
      assert.ok(left <= 56_100 && left > 55_000, `${left} tokens are left`);
    });
  });
});

describe('what was not done as asked', () => {
  it('stands in the access log, and is counted over all workers', async () => {
    let stderr;
    await withProxy({ WORKERS: '2', LOG_FORMAT: 'json', REQUESTS_PER_MINUTE: '0', TOKENS_PER_MINUTE: '0' }, async (post, proxy) => {
      stderr = () => proxy.stderr;
      for (let i = 0; i < 6; i++) assert.equal((await post({ ...ask('Hi'), model: NEWEST, seed: i, [`junk_${i}`]: 1, max_tokens: 9e8 })).status, 200);
      const history = [{ role: 'user', content: 'a' }, { role: 'tool', tool_call_id: 'x', content: 'y' }];
      assert.equal((await post({ model: NEWEST, messages: history })).status, 200);
      assert.equal((await post({ ...ask('[[sim: refuse=sampling]]'), model: SAMPLING_MODEL, temperature: 0.5 })).status, 200);
      await until('all lines', () => stderr().split('\n').filter((line) => line.includes('/v1/chat/completions')).length === 8);
    });
    const lines = stderr().split('\n').filter(Boolean).map((line) => JSON.parse(line));
    const first = lines.find((line) => line.path === '/v1/chat/completions');
    assert.deepEqual([first.ignored, first.modified], ['seed,junk_0', 'max_tokens=128000(clamped)']);
    const mended = lines.find((line) => line.learned);
    assert.deepEqual([mended.learned, mended.refused, mended.attempts, mended.ignored], ['sampling', 'sampling', 2, 'temperature']);
    const totals = Object.fromEntries(lines.filter((line) => line.counts).map((line) => [line.kind, line.counts.split(',').sort().join()]));
    assert.deepEqual(totals, {
      ignored: 'seed=6,temperature=1,unknown=6',
      modified: 'max_tokens(clamped)=6,messages(tool->user)=1',
      learned: 'sampling=1',
    });
  });
});
