// HTTPS to the clients: what is spoken and what is refused, client certificates, and a certificate
// that is changed while streams are open.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';

import OpenAI from 'openai';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { Connection, ask, chat, readStream, request, send } from './lib/http.mjs';
import { Recorder } from './lib/recorder.mjs';
import { MODEL, PROXY_KEY, Child, cleanEnvironment, proxySettings, runBinary, scratch, sleep, startProxy, startSim, until } from './lib/process.mjs';

let authority, certificate, sim, recorder, proxy;

const settings = (own) => ({ TLS_CERT: own.cert, TLS_KEY: own.key });

before(async () => {
  authority = makeAuthority();
  certificate = issue(authority);
  sim = await startSim();
  recorder = await Recorder.start(sim.url);
  proxy = await startProxy(recorder.url, { ...settings(certificate), HEAD_TIMEOUT: '2', LOG_LEVEL: 'debug', WORKERS: '2' });
});
after(async () => {
  await proxy?.stop();
  await recorder?.stop();
  await sim?.stop();
});

async function withProxy(env, use) {
  const own = await startProxy(recorder.url, env);
  try {
    await use(own);
  } finally {
    await own.stop();
  }
}

const trust = (more = {}) => ({ ca: authority.certPem, ...more });
const secured = (more) => ({ secure: trust(more) });

/** The openssl command as a client; `say` is its standard input. */
function sClient(port, args, say = '') {
  return new Promise((resolve) => {
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', authority.cert, ...args], { env: cleanEnvironment() });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (text += piece));
    child.stdin.on('error', () => {}).end(say);
    child.on('close', (code) => resolve({ code, text }));
  });
}

async function curl(port, args) {
  const child = new Child('curl', ['-sS', '--max-time', '10', '--cacert', authority.cert, '--resolve', `localhost:${port}:127.0.0.1`, ...args]);
  const { code } = await child.end(15_000);
  return { code, stdout: child.stdout, stderr: child.stderr };
}

/** The last access-log line of a request id. */
const logLine = (own, id) => until(`a line of ${id}`, () => own.stderr.split('\n').filter((line) => line.includes(id)).map((line) => JSON.parse(line)).at(-1));

