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
      .filter(({ path: target }) => target.endsWith('/chat/completions')).map(({ id, request_body: body }) => ({ id, body }))
    : [];

  /** 'answered', or the name of the refused field. */
  function outcome(answer, body, id) {
    if (answer.status === 200) {
      const { error, finish } = body.stream ? readStream(answer.text) : { error: null, finish: answer.json.choices[0].finish_reason };
      assert.equal(error, null, `${id}: ${JSON.stringify(error)}`);
      assert.ok(['stop', 'length', 'content_filter'].includes(finish), `${id}: ${finish}`);
      for (const name of (answer.headers['x-ignored-params'] ?? '').split(',').map((s) => s.trim()).filter(Boolean))
        assert.ok(name === '...' || name.split(/[.[]/)[0] in body, `${id}: ${name} is listed but was not sent`);
      return 'answered';
    }
    assert.equal(answer.status, 400, `${id}: ${answer.text}`);
    const { type, param, message } = answer.json.error;
    assert.equal(type, 'invalid_request_error', id);
    const root = /^\w+/.exec(param ?? '')?.[0];
    assert.ok(root in body, `${id}: refused for ${param}, which was not sent: ${message}`);
    return param.replaceAll(/\d+/g, 'N');
  }

  for (const model of MODELS)
    it(`as ${model}`, async (t) => {
      const proxy = await startProxy(recorder, { MODEL_ALIASES: `*=${model}` });
      try {
        const outcomes = {};
        for (const { id, body } of bodies) {
          // Ids that the upstream knows are no aliases: all go to the one model.
          const sent = { ...body, ...(body.model ? { model: 'some-model' } : { model: 'another-model' }) };
          const before = recorder.messages.length;
          const answer = await send(proxy.port, chat(sent));
          const what = outcome(answer, sent, id);
          outcomes[what] = (outcomes[what] ?? 0) + 1;
          const calls = recorder.messages.slice(before);
          assert.equal(calls.length, what === 'answered' ? 1 : 0, `${id}: ${what}, ${calls.length} upstream requests`);
          for (const { body: up } of calls) {
            assert.ok(up.model.startsWith(model), `${id}: ${up.model}`);
            assert.ok(up.max_tokens > 0 && up.stream === true, id);
          }
        }
        t.diagnostic(`${bodies.length} requests: ${JSON.stringify(outcomes)}`);
        assert.ok(outcomes.answered > bodies.length / 3, `${outcomes.answered} of ${bodies.length} answered`);
      } finally {
        await proxy.stop();
      }
    });

  it('the same request gives the same upstream bytes', async () => {
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
