// Silence of the upstream: comments that keep a stream's connection alive while the model thinks,
// and the error that ends it when REQUEST_TIMEOUT has passed. On both HTTP versions, both sides.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createOpenAI } from '@ai-sdk/openai';
import { streamText } from 'ai';
import OpenAI from 'openai';

import { issue, makeAuthority } from './lib/certificates.mjs';
import { Connection, ask, chat, eventData, readStream, send } from './lib/http.mjs';
import { BLOCK, END, EVENTS, JSON_TYPE, LAST, PING, REASON, START, STOP, delta, errorEvent, event, message, startUpstream } from './lib/upstream.mjs';
import { MODEL, PROXY_KEY, scratch, sleep, startProxy, until } from './lib/process.mjs';

const COMMENT = ': ping\n\n';
const MB = 1 << 20;
const comments = (text) => text.split(COMMENT).length - 1;

let authority, certificate;
before(() => {
  authority = makeAuthority();
  certificate = issue(authority);
});

const versions = ['HTTP/1.1', 'HTTP/2'];

/** A proxy in front of `answer`, which is asked by `version`. */
async function withUpstream(version, answer, env, use, flags) {
  const upstream = await startUpstream(answer, version === 'HTTP/2' ? certificate : null);
  const proxy = await startProxy(upstream, { WORKERS: '1', KEEP_ALIVE: '1', UPSTREAM_CA_FILE: authority.cert, ...env }, flags);
  try {
    await use(proxy, upstream);
  } finally {
    await proxy.stop();
    await upstream.stop();
  }
}

/** Plays `steps`: texts to write, numbers to wait for so many milliseconds. */
const play = (...steps) => async (res) => {
  for (const step of steps) {
    if (typeof step === 'number') await sleep(step);
    else if (typeof step === 'function') step(res);
    else res.write(step);
  }
};
const head = (res) => {
  res.writeHead(200, EVENTS);
  res.flushHeaders?.();
};
const finish = (res) => res.end();
const cut = (res) => (res.stream ? res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : res.destroy());
const refuse = (status, type) => (res) => res.writeHead(status, JSON_TYPE).end(JSON.stringify({ type: 'error', error: { type, message: 'no room' } }));

const stream = (content, more = {}) => chat(ask(content, { stream: true, ...more }));