describe('clients over HTTPS', () => {
  const client = (agent) => new OpenAI({
    baseURL: `https://localhost:${proxy.port}/v1`, apiKey: PROXY_KEY, maxRetries: 0,
    fetch: (url, { method, headers, body, signal }) => fetchWith(agent, url, { method, headers, body, signal }),
  });
  /** fetch over node:https, whose agent can be told whom to trust. */
  function fetchWith(agent, url, { method, headers, body, signal }) {
    return new Promise((resolve, reject) => {
      const asked = https.request(url, { method, headers: Object.fromEntries(new Headers(headers)), agent, signal }, (answer) => {
        const stream = new ReadableStream({
          start(to) {
            answer.on('data', (piece) => to.enqueue(piece)).on('end', () => to.close()).on('error', (error) => to.error(error));
          },
          cancel: () => answer.destroy(),
        });
        resolve(new Response(stream, { status: answer.statusCode, headers: answer.headers }));
      });
      asked.on('error', reject).end(body);
    });
  }

  it('the SDK: an answer, a stream, the models', async () => {
    const agent = new https.Agent({ ca: authority.certPem, keepAlive: true });
    try {
      const openai = client(agent);
      const messages = [{ role: 'user', content: "What's the capital of France?" }];
      const whole = await openai.chat.completions.create({ model: MODEL, messages });
      assert.match(whole.choices[0].message.content, /Paris/);
      let streamed = '';
      for await (const chunk of await openai.chat.completions.create({ model: MODEL, messages, stream: true }))
        streamed += chunk.choices[0]?.delta.content ?? '';
      assert.equal(streamed, whole.choices[0].message.content);
      assert.ok((await openai.models.list()).data.length > 0);
    } finally {
      agent.destroy();
    }
  });

  it('the SDK aborts a stream: the upstream sees it at once', async () => {
    const agent = new https.Agent({ ca: authority.certPem });
    const stop = new AbortController();
    const stream = await client(agent).chat.completions.create(
      { model: MODEL, stream: true, messages: [{ role: 'user', content: 'tls-abort [[sim: words=500 gap=20ms]]' }] }, { signal: stop.signal });
    let n = 0;
    for await (const chunk of stream) if (chunk && ++n === 3) stop.abort(); // ends the loop
    assert.ok(n < 400, `${n} chunks`);
    const call = recorder.find('tls-abort');
    await until('the upstream is cancelled', () => call.abortedAtMs, 2000);
    agent.destroy();
  });

  for (const version of ['1.2', '1.3'])
    it(`curl over TLS ${version}: a stream; the log names the version`, async () => {
      const { code, stdout, stderr } = await curl(proxy.port, [`--tlsv${version}`, '--tls-max', version, '-D', '-', '-H', `authorization: Bearer ${PROXY_KEY}`, '-H', 'content-type: application/json',
        '-d', JSON.stringify(ask('Hi', { stream: true })), `https://localhost:${proxy.port}/v1/chat/completions`]);
      assert.equal(code, 0, stderr);
      const [head, body] = stdout.split('\r\n\r\n');
      readStream(body);
      const [, id] = /x-request-id: (\S+)/.exec(head);
      assert.equal((await logLine(proxy, id)).tls, `TLSv${version}`);
    });

  it('curl gets the version of HTTP that it wants, by ALPN', async () => {
    for (const [flag, version] of [['--http2', '2'], ['--http1.1', '1.1'], ['--no-alpn', '1.1']]) {
      const { code, stdout, stderr } = await curl(proxy.port, [flag, '-o', '/dev/null', '-w', '%{http_version} %{http_code}', `https://localhost:${proxy.port}/health`]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, `${version} 200`);
    }
  });

  it('a large body and a large answer pass whole', async () => {
    const text = 'x'.repeat(3_000_000);
    const answer = await send(proxy.port, chat(ask(`${text} [[sim: words=20000]]`)), secured());
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    assert.ok(answer.body.length > 100_000);
  });

  it('several requests on one connection, one of them sent ahead', async () => {
    const connection = await Connection.open(proxy.port, secured());
    await connection.write(Buffer.concat([request('GET', '/health'), chat(ask('Hi'))]));
    assert.equal((await connection.answer()).status, 200);
    assert.equal((await connection.answer()).json.object, 'chat.completion');
    connection.close();
  });

  it('sessions are resumed, without a ticket that could be read later', async () => {
    const file = path.join(scratch(), 'session');
    for (const version of ['-tls1_2', '-tls1_3']) {
      const question = request('GET', '/health', { headers: { connection: 'close' } });
      const first = await sClient(proxy.port, [version, '-ign_eof', '-sess_out', file], question);
      assert.match(first.text, /HTTP\/1\.1 200/);
      const second = await sClient(proxy.port, [version, '-ign_eof', '-sess_in', file], question);
      assert.match(second.text, /HTTP\/1\.1 200/);
      assert.match(second.text, /Reused/);
    }
  });
});

