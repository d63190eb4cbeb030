// The way out: web proxies, private certificate authorities, a local address.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { ask, chat, readStream, send } from './lib/http.mjs';
import { proxySettings, runBinary, scratch, startProxy, startSim, until } from './lib/process.mjs';

const HOST = 'upstream.test'; // known to the web proxy alone
const PASSWORD = 'pr0xy-secret';

let authority, certificate, sim, plainSim;

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority, { names: `DNS:${HOST},IP:127.0.0.1` });
  sim = await startSim(['--cert', certificate.cert, '--key', certificate.key]);
  plainSim = await startSim();
});
after(async () => {
  await sim?.stop();
  await plainSim?.stop();
});

async function withProxy(upstream, env, use) {
  const own = await startProxy(upstream, env);
  try {
    await use(own);
  } finally {
    await own.stop();
  }
}

/** A web proxy for `upstream.test`; {port, asked: heads of CONNECTs, relayed: requests in full form}. */
async function webProxy({ refuse } = {}) {
  const proxy = { asked: [], relayed: [], open: new Set() };
  const denies = (headers) => refuse?.(headers);
  proxy.server = http.createServer((req, res) => {
    proxy.relayed.push({ url: req.url, headers: req.headers });
    if (denies(req.headers)) return res.writeHead(407).end();
    const { hostname, port, pathname, search } = new URL(req.url);
    assert.equal(hostname, HOST);
    const { 'proxy-authorization': _, ...headers } = req.headers;
    req.pipe(http.request({ host: '127.0.0.1', port, path: pathname + search, method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    }));
  });
  proxy.server.on('connect', (req, socket) => {
    proxy.asked.push({ url: req.url, headers: req.headers });
    proxy.open.add(socket.on('error', () => {}).on('close', () => proxy.open.delete(socket)));
    const status = denies(req.headers);
    if (status) return socket.end(`HTTP/1.1 ${status} No\r\nconnection: close\r\n\r\n`);
    const onward = net.connect(Number(req.url.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    socket.on('close', () => onward.destroy());
    onward.on('error', () => socket.destroy()).on('close', () => socket.destroy());
  });
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  proxy.port = proxy.server.address().port;
  proxy.stop = () => {
    for (const socket of proxy.open) socket.destroy();
    proxy.server.closeAllConnections();
    proxy.server.close();
  };
  return proxy;
}

async function withWebProxy(options, use) {
  const proxy = await webProxy(options);
  try {
    await use(proxy);
  } finally {
    proxy.stop();
  }
}

const basic = `Basic ${Buffer.from(`user:${PASSWORD}`).toString('base64')}`;
const secureUrl = () => `https://${HOST}:${sim.port}`;
const withAuthority = (more) => ({ UPSTREAM_CA_FILE: authority.cert, ...more });

describe('HTTPS_PROXY', () => {
  it('a tunnel, HTTP/2 in it, one for many requests; the password is nowhere to be seen', async () => {
    await withWebProxy({ refuse: (headers) => headers['proxy-authorization'] !== basic && 407 }, async (web) => {
      const env = withAuthority({ HTTPS_PROXY: `http://user:${PASSWORD}@127.0.0.1:${web.port}`, LOG_LEVEL: 'debug', WORKERS: '1' });
      await withProxy(secureUrl(), env, async (own) => {
        const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => send(own.port, chat(ask('Hi', { stream: i % 2 === 0 })))));
        for (const [i, answer] of answers.entries()) {
          assert.equal(answer.status, 200, answer.text);
          if (i % 2 === 0) readStream(answer.text);
        }
        assert.ok(web.asked.length <= 2, `${web.asked.length} tunnels`);
        assert.equal(web.asked[0].url, `${HOST}:${sim.port}`);
        assert.equal(web.asked[0].headers.host, `${HOST}:${sim.port}`);
        assert.deepEqual(Object.keys(web.asked[0].headers).sort(), ['host', 'proxy-authorization']);
        assert.doesNotMatch(own.stderr, new RegExp(`${PASSWORD}|${basic}`));
        assert.match(own.stderr, new RegExp(`proxy.*127\\.0\\.0\\.1.*${web.port}`));
        assert.match(own.stderr, /HTTPS_PROXY.*"set"/);
      });
      const checked = await runBinary(['check'], { env: proxySettings(secureUrl(), env) });
      assert.equal(checked.code, 0, checked.stdout);
    });
  });

  it("the environment's https_proxy and no_proxy", async () => {
    await withWebProxy({}, async (web) => {
      const https_proxy = `http://127.0.0.1:${web.port}`;
      await withProxy(secureUrl(), withAuthority({ https_proxy }), async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
      });
      const n = web.asked.length;
      assert.ok(n > 0);
      // Without the proxy nobody knows the name.
      await withProxy(secureUrl(), withAuthority({ https_proxy, no_proxy: 'x.example,.test' }), async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).json.error.code, 'upstream_unreachable');
      });
      // This machine is never asked for by way of a proxy.
      await withProxy(sim, withAuthority({ https_proxy }), async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
      });
      assert.equal(web.asked.length, n);
    });
  });

  const failures = [
    ['no password', {}, () => 407, /proxy: wants a user and password \(407\)/],
    ['a wrong password', { user: 'user:wrong@' }, () => 407, /proxy: refuses the user and password \(407\)/],
    ['a proxy that cannot reach it', {}, () => 502, /proxy: answered CONNECT with status 502/],
    ['a proxy that forbids it', {}, () => 403, /proxy: answered CONNECT with status 403/],
  ];
  for (const [name, { user = '' }, refuse, says] of failures)
    it(`${name}: 502, and the log and check say why`, async () => {
      await withWebProxy({ refuse }, async (web) => {
        const env = withAuthority({ HTTPS_PROXY: `http://${user}127.0.0.1:${web.port}` });
        await withProxy(secureUrl(), env, async (own) => {
          const answer = await send(own.port, chat(ask('Hi')));
          assert.equal(answer.status, 502, answer.text);
          assert.equal(answer.json.error.code, 'upstream_unreachable');
          assert.doesNotMatch(answer.text, /127\.0\.0\.1|proxy: /); // what is inside is nobody's business
          await until('the log', () => says.test(own.stderr));
        });
        const checked = await runBinary(['check'], { env: proxySettings(secureUrl(), env) });
        assert.equal(checked.code, 1);
        assert.match(checked.stdout, says);
        assert.match(checked.stdout, /HTTPS_PROXY/);
      });
    });

  it('nobody there, and one that says nothing', async () => {
    const sockets = [];
    const holder = net.createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address();
    await withProxy(secureUrl(), withAuthority({ HTTPS_PROXY: `127.0.0.1:${port}`, CONNECT_TIMEOUT: '1' }), async (own) => {
      const started = performance.now();
      assert.equal((await send(own.port, chat(ask('Hi')))).status, 502);
      assert.ok(performance.now() - started < 4000);
      await until('the log', () => /proxy: did not answer CONNECT in time/.test(own.stderr));
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => holder.close(resolve));
      assert.equal((await send(own.port, chat(ask('Hi')))).status, 502);
      await until('the log', () => /proxy: Connection refused/.test(own.stderr));
    });
  });

  it('a tunnel that breaks in the middle of a stream is an error, not an end', async () => {
    await withWebProxy({}, async (web) => {
      await withProxy(secureUrl(), withAuthority({ HTTPS_PROXY: `http://127.0.0.1:${web.port}` }), async (own) => {
        const stream = send(own.port, chat(ask('[[sim: words=300 gap=20ms]]', { stream: true })));
        await new Promise((resolve) => setTimeout(resolve, 700));
        for (const socket of web.open) socket.destroy();
        const answer = await stream;
        assert.ok(readStream(answer.text).error, answer.text.slice(-300));
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
      });
    });
  });

  it('a value that cannot be used: one line without it, exit code 2', async () => {
    for (const [value, says] of [
      [`https://user:${PASSWORD}@proxy:3128`, /HTTPS_PROXY.*http:\/\//],
      [`http://user:${PASSWORD}@proxy:99999`, /HTTPS_PROXY has no valid port/],
      [`http://user:${PASSWORD}%@proxy`, /HTTPS_PROXY.*%XX/],
    ]) {
      const { code, stderr } = await runBinary(['serve'], { env: proxySettings('https://api.example', { HTTPS_PROXY: value }) });
      assert.equal(code, 2, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, new RegExp(PASSWORD));
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    }
  });
});

