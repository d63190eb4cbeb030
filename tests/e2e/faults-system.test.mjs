// What the system does to the proxy: no descriptors, names that do not resolve, clocks that jump, an
// upstream whose certificate is none, logs that nobody takes.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { NameServer, whyNot } from './lib/dns.mjs';
import { Connection, ask, chat, readStream, request, send, watchStream } from './lib/http.mjs';
import { Server, UPSTREAM_KEY, binary, cleanEnvironment, isSanitized, proxySettings, scratch, sleep, startProxy, startSim, until } from './lib/process.mjs';

let sim, authority, certificate, secureSim;

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  sim = await startSim();
  secureSim = await startSim(['--cert', certificate.cert, '--key', certificate.key]);
});
after(async () => {
  await sim?.stop();
  await secureSim?.stop();
});

async function withProxy(upstream, env, use) {
  const proxy = await startProxy(upstream, env);
  try {
    return await use(proxy);
  } finally {
    await proxy.stop();
  }
}

const words = (n, gap, more = '') => `[[sim: words=${n} gap=${gap}ms ${more}]]`;
const isStreamed = [false, true];
/** A 502 that says nothing of what is inside; the log has the reason. */
function assertUnreachable(answer, code = 'upstream_unreachable') {
  assert.equal(answer.status, 502, answer.text);
  assert.equal(answer.json.error.code, code);
  assert.equal(answer.json.error.type, 'server_error');
  assert.doesNotMatch(answer.text, /127\.|\.test|certificate|resolv|descriptor|open files/i);
}

describe('descriptors exhausted', () => {
  const limit = (proxy, n) => execFileSync('prlimit', ['--pid', String(proxy.pid), `--nofile=${n}:`]);
  /** The next number that it would get; with a limit of that it gets none. */
  function nextDescriptor(proxy) {
    const taken = new Set(readdirSync(`/proc/${proxy.pid}/fd`).map(Number));
    for (let n = 0; ; n++) if (!taken.has(n)) return n;
  }

  it('cell S3: none for clients: it waits without spinning, open streams go on, it accepts again', async () => {
    await withProxy(sim, { WORKERS: '1' }, async (proxy) => {
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 200);
      const expected = (await send(proxy.port, chat(ask(words(40, 0))))).json.choices[0].message.content;
      const stream = await watchStream(proxy.port, words(40, 50), expected);
      limit(proxy, nextDescriptor(proxy) + 4);
      const clients = [];
      for (let i = 0; i < 30; i++) clients.push(await Connection.open(proxy.port)); // the kernel's queue takes them
      await sleep(200);
      const before = proxy.cpuMs();
      await sleep(1000);
      const used = proxy.cpuMs() - before;
      assert.ok(used < 300, `${used} ms of CPU in a second`);
      await stream.check();
      for (const client of clients.slice(0, -1)) client.close();
      await clients.at(-1).write(request('GET', '/health'));
      assert.equal((await clients.at(-1).answer()).status, 200); // it waited its turn
      clients.at(-1).close();
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 200);
      console.log(`count: no descriptors for 26 clients: ${used} ms of CPU in a second`);
    });
  });

  for (const upstream of ['http', 'https'])
    it(`cell S4: none for the upstream (${upstream}): a clean 502, and a call as soon as there are some`, async () => {
      const relay = await startRelay((upstream === 'http' ? sim : secureSim).port);
      const settings = { WORKERS: '1', UPSTREAM_CA_FILE: authority.cert };
      await withProxy(`${upstream}://127.0.0.1:${relay.port}`, settings, async (proxy) => {
        const connection = await Connection.open(proxy.port);
        await connection.write(chat(ask('Hi')));
        assert.equal((await connection.answer()).status, 200);
        relay.cut();
        await sleep(300); // the request's connection is closed, and that of the models
        limit(proxy, nextDescriptor(proxy)); // what is open stays
        for (const stream of isStreamed) {
          await connection.write(chat(ask('Hi', { stream })));
          assertUnreachable(await connection.answer());
        }
        limit(proxy, 1024);
        await connection.write(chat(ask('Hi')));
        assert.equal((await connection.answer()).status, 200);
        connection.close();
        await until('the log', () => /Too many open files/.test(proxy.stderr));
      });
      relay.stop();
    });
});

