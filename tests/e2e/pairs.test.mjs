// The same requests as clients of both APIs sent them, with both real answers: what the proxy makes
// of the OpenAI one, field by field beside the Anthropic one. Each kind of difference is named here,
// with its reason; one that is not fails.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

import { binary, cleanEnvironment, shared } from './lib/process.mjs';

const file = path.join(shared, 'fixtures/pairs_openai_anthropic.jsonl');
const pairs = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)) : [];

function translate(what, input) {
  // Retired models are left as they are: the pairs are older than their retirement.
  const { status, stdout, stderr } = spawnSync(binary, ['translate', ...what], { input, env: cleanEnvironment({ MODEL_SUCCESSION: 'off' }) });
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout.toString();
}

/** Every leaf by its path; an empty object or list is one too. */
function leaves(value, at = '', found = new Map()) {
  const entries = value && typeof value === 'object' ? Object.entries(value) : [];
  if (!entries.length) return found.set(at, JSON.stringify(value));
  for (const [key, member] of entries) leaves(member, Array.isArray(value) ? `${at}[${key}]` : at ? `${at}.${key}` : key, found);
  return found;
}

/** Blocks in order, each with its role: `a string is one text block` and turns do not matter then. */
function blocksOf(messages, note) {
  const asBlocks = (content, where) => {
    if (typeof content !== 'string') return content;
    note('string for one text block', where);
    return [{ type: 'text', text: content }];
  };
  return messages.flatMap(({ role, content }, i) => {
    if (messages[i - 1]?.role === role) note('turn in several messages', role);
    return asBlocks(content, role).map((block) => ({
      role, ...block, ...(block.type === 'tool_result' && 'content' in block && { content: asBlocks(block.content, 'tool_result') }),
    }));
  });
}

const clientSaid = (pair, json) => JSON.stringify(pair.openai_request).includes(json);
const earlierAnswer = (pair) => pairs.find((other) => other.case === pair.case && other.turn === 'first')?.anthropic_response;

// Paths of differing leaves -> why. `ours` and `theirs` are JSON texts, undefined where there is none.
const REQUEST_DIFFERENCES = {
  'always streamed upstream, whatever the client asked': ({ at, ours, theirs }) => at === 'stream' && ours === 'true' && !theirs,
  'the client names no limit: the documented default': ({ at, ours, pair: { openai_request: o } }) => at === 'max_tokens' && ours === '4096' && o.max_tokens === undefined && o.max_completion_tokens === undefined,
  'the client names no sampling: the documented default': ({ at, ours, theirs, pair: { openai_request: o } }) => at === 'temperature' && ours === '0.1' && !theirs && o.temperature === undefined && o.top_p === undefined,
  'a conversation is cached by itself': ({ at, ours, theirs, pair: { openai_request: o } }) => at === 'cache_control.type' && ours === '"ephemeral"' && !theirs && o.messages.some(({ role }) => role === 'assistant' || role === 'tool'),
  'a cache mark without a duration keeps the default one': ({ at, ours, theirs, pair }) => at.endsWith('.cache_control.ttl') && !ours && theirs === '"1h"' && !clientSaid(pair, '"ttl"'),
  'arguments are streamed as they come': ({ at, ours, theirs }) => /^tools\[\d+\]\.eager_input_streaming$/.test(at) && ours === 'true' && !theirs,
  'the client chooses no tool: neither do we': ({ at, ours, theirs, pair: { openai_request: o } }) => at === 'tool_choice.type' && !ours && theirs === '"auto"' && o.tool_choice === undefined,
  'the schema carries its name': ({ at, ours, theirs, pair: { openai_request: o } }) => at === 'output_config.format.schema.title' && !theirs && ours === JSON.stringify(o.response_format.json_schema.name),
  'each client has ids of its own': ({ at, ours, theirs, pair }) => /^blocks\[\d+\]\.(id|tool_use_id)$/.test(at) && clientSaid(pair, ours) && theirs === ours.replace('call_', 'toolu_'),
  "the earlier answer is the other model's": ({ at, ours, theirs, pair }) => pair.turn === 'followup' && /^blocks\[\d+\]\.text$/.test(at) && clientSaid(pair, ours) && JSON.stringify(earlierAnswer(pair)?.content).includes(theirs),
};
const FORM_DIFFERENCES = ['string for one text block', 'turn in several messages'];