// Mostly waiting: side by side.
describe('comments in a silent stream', { concurrency: 5 }, () => {
  for (const version of versions)
    it(`${version}: before the first event, between and within events`, async () => {
      const text = delta('world');
      const answer = play(head, 2200, START, 1200, BLOCK, delta('Hello '), 1200, text.slice(0, 40), 1200, text.slice(40), LAST, finish);
      await withUpstream(version, answer, {}, async (proxy) => {
        const connection = await Connection.open(proxy.port);
        const started = performance.now();
        await connection.write(stream('Hi'));
        await connection.wait('the first comment', (c) => c.data.includes(COMMENT));
        const ms = performance.now() - started;
        assert.ok(ms > 900 && ms < 2000, `the first comment after ${ms} ms`);
        const got = await connection.answer();
        connection.close();
        assert.equal(got.status, 200);
        assert.ok(got.text.startsWith(COMMENT), got.text.slice(0, 100));
        assert.equal(readStream(got.text).content, 'Hello world');
        const [before, ...behind] = got.text.split('data: ');
        assert.ok(comments(before) >= 2 && comments(before) <= 3, `${comments(before)} in front of the role`);
        assert.ok(comments(behind.join('')) >= 2, 'none behind it');
      });
    });

  it('to clients of HTTP/2, and of HTTP/1.0', async () => {
    const env = { TLS_CERT: certificate.cert, TLS_KEY: certificate.key };
    await withUpstream('HTTP/1.1', play(head, 1300, START, BLOCK, 1300, delta('late'), LAST, finish), env, async (proxy) => {
      const session = http2.connect(`https://localhost:${proxy.port}`, { ca: authority.certPem, lookup: (name, options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) });
      const asked = session.request({ ':path': '/v1/chat/completions', ':method': 'POST', authorization: `Bearer ${PROXY_KEY}` });
      asked.end(JSON.stringify(ask('Hi', { stream: true })));
      const old = send(proxy.port, stream('Hi', {}), { secure: { ca: authority.certPem } });
      const older = send(proxy.port, chat(ask('Hi', { stream: true }), { version: '1.0' }), { secure: { ca: authority.certPem } });
      let text = '';
      for await (const piece of asked.setEncoding('utf8')) text += piece;
      session.destroy();
      for (const got of [text, (await old).text, (await older).text]) {
        assert.equal(comments(got), 2, got);
        assert.equal(readStream(got).content, 'late');
      }
    });
  });

  it('none before the upstream has taken the request: an error keeps its status', async () => {
    const answers = [play(1800, refuse(529, 'overloaded_error')), play(1800, refuse(400, 'invalid_request_error'))];
    await withUpstream('HTTP/1.1', (res, body, n) => answers[n - 1](res), {}, async (proxy) => {
      assert.equal((await send(proxy.port, stream('Hi'))).status, 503);
      assert.equal((await send(proxy.port, stream('Hi'))).status, 400);
    });
  });

  it('an error that comes with the head keeps its status, however late', async () => {
    await withUpstream('HTTP/1.1', play(1800, head, START, 300, errorEvent('overloaded_error'), finish), {}, async (proxy) => {
      assert.equal((await send(proxy.port, stream('Hi'))).status, 503);
    });
  });

  for (const version of versions)
    for (const [name, ...end] of [
      ['an error event', errorEvent('overloaded_error'), finish],
      ['a broken connection', cut],
      ['an end without an answer', finish],
    ])
      it(`${version}: ${name} behind comments is an error chunk, no [DONE]`, async () => {
        await withUpstream(version, play(head, 1500, ...end), {}, async (proxy) => {
          const got = await send(proxy.port, stream('Hi'));
          assert.equal(got.status, 200);
          assert.equal(comments(got.text), 1);
          const data = eventData(got.text);
          assert.equal(data.length, 1, got.text);
          assert.ok(JSON.parse(data[0]).error.message);
        });
      });

  it('a retry behind comments is seen by nobody', async () => {
    const answers = [play(head, START, 1500, errorEvent('overloaded_error'), finish), play(1300, refuse(529, 'overloaded_error')), play(head, START, BLOCK, delta('third'), LAST, finish)];
    await withUpstream('HTTP/1.1', (res, body, n) => answers[n - 1](res), { RETRIES: '2' }, async (proxy, upstream) => {
      const got = await send(proxy.port, stream('Hi'));
      assert.equal(got.status, 200);
      assert.ok(comments(got.text) >= 2, 'none while it is sent again');
      assert.equal(readStream(got.text).content, 'third');
      assert.equal(upstream.calls, 3);
    });
  });

  for (const [name, retries, ok] of [['is made again', '1', true], ['ends the answer with an error chunk', '0', false]])
    it(`of two choices one fails behind the other's comments, and ${name}`, async () => {
      const silent = play(head, START, 2600, BLOCK, delta('well'), LAST, finish);
      const answers = [silent, play(1800, refuse(529, 'overloaded_error')), play(head, START, BLOCK, delta('well'), LAST, finish)];
      await withUpstream('HTTP/1.1', (res, body, n) => answers[n - 1](res), { RETRIES: retries, FALLBACK_MODELS: 'claude-haiku-4-5' }, async (proxy, upstream) => {
        const got = await send(proxy.port, stream('Hi', { n: 2 }));
        assert.equal(got.status, 200);
        assert.ok(comments(got.text) >= 1);
        assert.equal(upstream.calls, ok ? 3 : 2);
        if (ok) for (const index of [0, 1]) assert.equal(readStream(got.text, { index, choices: 2 }).content, 'well');
        else {
          assert.deepEqual(eventData(got.text).map((one) => JSON.parse(one).error?.type), ['server_error']);
          assert.doesNotMatch(got.text, /DONE/);
        }
      });
    });

  it('a reload that ends KEEP_ALIVE leaves an open stream its comments', async () => {
    const file = path.join(scratch(), 'settings');
    writeFileSync(file, 'KEEP_ALIVE=1\n');
    await withUpstream('HTTP/1.1', play(head, START, 3500, BLOCK, delta('late'), LAST, finish), { KEEP_ALIVE: undefined }, async (proxy) => {
      const open = send(proxy.port, stream('Hi'));
      await sleep(500);
      writeFileSync(file, 'KEEP_ALIVE=0\n');
      proxy.child.kill('SIGHUP');
      await until('the reload', () => /"reloaded"/.test(proxy.stderr));
      const [before, behind] = await Promise.all([open, send(proxy.port, stream('Hi'))]);
      assert.ok(comments(before.text) >= 2, before.text);
      assert.equal(comments(behind.text), 0);
      for (const { text } of [before, behind]) assert.equal(readStream(text).content, 'late');
    }, ['--env-file', file]);
  });

  it('no fallback model and no mending once the head is out: it could not be named', async () => {
    const answers = [play(head, START, 1500, errorEvent('overloaded_error'), finish)];
    await withUpstream('HTTP/1.1', (res, body, n) => answers[n - 1](res), { FALLBACK_MODELS: 'claude-haiku-4-5' }, async (proxy, upstream) => {
      const got = await send(proxy.port, stream('Hi'));
      assert.equal(eventData(got.text).length, 1);
      assert.ok(JSON.parse(eventData(got.text)[0]).error);
      assert.equal(upstream.calls, 1);
    });
  });

  it('a breaker that opens meanwhile ends the stream with an error chunk', async () => {
    // 20 failures open it while the retry of the first request waits for its turn.
    const slow = play(head, START, 1500, errorEvent('overloaded_error'), finish);
    const answer = (res, body) => (body.includes('patient') ? slow(res) : refuse(500, 'api_error')(res));
    await withUpstream('HTTP/1.1', answer, { RETRIES: '1', CIRCUIT_BREAKER: 'on' }, async (proxy) => {
      const patient = send(proxy.port, stream('patient'));
      await sleep(1250);
      await Promise.all(Array.from({ length: 30 }, () => send(proxy.port, chat(ask('Hi')))));
      const got = await patient;
      assert.equal(got.status, 200);
      assert.equal(JSON.parse(eventData(got.text).at(-1)).error.code, 'upstream_down', got.text);
    });
  });

  it('two choices, JSON mode, and an answer that is not streamed', async () => {
    const json = '{"a": 1}';
    await withUpstream('HTTP/1.1', play(head, START, 1300, BLOCK, delta('```json\n'), 1300, delta(json), delta('\n```'), LAST, finish), {}, async (proxy) => {
      const [two, strict, whole] = await Promise.all([
        send(proxy.port, stream('Hi', { n: 2 })),
        send(proxy.port, stream('Hi', { response_format: { type: 'json_object' } })),
        send(proxy.port, chat(ask('Hi', { response_format: { type: 'json_object' } }))),
      ]);
      for (const index of [0, 1]) assert.match(readStream(two.text, { index, choices: 2 }).content, /"a": 1/);
      assert.ok(comments(two.text) >= 2);
      assert.equal(comments(strict.text), 2);
      assert.deepEqual(JSON.parse(readStream(strict.text).content), { a: 1 });
      assert.ok(!whole.text.includes('ping'));
      assert.deepEqual(JSON.parse(whole.json.choices[0].message.content), { a: 1 });
    });
  });

  it('the upstream\'s pings go on as before, and put ours off', async () => {
    await withUpstream('HTTP/1.1', play(head, START, BLOCK, 700, PING, 700, PING, 700, delta('x'), LAST, finish), {}, async (proxy) => {
      assert.equal(comments((await send(proxy.port, stream('Hi'))).text), 2);
    });
  });

  it('KEEP_ALIVE=0: none', async () => {
    await withUpstream('HTTP/1.1', play(head, START, 1300, BLOCK, 1300, delta('x'), LAST, finish), { KEEP_ALIVE: '0' }, async (proxy) => {
      assert.equal(comments((await send(proxy.port, stream('Hi'))).text), 0);
    });
  });

  it('none to a client that does not read, none behind the end', async () => {
    const text = 'y'.repeat(64 << 10);
    const much = Array.from({ length: 320 }, () => delta(text));
    await withUpstream('HTTP/1.1', play(head, START, BLOCK, ...much, LAST, finish), {}, async (proxy) => {
      const connection = await Connection.open(proxy.port);
      connection.socket.pause();
      await connection.write(stream('Hi'));
      await sleep(2500);
      connection.socket.resume();
      const got = await connection.answer();
      assert.equal(readStream(got.text).content.length, 20 * MB);
      assert.equal(comments(got.text), 0);
      await sleep(1300);
      assert.equal(connection.data.length, 0, 'something came behind the end');
      connection.close();
    });
  });

  it('a client that leaves between comments is forgotten', async () => {
    let isGone = false;
    const answer = (res) => {
      head(res);
      res.on('close', () => (isGone = true));
    };
    await withUpstream('HTTP/1.1', answer, {}, async (proxy) => {
      const connection = await Connection.open(proxy.port);
      await connection.write(stream('Hi'));
      await connection.wait('a comment', (c) => c.data.includes(COMMENT));
      connection.reset();
      await until('the upstream is let go', () => isGone, 2000);
    });
  });

  describe('clients that read them', { concurrency: 2 }, () => {
    const answer = play(head, START, 1300, BLOCK, delta('Hello '), 1300, delta('world'), LAST, finish);

    it('the openai SDK: create and the stream helper', async () => {
      await withUpstream('HTTP/1.1', answer, {}, async (proxy) => {
        const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: PROXY_KEY, maxRetries: 0 });
        const asked = { model: MODEL, messages: [{ role: 'user', content: 'Hi' }], stream: true };
        const helper = client.chat.completions.stream(asked).finalChatCompletion();
        let text = '';
        for await (const chunk of await client.chat.completions.create(asked)) text += chunk.choices[0]?.delta.content ?? '';
        assert.equal(text, 'Hello world');
        assert.equal((await helper).choices[0].message.content, 'Hello world');
      });
    });

    it('the AI SDK', async () => {
      await withUpstream('HTTP/1.1', answer, {}, async (proxy) => {
        const openai = createOpenAI({ baseURL: `${proxy.url}/v1`, apiKey: PROXY_KEY });
        assert.equal(await streamText({ model: openai.chat(MODEL), prompt: 'Hi', maxRetries: 0 }).text, 'Hello world');
      });
    });
  });
});