describe('names', { skip: whyNot() }, () => {
  let dns;
  before(async () => (dns = await NameServer.start(['127.0.0.1'])));
  after(() => dns?.stop());

  async function withNames(addresses, port, env, use) {
    dns.addresses = addresses;
    const proxy = await dns.startProxy(`http://upstream.test:${port}`, { WORKERS: '1', ...env });
    try {
      return await use(proxy);
    } finally {
      await proxy.stop();
    }
  }
  const answers = async (proxy, more = {}) => {
    const answer = await send(proxy.port, chat(ask('Hi', more)));
    assert.equal(answer.status, 200, `${answer.text} ${proxy.stderr.slice(-600)}`);
  };

  const failures = [
    ['cell S5: a name that is not there', 'nxdomain', /Name or service not known/],
    ['cell S6: a name server with a failure of its own', 'servfail', /Temporary failure in name resolution/],
    ['cell S6: a name server that is silent', 'silent', /Temporary failure in name resolution/],
    ['cell S7: a name server that answers garbage', 'garbage', /Temporary failure|Non-recoverable|not known|No address/],
    ['cell S5: a name without an address', [], /No address associated|not known/],
  ];
  for (const [name, addresses, reason] of failures)
    it(`${name}: 502, the reason in the log, and well again once it resolves`, async () => {
      await withNames(addresses, sim.port, {}, async (proxy) => {
        for (const stream of isStreamed) assertUnreachable(await send(proxy.port, chat(ask('Hi', { stream }))));
        await until(`the log: ${proxy.stderr.slice(-800)}`, () => reason.test(proxy.stderr));
        dns.addresses = ['127.0.0.1'];
        await answers(proxy);
      });
    });

  it('cell S6: a slow look-up holds up nobody else, and CONNECT_TIMEOUT bounds the wait', async () => {
    await withNames('silent', sim.port, { CONNECT_TIMEOUT: '1' }, async (proxy) => {
      const asked = send(proxy.port, chat(ask('Hi')));
      const started = performance.now();
      assert.equal((await send(proxy.port, request('GET', '/health'))).status, 200);
      assert.ok(performance.now() - started < 500);
      assertUnreachable(await asked);
      assert.ok(performance.now() - started < 3000);
    });
  });

  it('cell S8: a name that moves: streams stay where they are, new connections go to the new address', async () => {
    const relays = await Promise.all(['127.0.0.21', '127.0.0.22'].map((host) => startRelay(sim.port, host)));
    relays[1].server.close();
    await new Promise((resolve) => relays[1].server.listen(relays[0].port, '127.0.0.22', resolve));
    try {
      await withNames(['127.0.0.21'], relays[0].port, {}, async (proxy) => {
        await answers(proxy);
        const expected = (await send(proxy.port, chat(ask(words(30, 0))))).json.choices[0].message.content;
        const stream = await watchStream(proxy.port, words(30, 30), expected);
        dns.addresses = ['127.0.0.22'];
        relays[0].server.close(); // nobody gets in there any more
        await stream.check();
        relays[0].cut(); // and what was kept is gone
        await answers(proxy);
        await answers(proxy, { stream: true });
        assert.ok(relays[1].accepted > 0);
      });
    } finally {
      relays.forEach((relay) => relay.stop());
    }
  });

  it('cell S9: of several addresses one is dead (refused, silent): the next one serves', async () => {
    // Nobody listens at the first; the kernel drops what goes to the second (class E is never routed).
    for (const dead of ['127.0.0.31', '240.0.0.1'])
      await withNames([dead, '127.0.0.1'], sim.port, {}, async (proxy) => {
        const started = performance.now();
        for (const stream of isStreamed) await answers(proxy, { stream });
        assert.ok(performance.now() - started < 3000);
      });
  });

  it('cell S9: an address that accepts nothing more: the next one within a moment', async () => {
    const full = net.createServer().listen({ port: 0, host: '127.0.0.33', backlog: 1 });
    await new Promise((resolve) => full.once('listening', resolve));
    full.close();
    await new Promise((resolve) => full.once('close', resolve));
    // A queue that is full lets SYNs go unanswered.
    const holder = spawn('python3', ['-c', `import socket,time
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.33', ${sim.port})); s.listen(0)
a=[]
for i in range(4):
  c=socket.socket(); c.setblocking(False); c.connect_ex(('127.0.0.33', ${sim.port})); a.append(c)
print('full', flush=True); time.sleep(60)`], { stdio: ['ignore', 'pipe', 'inherit'], env: cleanEnvironment() });
    try {
      await new Promise((resolve) => holder.stdout.once('data', resolve));
      await withNames(['127.0.0.33', '127.0.0.1'], sim.port, {}, async (proxy) => {
        const started = performance.now();
        await answers(proxy);
        assert.ok(performance.now() - started < 2000);
      });
    } finally {
      holder.kill('SIGKILL');
    }
  });

  it('cell S10: IPv6 alone', async (t) => {
    const relay = await startRelay(sim.port, '::1').catch(() => null);
    if (!relay) return t.skip('no IPv6 here');
    try {
      await withNames(['::1'], relay.port, {}, async (proxy) => {
        await answers(proxy);
        assert.ok(relay.accepted > 0);
      });
    } finally {
      relay.stop();
    }
  });
});

