// Signed thinking that survives a client that knows nothing of it: agents and conversations by the
// plain openai SDK, which echoes no reasoning, on a simulator that enforces signatures and prefixes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { PROXY_KEY, sleep, startProxy, until } from './lib/process.mjs';
import { clearStage, setStage } from './lib/stage.mjs';

const TURNS = 10;
const LOST = 'messages(thinking_not_remembered)';
const MANUAL = 'claude-haiku-4-5';
const MODELS = {
  'claude-opus-4-8': 'adaptive',
  [MANUAL]: 'with a budget',
  'claude-fable-5-2': 'bound to its prompt for every account',
  'claude-opus-5-5': 'bound to its prompt',
  'claude-haiku-5-5': 'bound to its prompt',
};

const tools = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: { name, description: `Asks for ${name}.`, parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
}));

let stage, recorder, proxy;

before(async () => {
  stage = await setStage();
  ({ recorder, proxy } = stage);
  recorder.keepsAnswers = true;
});
after(() => clearStage(stage));

const connect = ({ port }, apiKey = PROXY_KEY) => new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey, maxRetries: 0 });

/** Starts a proxy for one test. */
async function withProxy(env, use) {
  const own = await startProxy(recorder, env);
  try {
    return await use(own);
  } finally {
    await own.stop();
  }
}

const isThought = ({ type }) => type === 'thinking' || type === 'redacted_thinking';

/** The thinking blocks of an answer as the upstream sent them. */
function issued(call) {
  const blocks = [];
  for (const line of call.answer.split('\n')) {
    if (!line.startsWith('data:')) continue;
    const { type, index, content_block: block, delta } = JSON.parse(line.slice(5));
    if (type === 'content_block_start') blocks[index] = { ...block };
    if (delta?.type === 'thinking_delta') blocks[index].thinking += delta.thinking;
    if (delta?.type === 'signature_delta') blocks[index].signature = delta.signature;
  }
  return blocks.filter(isThought);
}

/** The thinking blocks that a request sends back. */
const sentBack = (call) => call.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isThought) : []));

/** What a client that knows nothing of reasoning keeps of an answer. */
const plain = ({ role, content, tool_calls }) => ({ role, content, ...(tool_calls?.length && { tool_calls }) });

/** One request: {message, finish_reason, modified, call}, the last being what went upstream. */
async function ask(client, body, stream = false) {
  const tag = `tag-${Math.random().toString(36).slice(2)}`; // in no part of the conversation
  const options = { reasoning_effort: 'high', user: tag, ...body };
  let choice, response;
  if (stream) {
    const events = await client.chat.completions.create({ ...options, stream: true }).withResponse();
    response = events.response;
    const message = { role: 'assistant', content: '', tool_calls: [] };
    choice = { message };
    for await (const { choices } of events.data) {
      const { delta, finish_reason } = choices[0] ?? { delta: {} };
      message.content += delta.content ?? '';
      for (const { index, id, type, function: f } of delta.tool_calls ?? []) {
        message.tool_calls[index] ??= { id, type, function: { name: f.name, arguments: '' } };
        message.tool_calls[index].function.arguments += f.arguments ?? '';
      }
      if (finish_reason) choice.finish_reason = finish_reason;
    }
  } else {
    const { data, response: head } = await client.chat.completions.create(options).withResponse();
    choice = data.choices[0];
    response = head;
  }
  return { ...choice, modified: response.headers.get('x-modified-params') ?? '', call: recorder.find(tag) };
}

/**
 * An agent, turn by turn: gives each answer to `look` with all blocks that were issued before it.
 * `connectAt(turn)` says through which client a turn goes.
 */
async function runAgent({ model, connectAt, stream, directive = `loop=${TURNS}`, keep = plain, look }) {
  const messages = [{ role: 'user', content: `Go on. [[sim: ${directive}]]` }];
  const blocks = [];
  for (let turn = 0; turn <= TURNS; turn++) {
    const answer = await ask(await connectAt(turn), { model, messages, tools }, stream);
    look?.(answer, blocks, turn);
    blocks.push(...issued(answer.call));
    messages.push(keep(answer.message));
    if (answer.finish_reason === 'stop') return { turns: turn, messages, blocks, answer };
    assert.equal(answer.finish_reason, 'tool_calls');
    for (const call of answer.message.tool_calls) {
      assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
      messages.push({ role: 'tool', tool_call_id: call.id, content: `result ${turn}` });
    }
  }
  return assert.fail('the agent did not come to its end');
}

