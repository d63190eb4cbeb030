// Restarts under load, and what a service manager sees: a socket handed over, the notifications,
// the watchdog. scripts/restart-test plays the manager; by hand it runs for longer.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Connection, ask, chat, request, send } from './lib/http.mjs';
import { Child, Server, binary, proxySettings, root, runBinary, startProxy, startSim, until } from './lib/process.mjs';

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
