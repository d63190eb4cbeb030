// Every documented example does what it says: the fenced blocks marked `run` of the README and of
// docs/clients.md (with the client whose environment has the packages), and the original contract's
// where that file is at hand.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { readStream } from './lib/http.mjs';
import { Server, cleanEnvironment, root, scratch, shared, startProxy, startSim } from './lib/process.mjs';

const run = promisify(execFile);
const EXAMPLE_KEY = 'your_claude_proxy_api_key';

/** Fenced blocks of a markdown text: {info, code, line}. */
function fences(text) {
  const found = [];
  for (const match of text.matchAll(/^```([^\n]*)\n(.*?)^```$/gms))
    found.push({ info: match[1].trim(), code: match[2], line: text.slice(0, match.index).split('\n').length });
  return found;
}

const json = ({ stdout }) => JSON.parse(stdout);

function content({ stdout }) {
  const completion = JSON.parse(stdout);
  assert.equal(completion.object, 'chat.completion');
  assert.match(completion.model, /^claude-haiku-/, 'the retired model is served by its successor');
  assert.equal(completion.choices.length, 1);
  assert.equal(completion.choices[0].finish_reason, 'stop');
  assert.equal(completion.choices[0].message.role, 'assistant');
  assert.ok(completion.usage.total_tokens > 0);
  return completion.choices[0].message.content;
}

/** What each example must print, by something that stands in it. */
const expectations = [
  { of: 'with expertise in geography', what: 'the population of Paris', check: (out) => assert.match(content(out), /\d.*million|million|\d{1,3}(,\d{3}){2}/i) },
  {
    of: '"stream": true',
    what: 'a streamed JSON object',
    check({ stdout }) {
      const stream = readStream(stdout);
      assert.equal(stream.error, null);
      assert.ok(stream.chunks.length > 3);
      const value = JSON.parse(stream.content);
      assert.ok(value !== null && typeof value === 'object' && !Array.isArray(value));
    },
  },
  { of: 'word association', what: 'one word', check: (out) => assert.match(content(out), /^[A-Z][a-z]+$/) },
  {
    of: 'three random books',
    what: 'three books',
    check(out) {
      const books = JSON.parse(content(out));
      const list = Array.isArray(books) ? books : Object.values(books).find(Array.isArray);
      assert.equal(list.length, 3);
      for (const book of list) {
        assert.equal(typeof book.title, 'string');
        assert.equal(typeof book.author, 'string');
        assert.ok('publication_year' in book || 'year' in book);
      }
    },
  },
  { of: '/health', what: 'the health', check: (out) => assert.equal(json(out).status, 'ok') },
  {
    of: '/v1/models',
    what: 'the models',
    check(out) {
      const list = json(out);
      assert.equal(list.object, 'list');
      assert.ok(list.data.some((model) => model.id === 'claude-haiku-5-5' && model.object === 'model'));
    },
  },
  { of: 'import', what: 'the text alone', check: ({ stdout }) => assert.match(stdout, /Paris/) },
  { of: 'capital of France', what: 'Paris', check: (out) => assert.match(content(out), /Paris/) },
];

/** The Python that has a client's packages; the official SDK may be installed elsewhere, too. */
async function pythonWith(client) {
  const own = path.join(root, 'tests/.venv', client, 'bin/python');
  for (const python of client === 'openai' ? [own, 'python3'] : [own])
    try {
      await run(python, ['-c', 'import openai'], { env: cleanEnvironment() });
      return python;
    } catch {
      // the next one
    }
  return null;
}

async function command({ language, client }, code) {
  switch (language) {
    case 'sh':
      return ['bash', ['-o', 'pipefail', '-ec', code], scratch()];
    case 'js': // from the folder where the SDK is installed
      return [process.execPath, ['--input-type=module', '-e', code], path.join(root, 'tests')];
    case 'python': {
      const python = await pythonWith(client);
      return python && [python, ['-c', code], scratch()];
    }
    default:
      return assert.fail(`no idea how to run ${language}`);
  }
}