describe('what is refused', () => {
  it('TLS 1.1, a weak cipher, an unknown protocol', async () => {
    assert.match((await sClient(proxy.port, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'])).text, /alert protocol version/);
    for (const cipher of ['AES128-SHA', 'ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256'])
      assert.match((await sClient(proxy.port, ['-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`])).text, /alert handshake failure/);
    assert.match((await sClient(proxy.port, ['-alpn', 'h3,http/0.9'])).text, /alert no application protocol/);
    assert.match((await sClient(proxy.port, ['-alpn', 'http/1.1,h2'])).text, /ALPN protocol: h2/);
  });

  it('renegotiation', async () => {
    const socket = tls.connect({ port: proxy.port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem, maxVersion: 'TLSv1.2' });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const refused = new Promise((resolve) => {
      socket.once('error', resolve);
      socket.renegotiate({}, (error) => error && resolve(error));
    });
    assert.match(String(await refused), /renegotiation/i);
    socket.destroy();
  });

  it('cell C26: HTTP without TLS is told so in plain words', async () => {
    const answer = await send(proxy.port, chat(ask('Hi')));
    assert.equal(answer.status, 400);
    assert.equal(answer.json.error.code, 'https_required');
    const garbage = await Connection.open(proxy.port);
    await garbage.write('\x16\x03\x01 this is no handshake at all'.padEnd(200));
    await garbage.closed(3000);
    garbage.close();
  });

  it('cell C13: a handshake that dribbles or never comes ends in time', async () => {
    const hello = await new Promise((resolve) => {
      const trap = net.createServer((socket) => socket.once('data', (piece) => {
        resolve(piece);
        socket.destroy();
        trap.close();
      })).listen(0, '127.0.0.1', () => tls.connect({ port: trap.address().port, host: '127.0.0.1', servername: 'localhost' }).on('error', () => {}));
    });
    const silent = await Connection.open(proxy.port);
    const dribbling = await Connection.open(proxy.port);
    const halfway = await Connection.open(proxy.port);
    const started = performance.now();
    await halfway.write(hello); // and no answer to the server's flight
    const drip = (async () => {
      for (const byte of hello) {
        if (dribbling.isEnded) return;
        await dribbling.write(Buffer.from([byte]));
        await sleep(100);
      }
    })();
    for (const connection of [silent, dribbling, halfway]) {
      await connection.closed(6000);
      const ms = performance.now() - started;
      assert.ok(ms > 1500 && ms < 5000, `${ms} ms`);
      connection.close();
    }
    await drip;
    assert.match(proxy.stderr, /TLS with a client failed.*timed out/);
  });

  const broken = [
    ['a certificate without its key', () => ({ TLS_CERT: certificate.cert }), /TLS_KEY/],
    ['a key without its certificate', () => ({ TLS_KEY: certificate.key }), /TLS_CERT/],
    ['an authority without TLS', () => ({ TLS_CLIENT_CA: authority.cert }), /TLS_CERT/],
    ['a certificate that is not there', () => ({ TLS_CERT: '/nowhere.pem', TLS_KEY: certificate.key }), /\/nowhere\.pem.*No such file/],
    ['a key where the certificate should be', () => ({ TLS_CERT: certificate.key, TLS_KEY: certificate.key }), /certificate.*none in it/],
    ["another certificate's key", () => ({ TLS_CERT: certificate.cert, TLS_KEY: authority.key }), /belongs to another/],
    ['a certificate where the key should be', () => ({ TLS_CERT: certificate.cert, TLS_KEY: certificate.cert }), /key.*none in it/],
    ['no authority in its file', () => ({ ...settings(certificate), TLS_CLIENT_CA: certificate.key }), /CA certificates/],
    ['a key with a passphrase', () => {
      const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-passout', 'pass:secret'];
      return settings(issue(authority, { newKey }));
    }, /encrypted.*passphrase/],
  ];
  for (const [name, env, says] of broken)
    it(`${name}: one line, exit code 2`, async () => {
      const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, env()) });
      assert.equal(code, 2, stderr);
      assert.match(stderr, says);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    });

  it('a public address without a key, TLS or not', async () => {
    const { code, stderr } = await runBinary(['serve'], { env: proxySettings(sim, { ...settings(certificate), HOST: '0.0.0.0', CLAUDE_PROXY_API_KEY: '' }) });
    assert.equal(code, 2);
    assert.match(stderr, /CLAUDE_PROXY_API_KEY/);
  });
});

describe('client certificates', () => {
  let own, clients, mtls;
  before(async () => {
    clients = makeAuthority('clients');
    own = issue(clients, { common: 'service-a', names: 'DNS:service-a', usage: 'clientAuth' });
    mtls = await startProxy(recorder.url, { ...settings(certificate), TLS_CLIENT_CA: clients.cert, LOG_LEVEL: 'debug' });
  });
  after(() => mtls?.stop());

  const shown = (pair, more = {}) => ({ secure: trust({ cert: pair.certPem, key: pair.keyPem, ...more }) });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    it(`${maxVersion}: a valid one is served, and still needs the key`, async () => {
      assert.equal((await send(mtls.port, chat(ask('Hi')), shown(own, { maxVersion }))).status, 200);
      assert.equal((await send(mtls.port, chat(ask('Hi'), { key: '' }), shown(own, { maxVersion }))).status, 401);
    });

    const refused = [
      ['none', () => undefined],
      ['one that expired', () => issue(clients, { usage: 'clientAuth', days: -1 })],
      ['one by another authority', () => issue(authority, { usage: 'clientAuth' })],
      ['a self-signed one', () => makeAuthority('self-signed')],
      ['one for servers', () => issue(clients, { usage: 'serverAuth' })],
    ];
    for (const [name, make] of refused)
      it(`${maxVersion}: ${name} is refused before a request is read`, async () => {
        const pair = make();
        const options = pair ? shown(pair, { maxVersion }) : secured({ maxVersion });
        const seen = recorder.messages.length;
        // TLS 1.3 clients learn of it with their first read.
        const end = await send(mtls.port, chat(ask('Hi')), options).then((answer) => answer.status, (error) => error);
        assert.ok(end instanceof Error, `answered ${end}`);
        assert.equal(recorder.messages.length, seen);
        await until('the log says so', () => /TLS with a client failed/.test(mtls.stderr));
      });
  }

  it('a resumed session is one of a client that was verified', async () => {
    const file = path.join(scratch(), 'session');
    const question = request('GET', '/health', { headers: { connection: 'close' } });
    const args = ['-ign_eof', '-cert', own.cert, '-key', own.key];
    assert.match((await sClient(mtls.port, [...args, '-sess_out', file], question)).text, /HTTP\/1\.1 200/);
    const again = await sClient(mtls.port, [...args, '-sess_in', file], question);
    assert.match(again.text, /Reused/);
    assert.match(again.text, /HTTP\/1\.1 200/);
  });

  it('`health` counts a server that wants a certificate as well', async () => {
    const { code, stdout, stderr } = await runBinary(['health'], { env: { ...settings(certificate), TLS_CLIENT_CA: clients.cert, HOST: '127.0.0.1', PORT: String(mtls.port) } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /certificate/);
  });
});

describe('`health` and `check`', () => {
  it('health asks over TLS', async () => {
    const { code, stdout, stderr } = await runBinary(['health'], { env: { ...settings(certificate), HOST: '127.0.0.1', PORT: String(proxy.port) } });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).status, 'ok');
    const plain = await runBinary(['health'], { env: { HOST: '127.0.0.1', PORT: String(proxy.port) } });
    assert.equal(plain.code, 1);
    const wrong = await runBinary(['health'], { env: { ...settings(certificate), HOST: '127.0.0.1', PORT: String(sim.port) } });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /TLS/);
  });

  const judged = [
    ['fine', {}, 0, /fine {2}tls +localhost, 127\.0\.0\.1, \*\.proxy\.example; valid until 20\d\d-/],
    ['ends soon', { days: 2 }, 0, /\? {5}tls .*valid until/],
    ['expired', { days: -1 }, 1, /FAIL {2}tls .*expired on 20\d\d-/],
  ];
  for (const [name, options, code, says] of judged)
    it(`check: a certificate that is ${name}`, async () => {
      const own = issue(authority, { days: 90, names: 'DNS:localhost,IP:127.0.0.1,DNS:*.proxy.example', ...options });
      const ran = await runBinary(['check'], { env: proxySettings(sim, settings(own)) });
      assert.equal(ran.code, code, ran.stdout);
      assert.match(ran.stdout, says);
    });
  it('check: a certificate without its key', async () => {
    const ran = await runBinary(['check'], { env: proxySettings(sim, { TLS_CERT: certificate.cert }) });
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /FAIL {2}tls .*TLS_KEY/);
  });
});