describe('HTTP_PROXY', () => {
  const url = () => `http://${HOST}:${plainSim.port}`;

  it('requests to an http upstream are addressed to it', async () => {
    await withWebProxy({ refuse: (headers) => headers['proxy-authorization'] !== basic }, async (web) => {
      await withProxy(url(), { HTTP_PROXY: `http://user:${PASSWORD}@127.0.0.1:${web.port}`, HTTPS_PROXY: 'http://127.0.0.1:1' }, async (own) => {
        const answer = await send(own.port, chat(ask('Hi', { stream: true })));
        assert.equal(answer.status, 200, answer.text);
        readStream(answer.text);
        const asked = web.relayed.find((request) => request.url.includes('/v1/messages'));
        assert.match(asked.url, new RegExp(`^http://${HOST}:${plainSim.port}/v1/messages`));
        assert.equal(asked.headers.host, `${HOST}:${plainSim.port}`);
        assert.equal(web.asked.length, 0);
      });
    });
  });

  it('407 is no answer of the upstream', async () => {
    await withWebProxy({ refuse: () => true }, async (web) => {
      await withProxy(url(), { HTTP_PROXY: `http://127.0.0.1:${web.port}` }, async (own) => {
        const answer = await send(own.port, chat(ask('Hi')));
        assert.equal(answer.status, 502, answer.text);
        assert.equal(answer.json.error.code, 'upstream_unreachable');
        await until('the log', () => /proxy: wants a user and password \(407\)/.test(own.stderr));
      });
    });
  });
});

