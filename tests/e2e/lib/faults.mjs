// Runs the cells of docs/faults.md: each case over every way there is (plain, TLS, HTTP/2; streamed
// and not; with and without retries), held against what is promised of it.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';

import { Connection, ask, chat, readStream, send } from './http.mjs';
import { isSanitized, sleep, startProxy, until } from './process.mjs';
import { CONTENT } from './faulty.mjs';

const RETRIES = 1;
// More would wait for each other on a small machine, and silence be mistaken for a fault.
const CASES_AT_ONCE = 32;

/** What is promised: the answer. */
export const answered = (content = CONTENT) => ({ content });
/** An error; `after`: the words that a streaming client has by then, which gets an error chunk. */
export const refused = (status, code, { after, passes = false, isOpen = false, used } = {}) => ({ status, code, after, passes, isOpen, used });
/** What cannot be understood; whether a retry is tried on it is left open. */
export const invalid = (after) => refused(502, 'bad_upstream_response', { after, isOpen: after === undefined });
/** The connection breaks: 502, and where nothing of the answer was there another call may pass. */
export const broken = (after) => refused(502, 'upstream_disconnected', { after, passes: after === undefined });

function checkError(error, want, what) {
  assert.match(String(error.code), want.code instanceof RegExp ? want.code : new RegExp(`^${want.code}$`), what);
  assert.equal(typeof error.message, 'string', what);
  assert.ok(error.message.length > 0 && error.type.length > 0, what);
}

export function checkAnswer(answer, stream, want, what) {
  what = `${what}: ${answer.status} ${answer.text.slice(0, 600)}`;
  if (want.content !== undefined) {
    assert.equal(answer.status, 200, what);
    const got = stream ? readStream(answer.text) : { error: null, content: answer.json.choices[0].message.content, finish: answer.json.choices[0].finish_reason };
    assert.equal(got.error, null, what);
    assert.equal(got.content, want.content, what);
    assert.equal(got.finish, 'stop', what);
  } else if (stream && want.after !== undefined) {
    assert.equal(answer.status, 200, what);
    const { error, content } = readStream(answer.text);
    assert.ok(error, what);
    assert.doesNotMatch(answer.text, /\[DONE\]/, what);
    assert.equal(content, want.after, what);
    checkError(error, want, what);
    assert.deepEqual(error.usage && [error.usage.prompt_tokens, error.usage.completion_tokens], want.used ?? [7, 1], what);
  } else {
    assert.equal(answer.status, want.status, what);
    checkError(answer.json.error, want, what);
  }
}

/** A proxy without and one with retries in front of each upstream: {name: upstream}. */
export class Bench {
  static async start(upstreams, env = {}) {
    const bench = new Bench();
    Object.assign(bench, { cases: 0, places: [], running: 0, waiting: [] });
    for (const [name, upstream] of Object.entries(upstreams)) {
      const settings = { WORKERS: isSanitized ? '2' : '1', REQUEST_TIMEOUT: isSanitized ? '3' : '2', CONNECT_TIMEOUT: isSanitized ? '2' : '1', ...upstream.settings, ...env };
      const [plain, retrying] = await Promise.all(['0', String(RETRIES)].map((n) => startProxy(upstream.url, { ...settings, RETRIES: n })));
      bench.places.push({ name, upstream, proxy: plain, retries: 0 }, { name: `${name}, retries`, upstream, proxy: retrying, retries: RETRIES });
    }
    try {
      for (const place of bench.places) await Bench.isWell(place);
      for (const place of bench.places) place.descriptors = await bench.#atRest(place);
    } catch (error) {
      for (const { proxy } of bench.places) proxy.child.kill('SIGKILL');
      throw error;
    }
    return bench;
  }

  /** Open descriptors when the upstream has closed all connections: what they come down to. */
  async #atRest({ upstream, proxy, descriptors: most = Infinity }) {
    let least = Infinity;
    for (let i = 0; i < 100 && (least > most || i < 10); i++) {
      upstream.listener.closeAll();
      await sleep(20);
      least = Math.min(least, descriptors(proxy));
    }
    return least;
  }

  static async isWell({ proxy, name }) {
    const [whole, stream] = await Promise.all([false, true].map((streamed) => send(proxy.port, chat(ask('Hi', { stream: streamed })))));
    checkAnswer(whole, false, answered(), `afterwards, ${name}`);
    checkAnswer(stream, true, answered(), `afterwards, ${name}`);
  }

  /**
   * `one`: {name, play, at, want, text}. `play` gets what it speaks with, the number of the call and
   * `seen`, which waits until the client has the first words, if it gets any before the end.
   * `isWarm`: on a connection that has served; `calls`: how many there have to be.
   */
  async #run(place, one, stream) {
    const { want } = one;
    const isPassing = want.passes && place.retries > 0;
    for (let i = 0; one.isWarm && i < 3; i++) await Bench.isWell(place); // each connection there is has served
    const connection = await Connection.open(place.proxy.port);
    let received = '';
    connection.socket.on('data', (piece) => (received += piece));
    const seen = () => (stream ? until('the first words', () => received.includes('"content":"one ')) : sleep(20));
    const script = place.upstream.scripts.add((io, n) => (isPassing && n > RETRIES ? io.good() : one.play(io, n, seen)), one.at);
    await connection.write(chat(ask(`${script.tag}${one.text ?? ''}`, { stream })));
    const answer = await connection.answer({ ms: 20_000 });
    connection.close();
    if (place.upstream.wasFresh) { // a connection that no call has used yet: not what was asked for
      place.upstream.wasFresh = false;
      return this.#run(place, one, stream);
    }
    const what = `${one.name}, ${place.name}${stream ? ', streamed' : ''}`;
    checkAnswer(answer, stream, isPassing ? answered() : want, what);
    if (isPassing) assert.ok(script.calls > RETRIES, `${what}: ${script.calls} calls`);
    else if (one.calls) assert.equal(script.calls, one.calls, `${what}: calls`);
    else if (want.status && !want.passes && !want.isOpen) assert.equal(script.calls, 1, `${what}: calls`);
    if (one.restMs) await sleep(one.restMs);
    this.cases++;
  }

  /** The whole of a cell; `only`: the places it makes sense in. */
  async hold(cases, { only = () => true, isSerial = false } = {}) {
    const runs = cases.flatMap((one) => this.places.filter((place) => only(place) && (one.only ?? (() => true))(place)).flatMap((place) => [false, true].map((stream) => () => this.#run(place, one, stream))));
    assert.ok(runs.length > 0);
    if (isSerial) for (const run of runs) await run();
    else await Promise.all(runs.map((run) => this.#inTurn(run)));
    await Promise.all(this.places.filter(only).map(Bench.isWell));
  }

  async #inTurn(run) {
    if (this.running >= CASES_AT_ONCE) await new Promise((resolve) => this.waiting.push(resolve));
    else this.running++;
    try {
      await run();
    } finally {
      if (this.waiting.length > 0) this.waiting.shift()();
      else this.running--;
    }
  }

  /** Nothing is left open, and the proxies end cleanly, at once. */
  async stop() {
    for (const place of this.places) assert.ok((await this.#atRest(place)) <= place.descriptors, `descriptors are left, ${place.name}`);
    const started = performance.now();
    await Promise.all(this.places.map(({ proxy }) => proxy.stop()));
    assert.ok(performance.now() - started < 5000, 'something held the shutdown');
  }
}

export const descriptors = (proxy) => readdirSync(`/proc/${proxy.pid}/fd`).length;