/** Every block comes back as it was, and nothing is said of it. */
function assertAllBack({ call, modified }, blocks) {
  assert.deepEqual(sentBack(call), blocks);
  assert.doesNotMatch(modified, /thinking|off\(history\)/);
}

describe('an agent of ten tool turns', () => {
  for (const [model, what] of Object.entries(MODELS))
    for (const stream of [false, true])
      it(`${model}, ${what}${stream ? ', streamed' : ''}: every signed block arrives back upstream unchanged`, async () => {
        const client = connect(proxy);
        const requests = recorder.messages.length;
        const { turns, messages, blocks, answer } = await runAgent({ model, stream, connectAt: () => client, look: assertAllBack });
        assert.equal(turns, TURNS);
        assert.equal(blocks.length, TURNS + 1); // it thought in each
        assert.match(messages.at(-1).content, /result 9/);
        assert.equal(recorder.messages.length - requests, TURNS + 1); // and no request was made twice
        const results = answer.call.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter(({ type }) => type === 'tool_result');
        assert.equal(results.length, TURNS);
      });

  for (const model of ['claude-opus-4-8', MANUAL, 'claude-fable-5-2'])
    it(`${model}: with calls in parallel, which the client answers and sends back in another order`, async () => {
      const client = connect(proxy);
      const reorder = (message) => ({ ...plain(message), ...(message.tool_calls && { tool_calls: message.tool_calls.toReversed() }) });
      const { blocks } = await runAgent({ model, directive: `loop=${TURNS} calls=2`, keep: reorder, connectAt: () => client, look: assertAllBack });
      assert.ok(blocks.length > 3);
    });

  it('with arguments written anew and content left out', async () => {
    const client = connect(proxy);
    const rewrite = ({ content, tool_calls }) => ({
      role: 'assistant',
      ...(content?.trim() && { content: [{ type: 'text', text: content.trim() }] }),
      ...(tool_calls && { tool_calls: tool_calls.map((call) => ({ ...call, function: { ...call.function, arguments: JSON.stringify(JSON.parse(call.function.arguments), null, 2) } })) }),
    });
    await runAgent({ model: 'claude-fable-5-2', keep: rewrite, connectAt: () => client, look: assertAllBack });
  });

  it('whatever worker a turn comes to', () =>
    withProxy({ WORKERS: '4' }, async (own) => {
      const agents = Array.from({ length: 8 }, () => runAgent({ model: 'claude-opus-5-5', connectAt: () => connect(own), look: assertAllBack }));
      for (const { turns } of await Promise.all(agents)) assert.equal(turns, TURNS);
    }));
});

describe('a restart in the middle of an agent', () => {
  for (const [model, what] of Object.entries(MODELS))
    it(`${model}, ${what}: goes on, and says what was lost`, async () => {
      let own = await startProxy(recorder);
      const modified = [];
      try {
        const { turns, answer, blocks } = await runAgent({
          model,
          stream: true,
          connectAt: async (turn) => {
            if (turn === 5) {
              await own.stop();
              own = await startProxy(recorder);
            }
            return connect(own);
          },
          look: (seen, _, turn) => (modified[turn] = seen.modified),
        });
        assert.equal(turns, TURNS);
        for (const [turn, list] of modified.entries()) {
          assert.equal(list.includes(LOST), turn >= 5, `turn ${turn}: ${list}`);
          assert.equal(list.includes('reasoning_effort=off(history)'), turn >= 5 && model === MANUAL, `turn ${turn}: ${list}`);
        }
        // What was issued behind the restart comes back again.
        assert.deepEqual(sentBack(answer.call), blocks.slice(5, TURNS));
      } finally {
        await own.stop();
      }
    });

  it('in strict mode too, where the client could not mend it', async () => {
    const strict = { STRICT: '1' };
    let own = await startProxy(recorder, strict);
    try {
      const connectAt = async (turn) => {
        if (turn === 5) {
          await own.stop();
          own = await startProxy(recorder, strict);
        }
        return connect(own);
      };
      const { turns, answer } = await runAgent({ model: 'claude-opus-4-8', connectAt });
      assert.equal(turns, TURNS);
      assert.match(answer.modified, /thinking_not_remembered/);
    } finally {
      await own.stop();
    }
  });

  it('is not spoken of where answers are not remembered at all, and thinking is then off with a budget', () =>
    withProxy({ THINKING_MEMORY_BYTES: '0' }, async (own) => {
      const look = ({ call, modified }, _, turn) => {
        assert.deepEqual(sentBack(call), []);
        assert.equal(modified, turn > 0 ? 'reasoning_effort=off(history)' : '');
      };
      await runAgent({ model: MANUAL, connectAt: () => connect(own), look });
    }));
});

