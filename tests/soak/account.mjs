// The book of what was sent and how it ended; at the end it is held against the proxy's own.
import { createReadStream } from 'node:fs';
import readline from 'node:readline';

import { FAULT_MODEL, MODEL } from './orders.mjs';

const PROBLEMS_KEPT = 50;

/** How a request can end, in the order of the report; the last four must not happen. */
export const ENDS = ['well', 'failed', 'left', 'wrong', 'unexpected', 'broken', 'hung'];

export class Account {
  constructor() {
    this.ends = Object.fromEntries(ENDS.map((end) => [end, 0]));
    this.byName = new Map();
    this.byKind = new Map(); // of faults and leavers
    this.usage = { input: 0, output: 0, cached: 0 }; // as the clients were told
    this.chats = { well: 0, wellOfFaults: 0, failed: 0, left: 0, leftInBody: 0, leftUnanswered: 0 };
    this.models = 0;
    this.conversations = 0;
    this.open = 0;
    this.sent = 0;
    this.problems = [];
    this.latencies = [];
  }

  begin() {
    this.open++;
    this.sent++;
  }

  /** Judges an answer; returns how the request ended. */
  end(order, answer) {
    this.open--;
    const end = this.#judge(order, answer);
    this.ends[end]++;
    const row = this.byName.get(order.name) ?? this.byName.set(order.name, {}).get(order.name);
    row[end] = (row[end] ?? 0) + 1;
    if (order.kind) this.byKind.set(`${order.name}: ${order.kind}`, (this.byKind.get(`${order.name}: ${order.kind}`) ?? 0) + 1);
    if (ENDS.indexOf(end) < 3) this.#count(order, answer, end);
    return end;
  }

  #judge(order, answer) {
    if (answer.end === 'left' && order.expected === 'left') return 'left';
    if (answer.end !== 'answered') return this.#problem(order, answer, answer.end === 'hung' ? 'hung' : 'broken', answer.why);
    try {
      answer.got = order.check(order, answer);
      return order.expected;
    } catch (error) {
      return this.#problem(order, answer, answer.status === 200 ? 'wrong' : 'unexpected', error.message);
    }
  }

  #problem(order, answer, end, why) {
    const at = new Date().toISOString();
    if (this.problems.length < PROBLEMS_KEPT)
      this.problems.push({ at, end, why, name: order.name, kind: order.kind, status: answer.status, ms: answer.ms, id: answer.headers['x-request-id'], text: answer.text.slice(-400) });
    return end;
  }

  #count(order, answer, end) {
    if (order.target) {
      this.models++;
      return;
    }
    if (end === 'left' && !answer.status) this.chats.leftUnanswered++;
    if (end === 'left') this.chats[order.leave.stage === 'body' ? 'leftInBody' : 'left']++;
    else if (order.name === 'fault') this.chats[end === 'well' ? 'wellOfFaults' : 'failed']++;
    else this.chats.well++;
    if (end !== 'well') return;
    if (order.name !== 'stream of a minute') this.latencies.push(answer.firstMs);
    if (order.name === 'conversation' && !order.next) this.conversations++;
    if (order.name === 'fault') return;
    const { usage } = answer.got;
    this.usage.input += usage.prompt_tokens;
    this.usage.output += usage.completion_tokens;
    this.usage.cached += usage.prompt_tokens_details.cached_tokens;
  }

  /** First bytes since the last call: {p50, p99} in ms. */
  takeLatencies() {
    const sorted = this.latencies.sort((a, b) => a - b);
    this.latencies = [];
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p99: at(0.99) };
  }
}

const BAD_ENDS = ['upstream_error', 'upstream_disconnected', 'upstream_bad_answer', 'upstream_timeout', 'upstream_unreachable'];

/**
 * Rows [what, the clients' count, the proxy's, slack]: equal, all of them; but of those who left
 * without a byte of an answer some may not have been heard at all, on a machine that stood still.
 */
export function compare(account, metrics) {
  const requests = (labels) => metrics.sum('claude_proxy_requests_total', labels);
  const tokens = (kind) => metrics.sum('claude_proxy_tokens_total', { model: MODEL, kind });
  const { chats } = account;
  const chat = { route: 'chat' };
  const all = account.sent - account.models;
  const slack = chats.leftUnanswered;
  return [
    ['chat requests', all, requests(chat), slack],
    ['answered well', chats.well, requests({ ...chat, model: MODEL, end: 'done', status: '2xx' })],
    ['of that model, anything else', 0, requests({ ...chat, model: MODEL }) - requests({ ...chat, model: MODEL, end: 'done' })],
    ['faults that retries passed', chats.wellOfFaults, requests({ ...chat, model: FAULT_MODEL, end: 'done' })],
    ['faults that ended in an error', chats.failed, BAD_ENDS.reduce((sum, end) => sum + requests({ ...chat, model: FAULT_MODEL, end }), 0)],
    ['left while an answer was awaited or came', chats.left, requests({ ...chat, model: FAULT_MODEL, end: 'client_gone' }) + requests({ ...chat, model: FAULT_MODEL, end: 'client_stalled' }), slack],
    ['left within their body', chats.leftInBody, requests({ ...chat, model: '', end: 'client_gone' }), slack],
    ['lists of models', account.models, requests({ route: 'models', end: 'done' })],
    ['durations in the histogram', all - chats.leftInBody, metrics.sum('gen_ai_server_request_duration_seconds_count'), slack],
    ['input tokens of answers', account.usage.input, ['input', 'cache_read', 'cache_write'].reduce((sum, kind) => sum + tokens(kind), 0)],
    ['of them, read from the prompt cache', account.usage.cached, tokens('cache_read')],
    ['output tokens of answers', account.usage.output, tokens('output')],
    ['conversations whose thinking came back', account.conversations, metrics.sum('claude_proxy_thinking_messages_total', { result: 'recalled' })],
    ['whose thinking was gone', 0, metrics.sum('claude_proxy_thinking_messages_total', { result: 'not_remembered' })],
    ['streams open at the end', 0, metrics.sum('claude_proxy_streams_open')],
    ['requests under way at the end (the scrape)', 1, metrics.sum('claude_proxy_requests_in_flight')],
    ['client connections open at the end (the scrape)', 1, metrics.sum('claude_proxy_connections_open')],
    ['breaker opened', 0, metrics.sum('claude_proxy_breaker_opened_total')],
  ];
}

/** Lines of the access log with this path. */
export async function countLogLines(path, needle) {
  let n = 0;
  for await (const line of readline.createInterface({ input: createReadStream(path) })) n += line.includes(needle) && line.includes('"end":');
  return n;
}
