// Restarts under load, and what a service manager sees: a socket handed over, the notifications,
// the watchdog. scripts/restart-test plays the manager; by hand it runs for longer.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, request, send } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Child, Server, binary, proxySettings, root, runBinary, scratch, startProxy, startSim, until } from './lib/process.mjs';

let sim;
before(async () => (sim = await startSim()));
after(() => sim?.stop());

describe('a service manager', () => {
  it('restarts and reloads lose no request and cut no stream; it is told of each', async () => {
    const flags = ['--restarts', '5', '--reloads', '5', '--clients', '8', '--binary', binary];
    const child = new Child('python3', [path.join(root, 'scripts/restart-test'), ...flags]);
    const { code } = await child.end(120_000);
    assert.equal(code, 0, child.stdout + child.stderr);
    const counts = JSON.parse(child.stdout);
    assert.equal(counts.failed + counts.cut, 0);
    assert.equal(counts.reloading, 5);
    assert.ok(counts.answered > 20, child.stdout);
    assert.ok(counts.watchdog >= 6, 'each server gives a sign of life at its start at the latest');
  });

  const handOver = (variables, redirect) => {
    const child = new Child('/bin/sh', ['-c', `exec env LISTEN_PID=$$ ${variables} "$0" serve ${redirect}`, binary], { env: proxySettings(sim) });
    return child.end(10_000).then((how) => ({ ...how, stderr: child.stderr }));
  };
  it('more than one socket, or none that listens: one line, exit code 2', async () => {
    const two = await handOver('LISTEN_FDS=2', '');
    assert.equal(two.code, 2, two.stderr);
    assert.match(two.stderr, /2 sockets were handed over/);
    const file = await handOver('LISTEN_FDS=1', '3</dev/null');
    assert.equal(file.code, 2, file.stderr);
    assert.match(file.stderr, /descriptor 3 is no listening TCP socket/);
  });
  it('what was meant for another process is passed over', async () => {
    const server = await startProxy(sim, { LISTEN_FDS: '1', LISTEN_PID: '1', WATCHDOG_USEC: '1000000', WATCHDOG_PID: '1' });
    assert.equal((await send(server.port, request('GET', '/health'))).status, 200);
    await server.stop();
  });
  it('one that cannot be told costs a line in the log', async () => {
    const server = await startProxy(sim, { NOTIFY_SOCKET: '/nowhere/notify' });
    await until('the line', () => /service manager cannot be told/.test(server.stderr));
    await server.stop();
  });
});

describe('TAKE_OVER', () => {
  it('a second process serves on the port while the first drains', async () => {
    const first = await startProxy(sim);
    const port = String(first.port);
    const refused = await runBinary(['serve'], { env: proxySettings(sim, { PORT: port }) });
    assert.equal(refused.code, 2, refused.stderr);
    const open = await Connection.open(first.port);
    await open.write(chat(ask('[[sim: words=30 gap=20ms]]', { stream: true })));
    await open.wait('content', (c) => c.data.includes('"content":"'));
    const second = await Server.start(['serve'], { env: proxySettings(sim, { PORT: port, TAKE_OVER: 'on' }) });
    const ended = first.stop();
    assert.match((await open.answer()).text, /\[DONE\]\n\n$/);
    open.close();
    await ended;
    assert.equal((await send(second.port, chat(ask('Hi')))).status, 200);
    await second.stop();
  });
});

describe('SIGTERM', () => {
  it('a request that is on its way over an idle connection is still answered', async () => {
    const server = await startProxy(sim);
    const [fresh, used] = await Promise.all([Connection.open(server.port), Connection.open(server.port)]);
    await used.write(request('GET', '/health'));
    assert.equal((await used.answer()).status, 200);
    const ended = server.stop();
    await until('the drain', () => /"draining"/.test(server.stderr));
    for (const connection of [fresh, used]) {
      await connection.write(chat(ask('Hi')));
      const answer = await connection.answer();
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers.connection, 'close');
      connection.close();
    }
    await ended;
  });
});