/** A relay to `port` of this machine: {port, server, accepted, cut(), stop()}. */
async function startRelay(port, host = '127.0.0.1') {
  const open = new Set();
  const relay = { accepted: 0, cut: () => open.forEach((socket) => socket.destroy()) };
  relay.server = net.createServer((socket) => {
    const onward = net.connect(port, '127.0.0.1');
    relay.accepted++;
    open.add(socket);
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => {}).on('close', () => (socket.destroy(), onward.destroy(), open.delete(socket)));
  });
  await new Promise((resolve, reject) => relay.server.once('error', reject).listen(0, host, resolve));
  relay.port = relay.server.address().port;
  relay.stop = () => (relay.cut(), relay.server.close());
  return relay;
}

describe('clocks', () => {
  const library = path.join(path.dirname(binary), 'tests/preload/libclock.so');

  /** A proxy whose wall clock can be set: `jump(seconds)` off the true time. */
  async function withClock(upstream, env, use) {
    const file = path.join(scratch(), 'clock');
    writeFileSync(file, Buffer.alloc(8));
    const fd = openSync(file, 'r+');
    const jump = (seconds) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(seconds));
      writeSync(fd, bytes, 0, 8, 0);
    };
    const preload = { LD_PRELOAD: library, CLOCK_FILE: file, ...(isSanitized ? { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` } : {}) };
    try {
      await withProxy(upstream, { WORKERS: '1', ...env, ...preload }, (proxy) => use(proxy, jump));
    } finally {
      closeSync(fd);
    }
  }
  const HOUR = 3600;

  for (const hours of [6, -6])
    it(`cell S11: the wall clock jumps by ${hours} hours: streams and time limits do not feel it`, async () => {
      await withClock(sim, { REQUEST_TIMEOUT: '2', IDLE_TIMEOUT: '2', LOG_LEVEL: 'debug' }, async (proxy, jump) => {
        const expected = (await send(proxy.port, chat(ask(words(30, 0))))).json.choices[0].message.content;
        const stream = await watchStream(proxy.port, words(30, 40), expected);
        const idle = await Connection.open(proxy.port);
        jump(hours * HOUR);
        await stream.check();
        await idle.write(chat(ask('Hi')));
        const answer = await idle.answer(); // it was not idle for hours
        assert.equal(answer.status, 200);
        const off = (seconds) => Math.abs(seconds - (Date.now() / 1000 + hours * HOUR));
        assert.ok(off(answer.json.created) < 60, 'created is the wall clock\'s');
        assert.ok(off(Date.parse(answer.headers.date) / 1000) < 60, 'so is date');
        const began = performance.now(); // and silence is still noticed in its time
        assert.equal((await send(proxy.port, chat(ask('[[sim: first=20s]]')))).status, 504);
        const ms = performance.now() - began;
        assert.ok(ms > 1800 && ms < 4000, `${ms} ms`);
        for (const line of proxy.stderr.trimEnd().split('\n')) {
          const { ms: took = 0 } = JSON.parse(line);
          assert.ok(took >= 0 && took < 10_000, line);
        }
        idle.close();
      });
    });

  it('cell S11: the wall clock jumps: rate limits neither open nor close, the breaker stays open', async () => {
    await withClock(sim, { REQUESTS_PER_MINUTE: '2' }, async (proxy, jump) => {
      for (const seconds of [0, 6 * HOUR, -6 * HOUR]) {
        jump(seconds);
        const answer = await send(proxy.port, chat(ask('Hi')));
        assert.equal(answer.status, seconds < 0 ? 429 : 200, answer.text);
        if (answer.status === 429) assert.ok(Number(answer.headers['retry-after']) <= 60);
      }
    });
    await withClock('http://127.0.0.1:1', { CIRCUIT_BREAKER: 'on' }, async (proxy, jump) => {
      await until('it is open', async () => (await send(proxy.port, chat(ask('Hi')))).status === 503);
      for (const seconds of [6 * HOUR, -6 * HOUR]) {
        jump(seconds);
        assert.equal((await send(proxy.port, chat(ask('Hi')))).json.error.code, 'upstream_down');
      }
    });
  });

  it('cell S12: a process that stood still (SIGSTOP, a laptop that slept): what came meanwhile counts', async () => {
    for (const upstream of [sim, secureSim])
      await withProxy(upstream, { REQUEST_TIMEOUT: '1', IDLE_TIMEOUT: '1', WORKERS: '1', UPSTREAM_CA_FILE: authority.cert }, async (proxy) => {
        const expected = (await send(proxy.port, chat(ask(words(40, 0))))).json.choices[0].message.content;
        const streams = await Promise.all([1, 2, 3].map(() => watchStream(proxy.port, words(40, 60), expected)));
        process.kill(proxy.pid, 'SIGSTOP');
        await sleep(isSanitized ? 1800 : 1500);
        process.kill(proxy.pid, 'SIGCONT');
        for (const stream of streams) await stream.check();
      });
  });
});

describe("the upstream's TLS", () => {
  const own = { names: 'DNS:localhost,IP:127.0.0.1' };
  let seen, servers;
  before(() => ((seen = []), (servers = [])));
  after(() => servers.forEach((server) => server.close()));

  /** A TLS server that keeps what it is told behind the handshake. */
  async function serveTls({ certPem, keyPem }, more = {}) {
    const server = tls.createServer({ cert: certPem, key: keyPem, ALPNProtocols: ['h2', 'http/1.1'], ...more }, (socket) => socket.on('error', () => {}).on('data', (piece) => seen.push(piece)));
    return listen(server.on('tlsClientError', () => {}));
  }
  /** A TCP server: `talk(socket)`; keeps what it is told. */
  const servePlain = (talk) => listen(net.createServer((socket) => {
    socket.on('error', () => {}).on('data', (piece) => seen.push(piece));
    talk(socket);
  }));
  async function listen(server) {
    servers.push(server);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
  }

  // [certificate, the reason that the log must name]
  const wrong = {
    'by an authority that is not trusted': [() => issue(makeAuthority('another'), own), /unable to get local issuer certificate|unable to verify/],
    'self-signed': [() => makeAuthority('itself'), /self[- ]signed certificate/],
    'that has expired': [() => issue(authority, { ...own, days: -1 }), /certificate has expired/],
    'that is not valid yet': [() => future(), /certificate is not yet valid/],
    'for another name': [() => issue(authority, { names: 'DNS:elsewhere.test,IP:192.0.2.1' }), /IP address mismatch|hostname mismatch/],
    'for clients': [() => issue(authority, { ...own, usage: 'clientAuth' }), /unsuitable certificate purpose|unsupported certificate purpose/],
  };
  /** openssl x509 has no start date before version 3.4: `openssl ca` has. */
  function future() {
    const folder = scratch();
    const at = (name) => path.join(folder, name);
    writeFileSync(at('index'), '');
    writeFileSync(at('config'), `[ca]\ndefault_ca=a\n[a]\ndatabase=${at('index')}\nrand_serial=yes\nnew_certs_dir=${folder}\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=${own.names}\nextendedKeyUsage=serverAuth\n`);
    const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost', '-keyout', at('key.pem'), '-out', at('csr'));
    const day = (n) => new Date(Date.now() + n * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '');
    openssl('ca', '-batch', '-config', at('config'), '-cert', authority.cert, '-keyfile', authority.key, '-in', at('csr'), '-out', at('cert.pem'), '-notext', '-startdate', day(1), '-enddate', day(2));
    return { certPem: execFileSync('cat', [at('cert.pem')]), keyPem: execFileSync('cat', [at('key.pem')]) };
  }

  async function assertRefused(port, reason, env = {}, statuses = [502]) {
    seen.length = 0;
    await withProxy(`https://127.0.0.1:${port}`, { UPSTREAM_CA_FILE: authority.cert, WORKERS: '1', ...env }, async (proxy) => {
      for (const stream of isStreamed) {
        const answer = await send(proxy.port, chat(ask('a secret question', { stream })));
        assert.ok(statuses.includes(answer.status), answer.text);
        if (answer.status === 502) assertUnreachable(answer);
      }
      await until(`the reason; the log has ${proxy.stderr.slice(-700)}`, () => reason.test(proxy.stderr));
      assert.doesNotMatch(proxy.stderr, new RegExp(UPSTREAM_KEY));
    });
    const told = Buffer.concat(seen).toString('latin1');
    assert.doesNotMatch(told, new RegExp(`${UPSTREAM_KEY}|secret question`));
  }

  for (const [name, [make, reason]] of Object.entries(wrong))
    it(`cell S13: a certificate ${name}: 502, the log says why, no byte of a request`, async () => {
      for (const ALPNProtocols of [['h2'], ['http/1.1']]) {
        await assertRefused(await serveTls(make(), { ALPNProtocols }), reason);
        assert.equal(seen.length, 0, 'nothing was said behind the handshake');
      }
    });

  it('cell S14: TLS 1.1 at most, and only weak ciphers', async () => {
    await assertRefused(await serveTls(certificate, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), /protocol version|unsupported protocol/);
    await assertRefused(await serveTls(certificate, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0' }), /handshake failure/);
  });

  it('cell S14: plain HTTP, garbage, an end, a reset instead of a handshake', async () => {
    await assertRefused(await servePlain((socket) => socket.write('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')), /wrong version number|http request|packet length/);
    await assertRefused(await servePlain((socket) => socket.end(Buffer.alloc(500, 0x5a))), /wrong version number|packet length/);
    await assertRefused(await servePlain((socket) => socket.end()), /closed without close_notify|closed the connection|reset/);
    await assertRefused(await servePlain((socket) => socket.once('data', () => socket.resetAndDestroy())), /reset/);
  });

  it('cell S14: a handshake that is cut in the middle, or stalls there', async () => {
    const secure = await serveTls(certificate);
    // The first 100 bytes of the real server's answer, then nothing.
    const partly = (then) => servePlain((socket) => {
      const onward = net.connect(secure, '127.0.0.1').on('error', () => {});
      socket.on('data', (piece) => onward.write(piece)).on('close', () => onward.destroy());
      onward.once('data', (piece) => {
        socket.write(piece.subarray(0, 100));
        then(socket);
      });
    });
    await assertRefused(await partly((socket) => socket.end()), /closed without close_notify|reset/);
    await assertRefused(await partly((socket) => setTimeout(() => socket.resetAndDestroy(), 20)), /reset/);
    await assertRefused(await partly(() => {}), /handshake timed out/, { CONNECT_TIMEOUT: '1' }, [502, 504]);
  });

  it('cell S15: another certificate at the next connection: a good one is taken, a bad one is not', async () => {
    let pair = certificate;
    const certificates = { good: certificate, renewed: issue(authority), foreign: issue(makeAuthority('another'), own) };
    const body = JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'fine' }], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } });
    let asked = 0;
    // Each connection serves one request.
    const server = tls.createServer({ cert: pair.certPem, key: pair.keyPem }, (socket) => {
      socket.on('error', () => {}).on('data', (piece) => {
        if (!/^POST /.test(piece.toString())) return socket.end('HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
        asked++;
        return socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      });
    }).on('tlsClientError', () => {});
    const port = await listen(server);
    await withProxy(`https://127.0.0.1:${port}`, { UPSTREAM_CA_FILE: authority.cert, WORKERS: '1' }, async (proxy) => {
      for (const [name, status] of [['good', 200], ['renewed', 200], ['foreign', 502], ['good', 200]]) {
        pair = certificates[name];
        server.setSecureContext({ cert: pair.certPem, key: pair.keyPem });
        const before = asked;
        const answer = await send(proxy.port, chat(ask('Hi')));
        assert.equal(answer.status, status, `${name}: ${answer.text}`);
        assert.equal(asked - before, status === 200 ? 1 : 0, name);
      }
    });
  });
});

