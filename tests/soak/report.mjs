// What came of it: the verdict, a table of samples (CSV), a plot (SVG) and the page around them.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { root } from '../e2e/lib/process.mjs';
import { ENDS } from './account.mjs';
import { MIX } from './orders.mjs';
import { plot } from './plot.mjs';

// What "flat" means: the median around five minutes against that of the last two.
const REFERENCE_S = 300;
const WINDOW_S = 120;
const RSS_SHARE = 0.05;
const RSS_KB = 4096;
// How many clients are connected is chance: what they account for may vary.
const DESCRIPTORS_SHARE = 0.25;
const DESCRIPTORS = 32;
const DESCRIPTORS_OTHER = 16;
// At rest the proxy keeps its pool of connections to the upstream.
const DESCRIPTORS_AT_REST = 64;

const MEANING = {
  well: 'answered well: the content whole and as ordered, the usage right',
  failed: 'answered with the error that was ordered',
  left: 'left by us, on purpose',
  wrong: '**answered wrongly**',
  unexpected: '**answered with an error nobody ordered**',
  broken: '**lost: the answer broke off**',
  hung: '**lost: no answer within the limit**',
};

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const number = (n) => Number(n).toLocaleString('en-US', { maximumFractionDigits: 1 });
const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`;

/** Medians of the samples around a time. */
function stateAt(samples, centre, width) {
  const near = samples.filter(({ seconds }) => Math.abs(seconds - centre) <= width / 2);
  if (!near.length) return null;
  const of = (name) => median(near.map((sample) => sample[name]));
  const state = Object.fromEntries(['rss_kb', 'anon_kb', 'descriptors', 'threads', 'streams_open', 'connections'].map((name) => [name, of(name)]));
  return { ...state, others: median(near.map((sample) => sample.descriptors - sample.connections)) };
}

/** {isGood, lines, flat}: all that must hold. */
export function judge({ soak, counts, exits }) {
  const { account, samples, offeredMs } = soak;
  const lines = [];
  let isGood = true;
  const must = (holds, what) => {
    lines.push(`${holds ? 'ok' : 'FAILED'}: ${what}`);
    isGood &&= holds;
  };
  const seconds = offeredMs / 1000;
  const width = Math.min(WINDOW_S, seconds / 5);
  const reference = Math.min(REFERENCE_S, seconds * 0.4);
  const [early, late] = [stateAt(samples, reference, width), stateAt(samples, seconds - width / 2, width)];
  const at = { early: Math.round(reference), late: Math.round(seconds - width / 2), width: Math.round(width) };
  if (soak.failure) must(false, soak.failure);
  const bad = account.ends.wrong + account.ends.unexpected + account.ends.broken + account.ends.hung;
  must(account.sent > 0 && account.open === 0, `${number(account.sent)} requests sent, ${account.open} without an end`);
  must(bad === 0, `${bad} lost, wrong or with an error nobody ordered`);
  const isEqual = ([, ours, theirs, slack = 0]) => theirs <= ours && theirs >= ours - slack;
  for (const row of counts) if (!isEqual(row)) must(false, `${row[0]}: ${row[1]} by the clients, ${row[2]} by the proxy`);
  must(counts.every(isEqual), `${counts.length} counts compared`);
  for (const [name, exit] of Object.entries(exits)) must(exit.code === 0, `${name} ended with ${exit.code ?? exit.signal}`);
  if (early && late) {
    must(late.rss_kb - early.rss_kb <= Math.max(early.rss_kb * RSS_SHARE, RSS_KB), `resident memory: ${mb(early.rss_kb)} at ${at.early} s, ${mb(late.rss_kb)} at ${at.late} s`);
    must(late.descriptors - early.descriptors <= Math.max(early.descriptors * DESCRIPTORS_SHARE, DESCRIPTORS), `descriptors: ${early.descriptors} at ${at.early} s, ${late.descriptors} at ${at.late} s`);
    must(late.others - early.others <= DESCRIPTORS_OTHER, `of them, not of clients: ${early.others}, ${late.others}`);
    must(late.threads === early.threads, `threads: ${early.threads}, ${late.threads}`);
  } else {
    must(false, 'too short for two states to compare');
  }
  must(soak.atRest.descriptors <= soak.atStart.descriptors + DESCRIPTORS_AT_REST, `descriptors at rest: ${soak.atStart.descriptors} before, ${soak.atRest.descriptors} after`);
  return { isGood, lines, early, late, at };
}

const git = (...args) => {
  try {
    return execFileSync('git', args, { cwd: root, stdio: 'pipe' }).toString().trim();
  } catch {
    return '';
  }
};

const table = (head, rows) => [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');

function page({ soak, counts, verdict, metrics }) {
  const { account, samples, offeredMs } = soak;
  const seconds = offeredMs / 1000;
  const last = samples.at(-1);
  const share = (ms) => `${((ms / (last.seconds * 1000)) * 100).toFixed(1)} %`;
  const { early, late, at } = verdict;
  const sum = (name, labels) => number(metrics.sum(name, labels));
  const commit = git('rev-parse', '--short=12', 'HEAD');
  const firstByte = (name) => median(samples.filter((sample) => sample.seconds <= seconds).map((sample) => Number(sample[name])));
  return `# An hour of everything at once