describe('a reload of the settings', () => {
  const own = { CLAUDE_PROXY_API_KEY: 'first-key', ANTHROPIC_API_KEY: 'first-upstream', ANTHROPIC_MODEL: 'claude-haiku-5-5', PORT: '0' };
  const body = { messages: [{ role: 'user', content: 'Hi' }] };
  const reload = async (server) => {
    const before = server.stderr.length;
    server.child.kill('SIGHUP');
    await until('the reload', () => /"reloaded"|reload failed/.test(server.stderr.slice(before)));
    return server.stderr.slice(before);
  };
  /** Its settings are in a .env, that `write` replaces. */
  const startFromFile = async (url, flags, first = {}) => {
    const cwd = scratch();
    const write = (more) => writeFileSync(path.join(cwd, '.env'), Object.entries({ ...own, ...more }).map(([name, value]) => `${name}=${value}\n`).join(''));
    write(first);
    const server = await Server.start(['serve', '--host', '127.0.0.1', '--workers', '4', ...flags], { cwd, env: { ANTHROPIC_BASE_URL: url } });
    return { server, write, cwd };
  };
  const unlimited = ['--requests-per-minute', '0', '--tokens-per-minute', '0'];

  it('new requests are served by the new ones, an open stream by the old; changes are named', async () => {
    const recorder = await Recorder.start(sim.url);
    const { server, write, cwd } = await startFromFile(recorder.url, [...unlimited, '--max-tokens', '77']);
    try {
      const open = await Connection.open(server.port);
      await open.write(chat(ask('[[sim: words=60 gap=10ms]]', { stream: true }), { key: 'first-key' }));
      await open.wait('content', (c) => c.data.includes('"content":"'));

      const second = { CLAUDE_PROXY_API_KEY: 'second-key', ANTHROPIC_API_KEY: 'second-upstream', ANTHROPIC_MODEL: 'claude-opus-5-5', MODEL_TEMPERATURE: '0.7', MAX_TOKENS: '99', PORT: '1', METRICS_KEY: 'for-metrics' };
      write(second);
      const log = await reload(server);
      assert.match(log, /setting changed","name":"CLAUDE_PROXY_API_KEY","value":"set"/);
      assert.match(log, /setting changed","name":"ANTHROPIC_MODEL","value":"claude-opus-5-5"/);
      assert.equal(log.match(/needs a restart/g).length, 1);
      assert.match(log, /needs a restart","name":"PORT"/);
      assert.doesNotMatch(log, /MAX_TOKENS/, 'a flag wins, as at the start');
      assert.doesNotMatch(server.stderr, /(first|second)-(key|upstream)/);

      assert.equal((await send(server.port, chat(body, { key: 'first-key' }))).status, 401);
      assert.equal((await send(server.port, chat({ ...body, model: 'claude-haiku-4-5' }, { key: 'second-key' }))).status, 200);
      assert.equal(recorder.last.body.temperature, 0.7);
      for (let i = 0; i < 8; i++) { // of all workers
        assert.equal((await send(server.port, chat(body, { key: 'second-key' }))).status, 200);
        assert.equal(recorder.last.headers['x-api-key'], 'second-upstream');
        assert.equal(recorder.last.body.model, 'claude-opus-5-5');
        assert.equal(recorder.last.body.max_tokens, 77);
      }
      assert.equal((await send(server.port, request('GET', '/metrics', { headers: { authorization: 'Bearer for-metrics' } }))).status, 200);
      assert.match((await open.answer()).text, /\[DONE\]\n\n$/);
      open.close();

      const bad = [
        [{ ...second, MODEL_TEMPERATURE: '7', ANTHROPIC_MODEL: 'claude-sonnet-5-5' }, /MODEL_TEMPERATURE .*\.env line \d+.* must be a number from 0 to 1/],
        [{ ...second, CLAUDE_PROXY_API_KEY: '' }, /CLAUDE_PROXY_API_KEY is no longer set/],
        [{ ...second, ANTHROPIC_API_KEY: '' }, /ANTHROPIC_API_KEY is no longer set/],
        [{ ...second, ANTHROPIC_API_KEY: Array.from({ length: 65 }, (_, i) => `k${i}`).join(',') }, /ANTHROPIC_API_KEY holds more than 64 keys/],
      ];
      for (const [settings, says] of bad) {
        write(settings);
        const lines = (await reload(server)).split('\n').filter((line) => /reload|setting/.test(line) && !/changed setting needs/.test(line));
        assert.equal(lines.length, 1, lines.join('\n'));
        assert.match(lines[0], says);
        assert.equal((await send(server.port, chat(body, { key: 'second-key' }))).status, 200);
        assert.equal(recorder.last.body.model, 'claude-opus-5-5', 'the old ones stay whole');
      }
      rmSync(path.join(cwd, '.env'));
      assert.match(await reload(server), /ANTHROPIC_API_KEY is no longer set/, 'as a start without the file would say');

      write({ ...second, LOG_LEVEL: 'error' });
      assert.match(await reloadUnseen(server, 'LOG_LEVEL'), /setting changed","name":"LOG_LEVEL","value":"error"/);
      const before = server.stderr.length;
      assert.equal((await send(server.port, chat(body, { key: 'second-key' }))).status, 200);
      write(second);
      const last = await reload(server);
      assert.match(last, /setting changed","name":"LOG_LEVEL","value":"info"/);
      assert.doesNotMatch(server.stderr.slice(before), /"path":"\/v1\/chat/, 'no line of the request in between');
    } finally {
      await server.stop();
      await recorder.stop();
    }
  });
  /** Where LOG_LEVEL hides that it is over. */
  const reloadUnseen = async (server, name) => {
    const before = server.stderr.length;
    server.child.kill('SIGHUP');
    await until('the change', () => server.stderr.slice(before).includes(`"name":"${name}"`));
    return server.stderr.slice(before);
  };

  it('the list of models that another key sees is asked for, also where the last one comes late', async () => {
    const asked = [];
    let letGo;
    const upstream = http.createServer((req, res) => {
      const key = req.headers['x-api-key'];
      const answer = () => res.end(JSON.stringify({ data: [{ type: 'model', id: `model-of-${key}` }], has_more: false }));
      asked.push(key);
      res.writeHead(200, { 'content-type': 'application/json' });
      if (key === 'first-upstream') letGo = answer;
      else answer();
    });
    await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const { server, write } = await startFromFile(`http://127.0.0.1:${upstream.address().port}`, unlimited);
    const models = async () => (await send(server.port, request('GET', '/v1/models', { key: 'first-key' }))).json.data.map(({ id }) => id);
    try {
      await until('the first list is asked for', () => letGo);
      write({ ANTHROPIC_API_KEY: 'second-upstream' });
      await reload(server);
      letGo();
      await until('the second list', async () => (await models())[0] === 'model-of-second-upstream');
      assert.deepEqual(asked, ['first-upstream', 'second-upstream'], 'once each');
    } finally {
      await server.stop();
      upstream.closeAllConnections();
      upstream.close();
    }
  });

  it('rate limits change without being filled up again', async () => {
    const { server, write } = await startFromFile(sim.url, ['--tokens-per-minute', '0'], { REQUESTS_PER_MINUTE: '2' });
    const once = async () => (await send(server.port, chat(ask('Hi'), { key: 'first-key' }))).status;
    assert.deepEqual([await once(), await once(), await once()], [200, 200, 429]);
    write({ REQUESTS_PER_MINUTE: '2', MODEL_TEMPERATURE: '0.2' });
    await reload(server);
    assert.equal(await once(), 429);
    write({ REQUESTS_PER_MINUTE: '5' });
    await reload(server);
    assert.deepEqual([await once(), await once(), await once(), await once()], [200, 200, 200, 429]);
    write({ REQUESTS_PER_MINUTE: '0' });
    await reload(server);
    assert.equal(await once(), 200);
    await server.stop();
  });

  it('keys given as flags, which are wiped from the command line, stay; many reloads in a row are one after the other', async () => {
    const flags = ['--claude-proxy-api-key', 'flag-key', '--anthropic-api-key=flag-upstream'];
    const server = await startProxy(sim, { CLAUDE_PROXY_API_KEY: 'other' }, flags);
    for (let i = 0; i < 20; i++) server.child.kill('SIGHUP');
    await until('the reload', () => /"reloaded"/.test(server.stderr));
    assert.doesNotMatch(server.stderr, /setting changed|reload failed|needs a restart/);
    assert.equal((await send(server.port, chat(ask('Hi'), { key: 'flag-key' }))).status, 200);
    await server.stop();
  });
});