describe('SIGHUP', () => {
  /** The serial number of the certificate that new connections are shown. */
  const shownNow = (port) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    }).on('error', reject);
  });

  it('a new certificate is shown, the old one on streams that are open', async () => {
    const folder = scratch();
    const files = { TLS_CERT: path.join(folder, 'cert.pem'), TLS_KEY: path.join(folder, 'key.pem') };
    const install = (pair) => (copyFileSync(pair.cert, files.TLS_CERT), copyFileSync(pair.key, files.TLS_KEY));
    install(certificate);
    await withProxy({ ...files, WORKERS: '2' }, async (own) => {
      const first = await shownNow(own.port);
      const streams = await Promise.all([1, 2, 3].map(async () => {
        const connection = await Connection.open(own.port, secured());
        await connection.write(chat(ask('[[sim: words=80 gap=10ms]]', { stream: true })));
        await connection.wait('the first content', (c) => c.data.includes('"content":"'));
        return connection;
      }));

      install(issue(authority));
      own.child.kill('SIGHUP');
      await until('the reload', () => /"reloaded"/.test(own.stderr));
      const second = await shownNow(own.port);
      assert.notEqual(second, first);

      writeFileSync(files.TLS_CERT, 'no certificate');
      own.child.kill('SIGHUP');
      await until('the failure', () => /"level":"error".*reload failed.*certificate/.test(own.stderr));
      assert.equal(await shownNow(own.port), second);

      for (let i = 0; i < 20; i++) own.child.kill('SIGHUP');
      for (const connection of streams) {
        readStream((await connection.answer()).text);
        await connection.write(request('GET', '/health')); // the old session goes on
        assert.equal((await connection.answer()).status, 200);
        connection.close();
      }
    });
  });

  it('a server without TLS lives on', async () => {
    await withProxy({}, async (own) => {
      own.child.kill('SIGHUP');
      await until('the reload', () => /"reloaded"/.test(own.stderr));
      assert.equal((await send(own.port, request('GET', '/health'))).status, 200);
    });
  });
});