describe('what is remembered', () => {
  it('says nothing of calls that are not the upstream’s, nor of answers that did not think', async () => {
    const client = connect(proxy);
    const foreign = await ask(client, {
      model: 'claude-opus-4-8',
      tools,
      messages: [
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: null, tool_calls: [{ id: 'call_abc', type: 'function', function: { name: 'get_weather', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'call_abc', content: 'sun' },
      ],
    });
    assert.equal(foreign.modified, '');
    const look = ({ modified }) => assert.equal(modified, '');
    const { blocks } = await runAgent({ model: 'claude-opus-4-8', directive: `loop=3 think=none`, connectAt: () => client, look });
    assert.equal(blocks.length, 0);
  });

  it('goes whole where thinking stands between texts and calls', async () => {
    const client = connect(proxy);
    const messages = [{ role: 'user', content: 'Go. [[sim: blocks=think,text,think,tool,think,tool tool=get_weather text="one"]]' }];
    const first = await ask(client, { model: 'claude-opus-5-5', messages, tools });
    const blocks = issued(first.call);
    assert.equal(blocks.length, 3);
    const results = first.message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'done' }));
    const next = (message) => ask(client, { model: 'claude-opus-5-5', tools, messages: [...messages, message, ...results] });
    const second = await next(plain(first.message));
    assertAllBack(second, blocks);
    assert.deepEqual(second.call.body.messages[1].content.map(({ type }) => type), ['thinking', 'text', 'thinking', 'tool_use', 'thinking', 'tool_use']);
    // Of a text that the client changed nobody knows where the thinking belongs.
    const edited = await next({ ...plain(first.message), content: 'another' });
    assert.deepEqual(sentBack(edited.call), []);
    assert.match(edited.modified, /messages\(thinking_dropped\)/);
  });

  it('goes in front of a text or of arguments that the client changed', async () => {
    const client = connect(proxy);
    const messages = [{ role: 'user', content: 'Go. [[sim: blocks=think,text,tool tool=get_weather text="one"]]' }];
    const { message, call } = await ask(client, { model: 'claude-opus-4-8', messages, tools });
    const [toolCall] = message.tool_calls;
    const result = { role: 'tool', tool_call_id: toolCall.id, content: 'done' };
    const next = (change) => ask(client, { model: 'claude-opus-4-8', tools, messages: [...messages, { ...plain(message), ...change }, result] });
    const edited = await next({ content: 'two' });
    assertAllBack(edited, issued(call));
    assert.equal(edited.call.body.messages[1].content.find(({ type }) => type === 'text').text, 'two');
    const moved = await next({ tool_calls: [{ ...toolCall, function: { ...toolCall.function, arguments: '{"city":"Elsewhere"}' } }] });
    assertAllBack(moved, issued(call));
    assert.deepEqual(moved.call.body.messages[1].content.find(({ type }) => type === 'tool_use').input, { city: 'Elsewhere' });
  });

  it('is found by text and conversation where no tool was called', async () => {
    const client = connect(proxy);
    for (const stream of [false, true]) {
      const seen = [];
      for (const question of [`First ${stream}?`, `Second ${stream}?`]) {
        const messages = [{ role: 'user', content: `${question} [[sim: think=text text="Yes."]]` }];
        const first = await ask(client, { model: 'claude-fable-5-2', messages }, stream);
        messages.push({ role: 'assistant', content: ' Yes. ' }, { role: 'user', content: [{ type: 'text', text: 'And now? [[sim: think=text text="Yes."]]' }] });
        const second = await ask(client, { model: 'claude-fable-5-2', messages }, stream);
        assert.deepEqual(sentBack(second.call), issued(first.call));
        messages.push(plain(second.message), { role: 'user', content: 'Thanks.' });
        const third = await ask(client, { model: 'claude-fable-5-2', messages }, stream);
        assertAllBack(third, [...issued(first.call), ...issued(second.call)]);
        seen.push(issued(first.call)[0].signature);
      }
      assert.notEqual(seen[0], seen[1]); // each "Yes." has its own
    }
  });

  it('is kept of each choice', async () => {
    const client = connect(proxy);
    const messages = [{ role: 'user', content: 'Twice, please. [[sim: think=text tool=get_time]]' }];
    const from = recorder.messages.length;
    const { choices } = await client.chat.completions.create({ model: 'claude-opus-4-8', n: 2, messages, tools, reasoning_effort: 'high' });
    const blocks = recorder.messages.slice(from).flatMap(issued);
    assert.equal(blocks.length, 2);
    for (const { message } of choices) {
      const result = { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'noon' };
      const { call, modified } = await ask(client, { model: 'claude-opus-4-8', tools, messages: [...messages, plain(message), result] });
      assert.equal(sentBack(call).length, 1);
      assert.ok(blocks.some(({ signature }) => signature === sentBack(call)[0].signature));
      assert.equal(modified, '');
    }
  });

  it('holds what came before a pause of the upstream and behind it', async () => {
    const client = connect(proxy);
    const options = { model: 'claude-opus-4-8', web_search_options: {} };
    const messages = [{ role: 'user', content: 'Search. [[sim: think=text stop=pause_turn]]' }];
    const from = recorder.messages.length;
    const first = await ask(client, { ...options, messages });
    const blocks = recorder.messages.slice(from).flatMap(issued);
    assert.equal(recorder.messages.length - from, 2);
    assert.ok(blocks.length > 0);
    messages.push({ role: 'assistant', content: first.message.content }, { role: 'user', content: 'Thanks.' });
    assertAllBack(await ask(client, { ...options, messages }), blocks);
  });

  it('is another client’s as little as if it were not there', () =>
    withProxy({ CLAUDE_PROXY_API_KEY: '' }, async (own) => {
      const [alice, bob] = [connect(own, 'key-of-alice'), connect(own, 'key-of-bob')];
      const messages = [{ role: 'user', content: 'Go. [[sim: think=text tool=get_time]]' }];
      const first = await ask(alice, { model: 'claude-opus-4-8', messages, tools });
      messages.push(plain(first.message), { role: 'tool', tool_call_id: first.message.tool_calls[0].id, content: 'noon' });
      const stolen = await ask(bob, { model: 'claude-opus-4-8', messages, tools });
      assert.deepEqual(sentBack(stolen.call), []);
      assert.equal(stolen.modified, LOST);
      assertAllBack(await ask(alice, { model: 'claude-opus-4-8', messages, tools }), issued(first.call));
    }));

  it('is forgotten after its time', () =>
    withProxy({ THINKING_MEMORY_TTL: '1' }, async (own) => {
      const client = connect(own);
      const messages = [{ role: 'user', content: 'Go. [[sim: think=text tool=get_time]]' }];
      const first = await ask(client, { model: 'claude-opus-4-8', messages, tools });
      messages.push(plain(first.message), { role: 'tool', tool_call_id: first.message.tool_calls[0].id, content: 'noon' });
      await sleep(1300);
      const late = await ask(client, { model: 'claude-opus-4-8', messages, tools });
      assert.deepEqual(sentBack(late.call), []);
      assert.equal(late.modified, LOST);
      await until('the log says so', () => /thinking_not_remembered"?[=:]1\b/.test(own.stderr));
    }));
});

