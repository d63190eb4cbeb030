// The simulator knows every field, block and tool that Anthropic's own SDK has types for: samples are
// built from those types, complete and with one thing wrong, and shown to it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { requestType, sdkIsInstalled, wireTypes } from '../../scripts/wire-types.mjs';
import { startSim } from './lib/process.mjs';

const skip = sdkIsInstalled() ? false : '@anthropic-ai/sdk has no type declarations here';
const MODEL = 'claude-haiku-5-5';
const BETAS = ['context-management-2025-06-27', 'mcp-client-2025-11-20', 'server-side-fallback-2026-07-01', 'thinking-binding-controls-2026-08-01', 'thinking-display-updates-2026-08-18'].join(',');
const SHAPE_ERROR = /Extra inputs|Field required|Input should be|Input tag/;

let sim;
before(async () => {
  if (!skip) sim = await startSim();
});
after(() => sim?.stop());

async function refusal(body, { beta = BETAS } = {}) {
  const headers = { 'content-type': 'application/json', 'x-api-key': 'any', 'anthropic-version': '2023-06-01', ...(beta && { 'anthropic-beta': beta }) };
  const answer = await fetch(`${sim.url}/v1/messages`, { method: 'POST', headers, body: JSON.stringify(body) });
  const json = await answer.json();
  return answer.status === 200 ? '' : json.error.message;
}

// --- samples -------------------------------------------------------------------------------------

// Every way in which a value of this type may look, each complete.
function samples(node) {
  const found = [];
  if (node.kinds.has('ANY') || node.kinds.has('DICT')) found.push({ any: 1 });
  if (node.kinds.has('STRING')) found.push(...(node.choices.has('*') ? ['text'] : node.choices.keys()));
  if (node.kinds.has('NUMBER')) found.push(1);
  if (node.kinds.has('BOOLEAN')) found.push(true);
  if (node.nullable) found.push(null);
  if (node.kinds.has('LIST')) found.push(samples(node.items).filter((one) => one !== null));
  if (node.kinds.has('MAP')) found.push({ some: samples(node.items)[0] });
  for (const object of node.objects) found.push(whole(object));
  return found;
}

// All fields of an object, each at its first sample.
const wholes = new Map();
function whole(object) {
  if (wholes.has(object)) return wholes.get(object);
  const value = object.tag ? { [['user', 'assistant', 'system'].includes(object.tag) ? 'role' : 'type']: object.tag.split(' ')[0] } : {};
  for (const [name, field] of object.fields) value[name] = samples(field.type)[0];
  wholes.set(object, value);
  return value;
}

// The same, then once more for each other sample of each field.
function each(object) {
  const found = [whole(object)];
  for (const [name, field] of object.fields) for (const value of samples(field.type).slice(1)) found.push({ ...whole(object), [name]: value });
  return found;
}

// Every object type below a field, with a way to put a sample of it there.
function places(node, put, found = [], seen = new Set()) {
  for (const object of node.objects) {
    if (seen.has(object)) continue;
    seen.add(object);
    found.push({ object, put });
    for (const [name, field] of object.fields) places(field.type, (value) => put({ ...whole(object), [name]: value }), found, seen);
  }
  if (node.items) places(node.items, (value) => put(node.kinds.has('MAP') ? { some: value } : [value]), found, seen);
  return found;
}

// So many requests at a time.
async function inTurns(all, check) {
  const next = all[Symbol.iterator]();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (const one of next) await check(one);
  }));
}

const request = (more) => ({ model: MODEL, max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }], ...more });

describe('the types of the SDK', { skip }, () => {
  it('are those that the simulator was built with', () => {
    const built = readFileSync(new URL('../../src/sim/wire_types.def', import.meta.url), 'utf8');
    assert.equal(built, wireTypes(), 'run: node scripts/wire-types.mjs > src/sim/wire_types.def');
  });

  it('every object is known: whole, with a field too many, with one too few', async () => {
    const type = requestType();
    const checks = [];
    for (const [name, field] of type.fields) {
      for (const { object, put } of places(field.type, (value) => request({ [name]: value }))) {
        const what = `${name}: ${object.name}`;
        for (const value of each(object)) checks.push([put(value), null, what]);
        if (!object.open) checks.push([put({ ...whole(object), colour: 1 }), /colour: Extra inputs are not permitted/, `${what} in colour`]);
        for (const [key, { required }] of object.fields) {
          const { [key]: gone, ...rest } = whole(object);
          if (required) checks.push([put(rest), /Field required/, `${what} without ${key}`]);
        }
      }
    }
    await inTurns(checks, async ([body, wanted, what]) => {
      const message = await refusal(body);
      if (wanted) assert.match(message, wanted, what);
      else assert.doesNotMatch(message, SHAPE_ERROR, `${what}: ${JSON.stringify(body).slice(0, 1000)}`);
    });
    assert.ok(checks.length > 500, `${checks.length} samples`);
  });

  it("the beta's fields and objects need a beta header", async () => {
    for (const [name, field] of requestType().fields) {
      if (field.beta) assert.match(await refusal(request({ [name]: samples(field.type)[0] }), { beta: '' }), new RegExp(`^${name}: Extra inputs`), name);
      else
        for (const { object, put } of places(field.type, (value) => request({ [name]: value }))) {
          if (object.beta) assert.match(await refusal(put(whole(object)), { beta: '' }), SHAPE_ERROR, `${name}: ${object.name}`);
        }
    }
  });
});