const ANSWER_DIFFERENCES = {
  // What OpenAI's answers have and ours have not.
  'counts of what Claude has not: audio, predictions': ({ at, isOurs }) => !isOurs && /^usage\.\w+\.(audio_tokens|(accepted|rejected)_prediction_tokens)$/.test(at),
  'no fingerprint: the upstream names none': ({ at, isOurs }) => !isOurs && at === 'system_fingerprint',
  'annotations only where there are some': ({ at, isOurs }) => !isOurs && at === 'choices[].message.annotations',
  'no obfuscation': ({ at, isOurs }) => !isOurs && at === 'obfuscation',
  // The other way round.
  'logprobs is null, where newer models leave it out': ({ at, isOurs }) => isOurs && at === 'choices[].logprobs',
  'written cache tokens are counted': ({ at, isOurs }) => isOurs && at === 'usage.prompt_tokens_details.cache_write_tokens',
  'that answer called a tool for its JSON': ({ at, isOurs, answer }) => isOurs && at.startsWith('choices[].message.tool_calls') && answer.stop_reason === 'tool_use',
};

/** Counts each difference under its name; those without one are failures. */
class Differences {
  constructor(rules, more = []) {
    this.rules = rules;
    this.counts = Object.fromEntries([...more, ...Object.keys(rules)].map((name) => [name, 0]));
    this.unexplained = [];
  }
  add(difference, label) {
    const name = Object.keys(this.rules).find((rule) => this.rules[rule](difference));
    if (name) this.counts[name]++;
    else this.unexplained.push(`${label}: ${JSON.stringify({ ...difference, pair: undefined, answer: undefined })}`);
  }
  get total() {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }
  check(t) {
    for (const [name, count] of Object.entries(this.counts)) t.diagnostic(`${String(count).padStart(4)} ${name}`);
    assert.deepEqual(this.unexplained, []);
    for (const [name, count] of Object.entries(this.counts)) assert.ok(count > 0, `"${name}" explains nothing any more`);
  }
}

describe('pairs of requests', { skip: !pairs.length && `${file} is not here` }, () => {
  it('field by field', (t) => {
    const differences = new Differences(REQUEST_DIFFERENCES, FORM_DIFFERENCES);
    let compared = 0;
    let equal = 0;
    for (const pair of pairs) {
      const theirs = pair.anthropic_request;
      const ours = JSON.parse(translate(['request'], JSON.stringify({ ...pair.openai_request, model: theirs?.model ?? 'claude-sonnet-4-5-20250929' })));
      if (!theirs) continue; // the client of Anthropic's API cannot ask for it: only that it is translated
      compared++;
      const note = (name) => differences.counts[name]++;
      const flat = [ours, theirs].map(({ messages, ...rest }) => leaves({ ...rest, blocks: blocksOf(messages, note) }));
      for (const at of new Set(flat.flatMap((all) => [...all.keys()]))) {
        const [a, b] = flat.map((all) => all.get(at));
        if (a === b) equal++;
        else differences.add({ at, ours: a, theirs: b, pair }, pair.id);
      }
    }
    t.diagnostic(`count: recorded pairs: ${pairs.length} translated, ${compared} of them compared, ${equal} fields equal, ${differences.total} of ${Object.keys(differences.counts).length} kinds different for a reason, ${differences.unexplained.length} without`);
    differences.check(t);
    assert.ok(compared > 10);
  });

  it('answers: the members of the real ones, streamed and not', (t) => {
    const differences = new Differences(ANSWER_DIFFERENCES);
    const members = (value) => new Set([...leaves(value).keys()].map((at) => at.replaceAll(/\[\d+\]/g, '[]')));
    let answers = 0;
    for (const pair of pairs) {
      const kinds = [
        [pair.claude_answer_to_openai_request, pair.openai_response], [pair.anthropic_response, pair.openai_response],
        [pair.claude_stream_to_openai_request, pair.openai_stream], [pair.anthropic_stream, pair.openai_stream],
      ];
      for (const [answer, real] of kinds) {
        if (!answer || !real) continue;
        answers++;
        const isStream = Array.isArray(answer);
        const input = isStream ? answer.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('') : JSON.stringify(answer);
        const output = translate([isStream ? 'stream' : 'response'], input);
        const ours = isStream ? [...output.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data)) : [JSON.parse(output)];
        const [a, b] = [ours, isStream ? real : [real]].map((all) => new Set(all.flatMap((one) => [...members(one)])));
        for (const at of new Set([...a, ...b])) if (a.has(at) !== b.has(at)) differences.add({ at, isOurs: a.has(at), answer }, pair.id);
      }
    }
    t.diagnostic(`count: answers of recorded pairs: ${answers} compared by members, ${differences.total} of ${Object.keys(differences.counts).length} kinds different for a reason, ${differences.unexplained.length} without`);
    differences.check(t);
  });
});