describe('a client that edits what was said before', () => {
  for (const [name, model, sent] of [
    ['trap 52: its blocks are refused, sent again with drop_block, and answered', 'claude-opus-5-5', 2],
    ['trap 51: its blocks are sent with drop_block, and answered', 'claude-fable-5-2', 1],
  ])
    it(name, () =>
      withProxy({}, async (own) => {
        const client = connect(own);
        const messages = [{ role: 'system', content: 'It is Monday.' }, { role: 'user', content: 'Go. [[sim: think=text tool=get_time]]' }];
        const first = await ask(client, { model, messages, tools });
        messages[0] = { role: 'system', content: 'It is Tuesday.' };
        messages.push(plain(first.message), { role: 'tool', tool_call_id: first.message.tool_calls[0].id, content: 'noon' });
        const from = recorder.messages.length;
        const second = await ask(client, { model, messages, tools });
        assert.match(second.message.content, /noon/);
        const bodies = recorder.messages.slice(from);
        assert.equal(bodies.length, sent);
        assert.equal(new Set(bodies.map(({ raw }) => raw)).size, sent); // never the same one twice
        assert.deepEqual(second.call.body.thinking.block_binding, { prefix_mismatch_behavior: 'drop_block' });
        assert.match(second.call.headers['anthropic-beta'], /thinking-binding-controls/);
        assert.deepEqual(sentBack(second.call), issued(first.call)); // for the upstream to drop
      }));
});