async function runExample(t, example, port, isDemo) {
  const { code, client } = example;
  const how = await command(example, code.replaceAll('localhost:8000', `localhost:${port}`));
  if (!how) return t.skip(`no Python with ${client} here: \`tests/run clients\` makes one`);
  const [program, args, cwd] = how;
  const expectation = expectations.find((e) => code.includes(e.of)) ?? assert.fail(`nothing is expected of:\n${code}`);
  // litellm would ask the network for prices.
  const env = cleanEnvironment({ LITELLM_LOCAL_MODEL_COST_MAP: 'True' });
  const out = await run(program, args, { cwd, env, timeout: 90_000 });
  assert.notEqual(out.stdout, '');
  expectation.check(out);
  if (/curl -v/.test(code)) assert.equal(/x-claude-proxy-demo: 1/i.test(out.stderr), isDemo);
  return undefined;
}

const startDemo = () => Server.start(['demo', '--port', '0']);
async function startServe() {
  const sim = await startSim();
  const proxy = await startProxy(sim, { CLAUDE_PROXY_API_KEY: EXAMPLE_KEY });
  return { port: proxy.port, stop: () => proxy.stop().finally(() => sim.stop()) };
}

function examplesOf(name, examples) {
  for (const [kind, start] of [['demo', startDemo], ['serve', startServe]])
    describe(`${name} against ${kind}`, () => {
      let server;
      before(async () => (server = await start()));
      after(() => server?.stop());
      for (const example of examples) {
        const { language, code, line } = example;
        const { what } = expectations.find((e) => code.includes(e.of)) ?? { what: 'no expectation' };
        it(`line ${line}, ${language}: ${what}`, (t) => runExample(t, example, server.port, kind === 'demo'));
      }
    });
}

function runnable(file) {
  return fences(readFileSync(path.join(root, file), 'utf8'))
    .map(({ info, ...fence }) => ({ ...fence, words: info.split(' ') }))
    .filter(({ words }) => words[1] === 'run')
    .map(({ words: [language, , client = 'openai'], ...fence }) => ({ language, client, ...fence }));
}

const readme = runnable('README.md');
it('README has its examples', () => {
  const count = (language) => readme.filter((example) => example.language === language).length;
  assert.ok(count('sh') >= 7 && count('js') >= 1 && count('python') >= 1);
});
examplesOf('README', readme);

const clients = runnable('docs/clients.md');
it('docs/clients.md has an example of each client', () => assert.equal(clients.length, 7));
examplesOf('docs/clients.md', clients);

const contract = path.join(shared, 'contract.md');
if (existsSync(contract)) {
  const examples = fences(readFileSync(contract, 'utf8'))
    .filter(({ code }) => code.startsWith('curl '))
    .map(({ code, line }) => ({ language: 'sh', code, line }));
  it('the contract has its five examples', () => assert.equal(examples.length, 5));
  examplesOf('contract', examples);
} else {
  it('contract', (t) => t.skip(`${contract} is not here`));
}

it('demo answers say that nothing is real, and it says so at the start', async () => {
  const demo = await startDemo();
  try {
    assert.match(demo.stderr + demo.stdout, /nothing is real|not real|made.up|simulat/i);
    for (const target of ['/health', '/v1/models', '/nowhere']) {
      const answer = await fetch(`http://127.0.0.1:${demo.port}${target}`);
      assert.equal(answer.headers.get('x-claude-proxy-demo'), '1', target);
      await answer.arrayBuffer();
    }
  } finally {
    await demo.stop();
  }
});

it('demo needs no key and refuses none', async () => {
  const demo = await startDemo();
  try {
    for (const headers of [{}, { authorization: 'Bearer anything' }]) {
      const answer = await fetch(`http://127.0.0.1:${demo.port}/v1/models`, { headers });
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
    }
  } finally {
    await demo.stop();
  }
});