describe('a private certificate authority', () => {
  it('SSL_CERT_FILE', async () => {
    await withProxy(sim, { SSL_CERT_FILE: authority.cert }, async (own) => {
      assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
    });
  });

  it('SSL_CERT_DIR', async () => {
    const folder = scratch();
    const hash = execFileSync('openssl', ['x509', '-in', authority.cert, '-noout', '-hash']).toString().trim();
    copyFileSync(authority.cert, path.join(folder, `${hash}.0`));
    await withProxy(sim, { SSL_CERT_DIR: folder }, async (own) => {
      assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
    });
  });

  it('UPSTREAM_CA_FILE beside SSL_CERT_FILE: both are trusted', async () => {
    const other = makeAuthority('another');
    for (const [file, more] of [[other.cert, authority.cert], [authority.cert, other.cert]])
      await withProxy(sim, { SSL_CERT_FILE: file, UPSTREAM_CA_FILE: more }, async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
      });
    await withProxy(sim, { SSL_CERT_FILE: other.cert }, async (own) => {
      assert.equal((await send(own.port, chat(ask('Hi')))).status, 502);
    });
  });

  it('SSL_CERT_FILE that cannot be read: one line, exit code 2', async () => {
    const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { SSL_CERT_FILE: '/nowhere.pem' }) });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /SSL_CERT_FILE \/nowhere\.pem: No such file/);
  });
});

describe('UPSTREAM_BIND_ADDRESS', () => {
  it('is where connections come from', async () => {
    const seen = new Set();
    const relay = net.createServer((socket) => {
      seen.add(socket.remoteAddress);
      const onward = net.connect(plainSim.port, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()));
    });
    await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve));
    try {
      await withProxy(`http://127.0.0.1:${relay.address().port}`, { UPSTREAM_BIND_ADDRESS: '127.0.0.9' }, async (own) => {
        assert.equal((await send(own.port, chat(ask('Hi')))).status, 200);
        assert.deepEqual([...seen], ['127.0.0.9']);
      });
    } finally {
      relay.close();
    }
  });

  it("one that is not this machine's: one line, exit code 2", async () => {
    const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { UPSTREAM_BIND_ADDRESS: '192.0.2.1' }) });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /UPSTREAM_BIND_ADDRESS cannot be bound/);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  });
});