Written by \`scripts/soak\`: do not edit. ${verdict.isGood ? 'All that must hold held.' : '**Something did not hold: see the verdict.**'}

- when: ${new Date(Date.now()).toISOString().slice(0, 16).replace('T', ' ')} UTC, ${number(seconds)} seconds of requests${soak.isStopped ? ' (ended early)' : ''}
- commit: \`${commit}\`${git('status', '--porcelain', '--untracked-files=no') ? ' with changes' : ''}
- machine: ${os.cpus()[0].model}, ${os.cpus().length} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GB, Linux ${os.release()}, Node.js ${process.version}
- again: \`scripts/soak ${Math.round(soak.seconds)}${soak.rate === 50 ? '' : ` --rate ${soak.rate}`}${soak.seed === 1 ? '' : ` --seed ${soak.seed}`}\`

![memory, descriptors and requests over time](soak.svg)

Every ten seconds is a row of [soak.csv](soak.csv).

## What is done

The proxy runs with 2 workers, TLS and HTTP/2 to its clients, HTTP/2 over TLS to the simulator, keys,
limits, retries, breaker, metrics, access log and sandbox on. Requests arrive at random times, ${soak.rate} a
second, whether or not those before are answered; of a hundred:
${MIX.map(([name, weight]) => `${weight} ${name}`).join(', ')}. Two fifths go over HTTP/2 sessions, two
fifths over connections that are kept, one over new ones; one arrival in a hundred connects and
leaves without a request. Once, early on, 500 arrive at the same moment. A third of the faults pass when the request comes again, which a retry
hides. Leavers leave within their body, before the answer, in the middle of a stream, after they
stopped reading it, or with their connection.

## Requests

${table(['how it ended', 'requests'], [['sent', number(account.sent)], ...ENDS.map((end) => [MEANING[end], number(account.ends[end])])])}

${table(['', ...ENDS], [...account.byName].sort().map(([name, row]) => [name, ...ENDS.map((end) => number(row[end] ?? 0))]))}

First byte: the median of the intervals' 50th percentiles is ${firstByte('first_byte_p50_ms')} ms, that of their 99th ${firstByte('first_byte_p99_ms')} ms (it holds
the pauses of retries). Arrivals left out because the machine stood still: ${soak.missed}. The clients
were late by ${number(soak.lag.max)} ms at most.

## The proxy's own account

${table(['what', 'clients', 'proxy'], counts.map(([what, ours, theirs]) => [what, number(ours), number(theirs)]))}

Calls to the upstream ${sum('claude_proxy_upstream_attempts_total')}, retries ${sum('claude_proxy_retries_total')}, thinking put back
${sum('claude_proxy_thinking_messages_total', { result: 'recalled' })} times and forgotten for newer ${sum('claude_proxy_thinking_messages_total', { result: 'evicted' })}.

<details><summary>Faults and leavers by kind</summary>

${table(['kind', 'requests'], [...account.byKind].sort().map(([kind, n]) => [`\`${kind}\``, number(n)]))}
</details>

## Memory, descriptors, processor

${early && late ? table(['', `at ${at.early} s`, `at ${at.late} s`, 'at rest, before', 'at rest, after'], [
    ['resident memory', mb(early.rss_kb), mb(late.rss_kb), mb(soak.atStart.rss_kb), mb(soak.atRest.rss_kb)],
    ['of it, not backed by files', mb(early.anon_kb), mb(late.anon_kb), mb(soak.atStart.anon_kb), mb(soak.atRest.anon_kb)],
    ['descriptors', early.descriptors, late.descriptors, soak.atStart.descriptors, soak.atRest.descriptors],
    ['of them, not of clients', early.others, late.others, soak.atStart.descriptors, soak.atRest.descriptors],
    ['threads', early.threads, late.threads, soak.atStart.threads, soak.atRest.threads],
    ['streams open', early.streams_open, late.streams_open, 0, 0],
    ['client connections', early.connections, late.connections, 0, 0],
  ]) : ''}

Medians of ${at.width} seconds. Flat means: resident memory has not grown by more than ${RSS_SHARE * 100} % or ${RSS_KB / 1024} MB,
whichever is more, descriptors by ${DESCRIPTORS_SHARE * 100} % or ${DESCRIPTORS}, those that are not of
clients by ${DESCRIPTORS_OTHER}; as many threads.
Processor time: the proxy
${share(last.cpu_ms)} of a core, the simulator ${share(last.sim_cpu_ms)}, the clients ${share(last.clients_cpu_ms)}.

What grows by design has a limit, which this run reaches in its first minutes:
\`THINKING_MEMORY_BYTES\` is 128 KB here (\`thinking_evicted\` in the table rises from then on), the pool
to the upstream has as many connections as were needed at once, 1024 TLS sessions of clients are kept
(about 1 KB each), the tables of models and names in the metrics have 48 and 128 rows. The rest is what libc's allocator keeps for each thread once it was
needed: room for the bodies and streams of the worst moment so far, which is the burst unless the
machine stands still for longer. It is used again, and not given back.

## Verdict

\`\`\`
${verdict.lines.join('\n')}
\`\`\`
`;
}

/** All samples so far, as CSV. */
export function writeSamples(samples, folder) {
  const names = Object.keys(samples[0] ?? {});
  const csv = [names.join(','), ...samples.map((sample) => names.map((name) => sample[name]).join(','))].join('\n');
  writeFileSync(path.join(folder, 'soak.csv'), `${csv}\n`);
}

export function writeReport(report) {
  const { samples, out } = report.soak;
  writeSamples(samples, out);
  writeFileSync(path.join(out, 'soak.svg'), plot(samples, report.verdict.at));
  writeFileSync(path.join(out, 'README.md'), page(report));
}
