// What an operator sees: settings and their errors, health, CORS, the cap on connections, the end
// at SIGTERM, and logs without secrets.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { PROXY_KEY, UPSTREAM_KEY, Server, binary, proxySettings, runBinary, scratch, sleep, startProxy, startSim, until } from './lib/process.mjs';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

/** Runs `use` with a proxy of its own, which must end cleanly. */
async function withProxy(env, use, upstream = sim) {
  const proxy = await startProxy(upstream, env);
  try {
    await use(proxy);
  } finally {
    await proxy.stop();
  }
}

describe('settings', () => {
  const refused = [
    ['a bad number', { REQUEST_TIMEOUT: 'soon' }, [], /REQUEST_TIMEOUT.*soon|soon.*REQUEST_TIMEOUT/, /environment/i],
    ['a number out of range', { MODEL_TEMPERATURE: '7' }, [], /MODEL_TEMPERATURE/, /\b1\b/],
    ['a bad choice', { LOG_LEVEL: 'loud' }, [], /LOG_LEVEL/, /debug.*info/],
    ['a bad URL', { ANTHROPIC_BASE_URL: 'ftp://x' }, [], /ANTHROPIC_BASE_URL/, /https?:/],
    ['a bad flag value', {}, ['--port', '99999'], /--port|PORT/, /65535/],
    ['an unknown flag', {}, ['--no-such-flag'], /--no-such-flag/, /./],
    ['a flag without its value', {}, ['--port'], /--port/, /./],
    ['no upstream key', { ANTHROPIC_API_KEY: '' }, [], /ANTHROPIC_API_KEY/, /./],
    ['no proxy key on a public address', { CLAUDE_PROXY_API_KEY: '', HOST: '0.0.0.0' }, [], /CLAUDE_PROXY_API_KEY/, /loopback|127\.0\.0\.1/],
    ['a CA file that is not there', { ANTHROPIC_BASE_URL: 'https://127.0.0.1:1', UPSTREAM_CA_FILE: '/nowhere.pem' }, [], /nowhere\.pem/, /./],
    ['bad aliases', { MODEL_ALIASES: 'gpt-4o' }, [], /MODEL_ALIASES/, /./],
  ];
  for (const [name, env, flags, names, says] of refused)
    it(`${name}: one line, exit code 2`, async () => {
      const { code, stderr } = await runBinary(['serve', ...flags], { env: proxySettings(sim, env) });
      assert.equal(code, 2, stderr);
      assert.match(stderr, names);
      assert.match(stderr, says);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      assert.doesNotMatch(stderr, new RegExp(`${UPSTREAM_KEY}|${PROXY_KEY}`));
    });

  it('a port in use: one line, exit code 2', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address();
    const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { PORT: String(port) }) });
    holder.close();
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`\\b${port}\\b`));
    assert.match(stderr, /in use/);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  });

  it('a second proxy on the same port is refused too', async () => {
    await withProxy({}, async (proxy) => {
      const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { PORT: String(proxy.port) }) });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /in use/);
    });
  });

  it('an empty proxy key serves loopback without authentication', async () => {
    await withProxy({ CLAUDE_PROXY_API_KEY: '' }, async (proxy) => {
      assert.equal((await send(proxy.port, chat(ask('Hi'), { key: '' }))).status, 200);
      assert.equal((await send(proxy.port, chat(ask('Hi'), { key: 'any' }))).status, 200);
    });
  });

  it('the environment wins over .env, flags over both', async () => {
    const recorder = await Recorder.start(sim.url);
    const cwd = scratch();
    writeFileSync(path.join(cwd, '.env'), [
      '\ufeff# a comment', 'export ANTHROPIC_API_KEY="from-the-file" # a comment', "CLAUDE_PROXY_API_KEY='file key'".replace(' ', '-'),
      `ANTHROPIC_BASE_URL=${recorder.url}`, 'ANTHROPIC_MODEL=claude-opus-5-5', 'MAX_TOKENS=111', 'HOST=127.0.0.1', 'PORT=1', '',
    ].join('\r\n'));
    const server = await Server.start(['serve', '--port', '0', '--max-tokens', '333'], { cwd, env: { ANTHROPIC_MODEL: 'claude-sonnet-5-5', MAX_TOKENS: '222' } });
    try {
      const body = { messages: [{ role: 'user', content: 'Hi' }] };
      const answer = await send(server.port, chat(body, { key: 'file-key' }));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(recorder.last.body.model, 'claude-sonnet-5-5');
      assert.equal(recorder.last.body.max_tokens, 333);
      assert.equal(recorder.last.headers['x-api-key'], 'from-the-file');
      assert.equal((await send(server.port, chat(body))).status, 401);
    } finally {
      await server.stop();
      await recorder.stop();
    }
  });

  it('a malformed .env is one line with its number, exit code 2', async () => {
    const cwd = scratch();
    writeFileSync(path.join(cwd, '.env'), 'PORT=0\nthis is no setting\n');
    const { code, stderr } = await runBinary(['serve'], { cwd, env: proxySettings(sim) });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /\.env.*2/);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  });

  it('ANTHROPIC_VERSION, ANTHROPIC_AUTH, MODEL_ALIASES and the path of ANTHROPIC_BASE_URL', async () => {
    const recorder = await Recorder.start(({ url }) => sim.url + url.replace('/some/path', ''));
    try {
      await withProxy({ ANTHROPIC_VERSION: '2023-06-01', ANTHROPIC_AUTH: 'bearer', MODEL_ALIASES: 'gpt-4o=claude-opus-5-5,*=claude-haiku-5-5' }, async (proxy) => {
        for (const [model, served] of [['gpt-4o', 'claude-opus-5-5'], ['gpt-3.5-turbo', 'claude-haiku-5-5'], ['claude-sonnet-5-5', 'claude-sonnet-5-5']]) {
          const answer = await send(proxy.port, chat(ask('Hi', { model })));
          assert.equal(answer.status, 200, answer.text);
          assert.equal(recorder.last.body.model, served);
        }
        assert.equal(recorder.last.url.split('?')[0], '/some/path/v1/messages');
        assert.equal(recorder.last.headers['anthropic-version'], '2023-06-01');
        assert.equal(recorder.last.headers.authorization, `Bearer ${UPSTREAM_KEY}`);
        assert.equal('x-api-key' in recorder.last.headers, false);
      }, `${recorder.url}/some/path/`);
    } finally {
      await recorder.stop();
    }
  });

  it('MODEL_SUCCESSION=off: a retired model is a 404', async () => {
    await withProxy({ MODEL_SUCCESSION: 'off' }, async (proxy) => {
      const answer = await send(proxy.port, chat(ask('Hi', { model: 'claude-3-haiku-20240307' })));
      assert.equal(answer.status, 404, answer.text);
      assert.equal(answer.json.error.code, 'model_not_found');
      assert.equal((await send(proxy.port, request('GET', '/v1/models/claude-3-haiku-20240307'))).status, 404);
    });
  });

  it('--help fits a screen, --version names itself, an unknown subcommand is refused', async () => {
    const help = await runBinary(['--help']);
    assert.equal(help.code, 0);
    const lines = help.stdout.split('\n');
    assert.ok(lines.length <= 50 && lines.every((line) => line.length <= 100), `${lines.length} lines`);
    const version = await runBinary(['--version']);
    assert.equal(version.code, 0);
    assert.match(version.stdout, /^claude-proxy \d+\.\d+\.\d+/);
    assert.equal((await runBinary(['fly'])).code, 2);
  });
});