describe('an upstream that stalls ends by REQUEST_TIMEOUT', { concurrency: 3 }, () => {
  const text = delta('Hello');
  const hasBegun = true;
  const stages = [
    ['without a head', play()],
    ['behind its head', play(head)],
    ['behind message_start', play(head, START)],
    ['behind pings', play(head, START, PING, 400, PING)],
    ['within its first event', play(head, START.slice(0, 50))],
    ['between events', play(head, START, BLOCK, text), hasBegun],
    ['within an event', play(head, START, BLOCK, text, text.slice(0, 50)), hasBegun],
    ['behind the last block', play(head, START, BLOCK, text, STOP), hasBegun],
    ['behind the stop reason', play(head, START, BLOCK, text, STOP, REASON), hasBegun],
    ['within a message that is not streamed', play((res) => res.writeHead(200, JSON_TYPE), JSON.stringify(message).slice(0, 40))],
  ];
  const answers = Object.fromEntries(stages.map(([name, answer], i) => [`stage-${i};`, answer]));

  for (const version of versions)
    it(`${version}: at each of ${stages.length} stages, streamed and not`, async (t) => {
      const answer = (res, body) => answers[/stage-\d+;/.exec(body)[0]](res);
      await withUpstream(version, answer, { REQUEST_TIMEOUT: '1', KEEP_ALIVE: '15' }, async (proxy) => {
        const check = async ([name, , began], i, isStream) => {
          const started = performance.now();
          const got = await send(proxy.port, chat(ask(`stage-${i};`, { stream: isStream })));
          const ms = performance.now() - started;
          const what = `${name}${isStream ? ', streamed' : ''}: ${got.status} ${got.text}`;
          assert.ok(ms > 900 && ms < 4000, `${what}: ${ms} ms`);
          if (isStream && began) {
            assert.equal(got.status, 200, what);
            const { error, content } = readStream(got.text);
            assert.equal(content, 'Hello', what);
            assert.equal(error.code, 'timeout', what);
          } else {
            assert.equal(got.status, 504, what);
            assert.equal(got.json.error.code, 'timeout', what);
          }
        };
        await Promise.all(stages.flatMap((stage, i) => [check(stage, i, false), check(stage, i, true)]));
      });
      t.diagnostic(`count: ${2 * stages.length} stalls over ${version}`);
    });

  for (const version of versions)
    it(`${version}: within an error its status is passed on`, async () => {
      await withUpstream(version, play((res) => res.writeHead(400, JSON_TYPE), '{"type":'), { REQUEST_TIMEOUT: '1' }, async (proxy) => {
        for (const isStream of [false, true]) assert.equal((await send(proxy.port, chat(ask('Hi', { stream: isStream })))).status, 400);
      });
    });

  it('comments do not put it off, and change its form: an error chunk', async () => {
    await withUpstream('HTTP/1.1', play(head), { REQUEST_TIMEOUT: '3' }, async (proxy) => {
      const got = await send(proxy.port, stream('Hi'));
      assert.equal(got.status, 200);
      assert.ok(comments(got.text) >= 1);
      assert.equal(JSON.parse(eventData(got.text).at(-1)).error.code, 'timeout');
    });
  });

  for (const version of versions)
    it(`${version}: pings of the upstream are life`, async () => {
      const pings = Array.from({ length: 6 }, () => [400, PING]).flat();
      await withUpstream(version, play(head, START, BLOCK, ...pings, delta('alive'), LAST, finish), { REQUEST_TIMEOUT: '1' }, async (proxy) => {
        const [whole, streamed] = await Promise.all([send(proxy.port, chat(ask('Hi'))), send(proxy.port, stream('Hi'))]);
        assert.equal(whole.json.choices[0].message.content, 'alive');
        assert.equal(readStream(streamed.text).content, 'alive');
      });
    });

  it('PING frames of HTTP/2 are not: they speak for the connection, not for the answer', async () => {
    const answer = (res) => {
      head(res);
      res.write(START + BLOCK);
      const timer = setInterval(() => res.stream.session?.ping(() => {}), 200);
      res.on('close', () => clearInterval(timer));
    };
    await withUpstream('HTTP/2', answer, { REQUEST_TIMEOUT: '1' }, async (proxy) => {
      assert.equal((await send(proxy.port, chat(ask('Hi')))).status, 504);
    });
  });
});
