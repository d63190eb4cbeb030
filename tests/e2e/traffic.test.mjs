// Requests as real clients sent them, for every class of models: each is answered, or refused by
// the proxy itself with the name of the field. The upstream never has to refuse one.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { chat, readStream, send } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { shared, startProxy, startSim } from './lib/process.mjs';

const file = path.join(shared, 'fixtures/openai_requests.jsonl');
const MODELS = [
  'claude-fable-5-2', 'claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5', 'claude-sonnet-5',
  'claude-opus-4-8', 'claude-sonnet-4-6', 'claude-opus-4-5', 'claude-haiku-4-5',
];

describe('recorded requests of OpenAI clients', { skip: !existsSync(file) && `${file} is not here` }, () => {
  let sim, recorder;
  before(async () => {
    sim = await startSim();
    recorder = await Recorder.start(sim.url);
  });
  after(async () => {
    await recorder?.stop();
    await sim?.stop();
  });

  const bodies = existsSync(file)
    ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
      .filter(({ path: target }) => target.includes('/chat/completions')).map(({ id, request_body: body }) => ({ id, body }))
    : [];

  const NAMED = /^\w+/;
  const listed = (header) => (header ?? '').split(',').map((name) => NAMED.exec(name.trim())?.[0]).filter(Boolean);

  function checkChoice(answer, body, id, index) {
    const { error = null, calls, finish } = body.stream ? readStream(answer.text, { index, choices: body.n ?? 1 }) : {
      calls: answer.json.choices[index].message.tool_calls ?? [],
      finish: answer.json.choices[index].finish_reason,
    };
    assert.equal(error, null, `${id}: ${JSON.stringify(error)}`);
    assert.ok(['stop', 'length', 'content_filter', 'tool_calls', 'function_call'].includes(finish), `${id}: ${finish}`);
    if (finish === 'tool_calls') assert.ok(calls.length > 0, `${id}: tool_calls without any`);
    if (finish === 'stop') assert.equal(calls.length, 0, `${id}: stop with tool calls`);
    const names = new Set([...(body.tools ?? []), ...(body.functions ?? [])].map((tool) => tool.function?.name ?? tool.custom?.name ?? tool.name));
    for (const call of calls) {
      assert.ok(names.has(call.function?.name ?? call.custom?.name), `${id}: a call of ${JSON.stringify(call)}, which nobody offered`);
      if (call.function && finish !== 'length') JSON.parse(call.function.arguments);
    }
    for (const name of listed(answer.headers['x-ignored-params'])) assert.ok(name in body, `${id}: ${name} is listed but was not sent`);
  }

  /** 'answered', or the name of the refused field. */
  function outcome(answer, body, id) {
    if (answer.status === 200) {
      for (let index = 0; index < (body.n ?? 1); index++) checkChoice(answer, body, id, index);
      return 'answered';
    }
    assert.equal(answer.status, 400, `${id}: ${answer.text}`);
    const { type, param, message } = answer.json.error;
    assert.equal(type, 'invalid_request_error', id);
    assert.ok(NAMED.exec(param ?? '')?.[0] in body, `${id}: refused for ${param}, which was not sent: ${message}`);
    return param.replaceAll(/\d+/g, 'N');
  }

  /** One request as `model`; returns its outcome. */
  async function check(proxy, model, id, body) {
    // Ids that the upstream knows are no aliases: all go to the one model.
    const sent = { ...body, model: 'some-model' };
    const before = recorder.messages.length;
    const answer = await send(proxy.port, chat(sent));
    const calls = recorder.messages.slice(before);
    const what = outcome(answer, sent, id);
    // One for each choice; one more where the simulator cannot know a signature that the real API made.
    const choices = what === 'answered' ? body.n ?? 1 : 0;
    const isMended = calls.length === choices + 1 && JSON.stringify(body).includes('"signature"');
    assert.ok(calls.length === choices || isMended, `${id}: ${what}, ${calls.length} upstream requests: ${answer.text.slice(0, 300)}`);
    for (const { body: up } of calls) {
      assert.ok(up.model.startsWith(model), `${id}: ${up.model}`);
      assert.ok(up.max_tokens > 0 && up.stream === true, id);
    }
    return what;
  }

  const sums = { answered: 0, refused: 0, failed: 0 };
  for (const model of MODELS)
    it(`as ${model}`, async (t) => {
      const proxy = await startProxy(recorder, { MODEL_ALIASES: `*=${model}` });
      try {
        const outcomes = {};
        const failures = [];
        for (const { id, body } of bodies)
          try {
            const what = await check(proxy, model, id, body);
            outcomes[what] = (outcomes[what] ?? 0) + 1;
          } catch (error) {
            failures.push(error.message);
          }
        sums.answered += outcomes.answered;
        sums.failed += failures.length;
        sums.refused += bodies.length - outcomes.answered - failures.length;
        t.diagnostic(`${bodies.length} requests: ${JSON.stringify(outcomes)}`);
        assert.equal(failures.length, 0, `${failures.length} failed, such as:\n${failures.slice(0, 10).join('\n')}`);
        assert.ok(outcomes.answered > bodies.length / 3, `${outcomes.answered} of ${bodies.length} answered`);
      } finally {
        await proxy.stop();
      }
    });

  it('all in all', (t) => {
    t.diagnostic(`count: recorded requests through the proxy: ${bodies.length}, each for ${MODELS.length} models: ${sums.answered} answered, ${sums.refused} refused by the field's name, ${sums.failed} failed`);
    assert.equal(sums.answered + sums.refused, bodies.length * MODELS.length);
  });

  it('trap 53: the same request gives the same upstream bytes', async () => {
    const proxy = await startProxy(recorder, { MODEL_ALIASES: '*=claude-haiku-5-5' });
    try {
      for (const { id, body } of bodies.filter((_, i) => i % 5 === 0)) {
        const raws = [];
        for (const stream of [body.stream ?? false, body.stream ?? false]) {
          const before = recorder.messages.length;
          await send(proxy.port, chat({ ...body, model: 'm', stream }));
          raws.push(recorder.messages[before]?.raw);
        }
        assert.equal(raws[0], raws[1], id);
      }
    } finally {
      await proxy.stop();
    }
  });
});