describe('health', () => {
  it('needs no key and says whether the upstream was last seen well', async () => {
    await withProxy({}, async (proxy) => {
      const health = async () => (await send(proxy.port, request('GET', '/health', { key: '' }))).json;
      assert.equal((await health()).status, 'ok');
      await send(proxy.port, chat(ask('Hi')));
      assert.equal((await health()).upstream.status, 'ok');
      await send(proxy.port, chat(ask('[[sim: status=500]]')));
      const ill = await health();
      assert.notEqual(ill.upstream.status, 'ok');
      assert.equal(ill.status, 'ok', 'the proxy itself is well');
      await send(proxy.port, chat(ask('Hi')));
      assert.equal((await health()).upstream.status, 'ok');
    });
  });

  it('an upstream that is not there: 502, and health says so', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address();
    await new Promise((resolve) => holder.close(resolve));
    await withProxy({}, async (proxy) => {
      const answer = await send(proxy.port, chat(ask('Hi')));
      assert.equal(answer.status, 502);
      assert.equal(answer.json.error.code, 'upstream_unreachable');
      assert.equal((await send(proxy.port, request('GET', '/health', { key: '' }))).status, 200);
    }, `http://127.0.0.1:${port}`);
  });

  it('the list of models is served stale when the upstream fails', async () => {
    let isDown = false;
    const recorder = await Recorder.start(({ url }) => (isDown ? { status: 500, body: '{}' } : sim.url + url));
    try {
      await withProxy({ MODELS_CACHE_SECONDS: '1' }, async (proxy) => {
        const list = async () => (await send(proxy.port, request('GET', '/v1/models'))).json.data.map((model) => model.id);
        const fresh = await list();
        assert.ok(fresh.length > 10);
        const asked = () => recorder.calls.filter((call) => call.url.startsWith('/v1/models')).length;
        const before = asked();
        assert.deepEqual(await list(), fresh);
        assert.equal(asked(), before, 'cached');
        isDown = true;
        await sleep(1100);
        assert.deepEqual(await list(), fresh);
        await until('it asked again', () => asked() > before);
        assert.deepEqual(await list(), fresh);
      }, recorder);
    } finally {
      await recorder.stop();
    }
  });

  it("the upstream's pages of models are joined", async () => {
    const recorder = await Recorder.start(({ url }) => sim.url + url.replace(/limit=\d+/, 'limit=3'));
    try {
      await withProxy({}, async (proxy) => {
        const { json } = await send(proxy.port, request('GET', '/v1/models'));
        const direct = await (await fetch(`${sim.url}/v1/models?limit=1000`, { headers: { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' } })).json();
        assert.deepEqual(json.data.map((model) => model.id), direct.data.map((model) => model.id));
        assert.ok(recorder.calls.filter((call) => call.url.startsWith('/v1/models')).length > 3);
      }, recorder);
    } finally {
      await recorder.stop();
    }
  });
});

describe('CORS', () => {
  const origin = 'https://app.example';
  const preflight = (port, from) => send(port, request('OPTIONS', '/v1/chat/completions', {
    key: '', headers: { origin: from, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type,x-stainless-lang' },
  }));

  it('off by default', async () => {
    await withProxy({}, async (proxy) => {
      const answer = await send(proxy.port, chat(ask('Hi'), { headers: { origin } }));
      assert.equal(answer.status, 200);
      for (const { headers } of [answer, await preflight(proxy.port, origin)])
        assert.equal(Object.keys(headers).some((name) => name.startsWith('access-control-')), false);
    });
  });

  it('for the listed origins', async () => {
    await withProxy({ CORS_ORIGINS: `https://other.example,${origin}` }, async (proxy) => {
      const pre = await preflight(proxy.port, origin);
      assert.ok([200, 204].includes(pre.status));
      assert.equal(pre.headers['access-control-allow-origin'], origin);
      assert.match(pre.headers['access-control-allow-methods'], /POST/);
      assert.match(pre.headers['access-control-allow-headers'], /authorization/i);
      assert.match(pre.headers.vary, /origin/i);
      for (const bytes of [chat(ask('Hi'), { headers: { origin } }), chat(ask('Hi', { stream: true }), { headers: { origin } }), chat('{', { headers: { origin } }), chat(ask('x'), { key: 'wrong', headers: { origin } })]) {
        const { headers } = await send(proxy.port, bytes);
        assert.equal(headers['access-control-allow-origin'], origin);
        assert.match(headers['access-control-expose-headers'], /x-request-id/i);
      }
      for (const from of ['https://evil.example', `${origin}.evil.example`, 'https://app.examplex', 'null'])
        assert.equal('access-control-allow-origin' in (await preflight(proxy.port, from)).headers, false, from);
    });
  });

  it('for all', async () => {
    await withProxy({ CORS_ORIGINS: '*' }, async (proxy) => {
      assert.ok(['*', origin].includes((await preflight(proxy.port, origin)).headers['access-control-allow-origin']));
    });
  });
});

describe('connections', () => {
  it('cell C71: no more than MAX_CONNECTIONS at once; those that are there go on, and room comes back', async () => {
    await withProxy({ MAX_CONNECTIONS: '8', WORKERS: '2', IDLE_TIMEOUT: '60' }, async (proxy) => {
      const health = request('GET', '/health');
      const kept = [];
      let refused = 0;
      for (let i = 0; i < 16; i++) {
        const connection = await Connection.open(proxy.port);
        await connection.write(health);
        await connection.wait('an answer or the end', (c) => c.isEnded || c.data.length);
        if (connection.data.length && (await connection.answer()).status === 200) kept.push(connection);
        else refused++;
      }
      assert.equal(kept.length, 8);
      assert.equal(refused, 8);
      for (const connection of kept) {
        await connection.write(health);
        assert.equal((await connection.answer()).status, 200);
      }
      for (const connection of kept) connection.close();
      await until('there is room again', () => send(proxy.port, health, { ms: 1000 }).then(({ status }) => status === 200, () => false));
    });
  });

  it('with no descriptor left it waits without spinning, and goes on when there are some', async (t) => {
    const proxy = new Server('bash', ['-c', 'ulimit -n 60; exec "$0" serve', binary], { env: proxySettings(sim, { WORKERS: '1' }) });
    t.after(() => proxy.isOver || proxy.child.kill('SIGKILL'));
    await until('it listens', () => proxy.findPort());
    const clients = [];
    for (let i = 0; i < 100; i++) clients.push(await Connection.open(proxy.findPort()));
    await sleep(300);
    const before = proxy.cpuMs();
    await sleep(1000);
    const used = proxy.cpuMs() - before;
    assert.ok(used < 300, `${used} ms of CPU in a second`);
    assert.ok(proxy.stderr.split('\n').length < 20, 'the log is not flooded');
    for (const client of clients) client.close();
    await until('it answers again', () => send(proxy.findPort(), request('GET', '/health'), { ms: 1000 }).then(({ status }) => status === 200, () => false));
    await proxy.stop();
  });

  it('clients that do not exist any more leave nothing behind', async () => {
    await withProxy({ WORKERS: '1' }, async (proxy) => {
      for (let round = 0; round < 3; round++)
        await Promise.all(Array.from({ length: 100 }, async (_, i) => {
          const connection = await Connection.open(proxy.port);
          await connection.write(chat(ask('[[sim: words=1000 gap=5ms]]', { stream: true })).subarray(0, i % 3 ? undefined : 60));
          if (i % 2) await sleep(30);
          connection[['close', 'reset', 'finish'][i % 3]]();
        }));
      assert.equal((await send(proxy.port, chat(ask('[[sim: text=alive]]')))).json.choices[0].message.content, 'alive');
    });
  });
});

/** A proxy that the test stops itself; where it fails to, it ends with the test. */
async function startFor(t, env) {
  const proxy = await startProxy(sim, env);
  t.after(() => proxy.isOver || proxy.child.kill('SIGKILL'));
  return proxy;
}

describe('SIGTERM', () => {
  const refusesConnections = (port) => until('new connections are refused', () => Connection.open(port).then((c) => (c.close(), false), (e) => e.code === 'ECONNREFUSED'), 2000);

  it('open answers finish, new connections are refused, exit code 0', async (t) => {
    const proxy = await startFor(t);
    const text = 'This answer was under way when the end came. '.repeat(4);
    const order = `[[sim: text=${JSON.stringify(text)} piece=6 gap=30ms]]`;
    const [streamed, plain, idle] = await Promise.all([1, 2, 3].map(() => Connection.open(proxy.port)));
    await streamed.write(chat(ask(order, { stream: true })));
    await plain.write(chat(ask(order)));
    await streamed.wait('content', (c) => c.data.includes('"content":"T'));
    const stopped = proxy.stop();
    await refusesConnections(proxy.port);
    await idle.closed(2000);
    assert.equal(readStream((await streamed.answer()).text).content, text);
    assert.equal((await plain.answer()).json.choices[0].message.content, text);
    for (const connection of [streamed, plain, idle]) connection.close();
    const answered = performance.now();
    await stopped;
    assert.ok(performance.now() - answered < 1000, 'it ends when the last answer is out');
  });

  it('DRAIN_TIMEOUT bounds the wait: the rest ends as an error, exit code 0', async (t) => {
    const proxy = await startFor(t, { DRAIN_TIMEOUT: '1' });
    const connection = await Connection.open(proxy.port);
    await connection.write(chat(ask('[[sim: words=100000 gap=20ms]]', { stream: true })));
    await connection.wait('content', (c) => c.data.includes('"content":"'));
    const started = performance.now();
    await proxy.stop();
    const ms = performance.now() - started;
    assert.ok(ms > 800 && ms < 5000, `${ms} ms`);
    await connection.closed();
    assert.equal(connection.data.includes('[DONE]'), false);
    assert.equal(connection.data.includes('"finish_reason":"'), false, 'a cut answer looks like no success');
  });

  it('with nothing under way it ends at once, SIGINT too', async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
      const proxy = await startFor(t);
      await send(proxy.port, request('GET', '/health'));
      const started = performance.now();
      proxy.child.kill(signal);
      await proxy.end();
      await proxy.stop(); // checks the exit code
      assert.ok(performance.now() - started < 2000);
    }
  });

  it('a second signal ends at once', async (t) => {
    const proxy = await startFor(t);
    const connection = await Connection.open(proxy.port);
    await connection.write(chat(ask('[[sim: first=60s text=x]]')));
    await sleep(100);
    const started = performance.now();
    proxy.child.kill('SIGTERM');
    await sleep(200);
    proxy.child.kill('SIGTERM');
    await proxy.end();
    assert.ok(performance.now() - started < 3000);
    connection.close();
  });
});

describe('the sandbox', () => {
  const status = (proxy) => Object.fromEntries(readFileSync(`/proc/${proxy.pid}/status`, 'utf8').split('\n').map((line) => line.split(':\t')));
  const line = (proxy) => proxy.stderr.split('\n').slice(0, -1).find((text) => text.includes('"message":"sandbox"'));
  const logged = async (proxy) => JSON.parse(await until('the line about the sandbox', () => line(proxy), 2000));

  it('holds in every thread of a server that serves', async (t) => {
    await withProxy({ WORKERS: '2' }, async (proxy) => {
      const { files, system_calls } = await logged(proxy);
      if (system_calls !== 'on') return t.skip(`system calls: ${system_calls} (a sanitizer, or a kernel without seccomp)`);
      for (const thread of readdirSync(`/proc/${proxy.pid}/task`)) {
        const text = readFileSync(`/proc/${proxy.pid}/task/${thread}/status`, 'utf8');
        assert.match(text, /^NoNewPrivs:\t1$/m);
        assert.match(text, /^Seccomp:\t2$/m);
      }
      assert.match(files, /^(on|missing)$/);
      assert.match(readFileSync(`/proc/${proxy.pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 200);
    });
  });

  it('SANDBOX=off leaves the process as it was', async () => {
    await withProxy({ SANDBOX: 'off' }, async (proxy) => {
      assert.equal(status(proxy).Seccomp, status({ pid: 'self' }).Seccomp);
      assert.equal((await logged(proxy)).system_calls, 'off');
    });
  });
});

describe('logs', () => {
  it('hold no key and no word of a message at the most talkative level', async (t) => {
    const secret = 'xyzzy-plugh-frotz';
    const proxy = await startFor(t, { LOG_LEVEL: 'trace' });
    const bodies = [
      ask(`${secret} [[sim: text="${secret}"]]`), ask(secret, { stream: true }), `{"messages":[{"content":"${secret}"`,
      { messages: [{ role: secret, content: 'x' }] }, ask(`[[sim: status=400 message="bad ${secret}"]]`), ask('x', { model: 'gpt-4o' }),
    ];
    for (const body of bodies) await send(proxy.port, chat(body));
    await send(proxy.port, chat(ask('x'), { key: `${secret}-key` }));
    await send(proxy.port, request('GET', '/health', { headers: { 'x-api-key': `${secret}-key`, cookie: secret } }));
    await proxy.stop();
    assert.ok(proxy.stderr.split('\n').length > bodies.length, 'the run was logged at all');
    for (const word of [secret, UPSTREAM_KEY, PROXY_KEY]) assert.equal(proxy.stderr.includes(word), false, `${word} is in the log`);
  });

  it('every line is JSON where stderr is no terminal', async (t) => {
    const proxy = await startFor(t, { LOG_LEVEL: 'debug' });
    await send(proxy.port, request('GET', '/nowhere/%0a%22\\"quoted'));
    await send(proxy.port, chat(ask('Hi')));
    await proxy.stop();
    for (const line of proxy.stderr.trimEnd().split('\n')) JSON.parse(line);
  });
});