describe('logs that nobody takes', () => {
  /** The proxy by a shell that sets its standard error first; the port is known beforehand. */
  async function withStderr(redirect, use, { before: script = '', stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
    const port = await new Promise((resolve) => {
      const probe = net.createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = probe.address();
        probe.close(() => resolve(free));
      });
    });
    const child = spawn('sh', ['-c', `${script} exec "$0" serve ${redirect}`, binary], { stdio, cwd: scratch(), env: cleanEnvironment(proxySettings(sim, { PORT: String(port), LOG_LEVEL: 'debug', WORKERS: '2' })) });
    const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
    try {
      await until('it listens', () => Connection.open(port).then((c) => (c.close(), true), () => false), 10_000);
      await use(port, child);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, { code: 0, signal: null });
    } finally {
      child.kill('SIGKILL');
    }
  }
  async function serves(port, n) {
    for (let i = 0; i < n; i += 20)
      await Promise.all(Array.from({ length: 20 }, async (_, k) => {
        const answer = await send(port, chat(ask('Hi', { stream: k % 2 === 0 })));
        assert.equal(answer.status, 200);
      }));
  }

  it('cell S16: a pipe that is full: nobody waits for its reader, and the log says what it lost at last', async () => {
    await withStderr('', async (port, child) => {
      child.stderr.pause(); // what a socket, the proxy and node hold
      await serves(port, 2500);
      let text = '';
      child.stderr.setEncoding('utf8').on('data', (piece) => (text += piece)).resume();
      await until('it is empty', () => text.length > 10_000);
      await serves(port, 20);
      await until('the log says that lines are missing', () => /lines are missing","lines":\d+/.test(text));
      for (const line of text.trimEnd().split('\n')) JSON.parse(line);
    });
  });

  for (const [name, redirect] of [['a disk that is full', '2>/dev/full'], ['standard error closed', '2>&-'], ['all of them closed', '<&- >&- 2>&-']])
    it(`cell S17: ${name}: it serves, and no line goes to a client`, async () => {
      await withStderr(redirect, (port) => serves(port, 100));
    });

  it('cell S17: a reader that is gone (SIGPIPE)', async () => {
    await withStderr('', async (port, child) => {
      child.stderr.destroy();
      await serves(port, 100);
    });
  });

  const readOnly = spawnSync('unshare', ['-m', 'mount', '-o', 'remount,bind,ro', '/'], { env: cleanEnvironment() });
  it('cell S18: a file system that is read only', { skip: readOnly.status === 0 ? false : 'no mount namespace here' }, async () => {
    const proxy = new Server('unshare', ['-m', 'sh', '-c', 'mount -o remount,bind,ro / && ! touch /tmp/x 2>/dev/null; exec "$0" serve', binary], { env: proxySettings(secureSim, { UPSTREAM_CA_FILE: authority.cert }) });
    await until('it listens', () => proxy.isOver || (proxy.port = proxy.findPort()), 20_000);
    for (const stream of isStreamed) {
      const answer = await send(proxy.port, chat(ask('Hi', { stream })));
      assert.equal(answer.status, 200, answer.text);
      if (stream) readStream(answer.text);
    }
    await proxy.stop();
  });
});
