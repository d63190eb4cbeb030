// Prometheus' text format, read strictly: what `promtool check metrics` would complain of is an
// assertion here.
import assert from 'node:assert/strict';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const VALUE = /^(?:[+-]?(?:\d+(?:\.\d+)?|Inf)|NaN)$/;

/** The labels of `{a="x",b="y"} rest`: [labels, rest]. */
function readLabels(text) {
  const labels = {};
  let at = 1;
  for (;;) {
    const equals = text.indexOf('="', at);
    const name = text.slice(at, equals);
    assert.match(name, LABEL, text);
    assert.ok(!(name in labels), `label ${name} comes twice: ${text}`);
    let value = '';
    for (at = equals + 2; text[at] !== '"'; at++) {
      assert.ok(at < text.length, `a label does not end: ${text}`);
      if (text[at] !== '\\') {
        value += text[at];
        continue;
      }
      const escaped = { '\\': '\\', '"': '"', n: '\n' }[text[++at]];
      assert.ok(escaped, `no escape: ${text}`);
      value += escaped;
    }
    labels[name] = value;
    if (text[++at] === '}') return [labels, text.slice(at + 1)];
    assert.equal(text[at++], ',', text);
  }
}

function readSample(line) {
  const [, name, rest] = /^([^{ ]+)(.*)$/.exec(line) ?? assert.fail(`no sample: ${line}`);
  assert.match(name, NAME);
  const [labels, value] = rest.startsWith('{') ? readLabels(rest) : [{}, rest];
  assert.match(value, /^ \S+$/, line);
  assert.match(value.slice(1), VALUE, line);
  return { name, labels, value: Number(value.slice(1).replace('Inf', 'Infinity')) };
}

/** A histogram's parts, each series for itself. */
function checkHistogram(name, samples) {
  const series = new Map();
  for (const { name: full, labels: { le, ...labels }, value } of samples) {
    const key = JSON.stringify(Object.entries(labels).sort());
    const one = series.get(key) ?? series.set(key, { buckets: [] }).get(key);
    const part = full.slice(name.length);
    if (part === '_bucket') one.buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
    else one[part] = value;
  }
  for (const { buckets, _sum: sum, _count: count } of series.values()) {
    assert.ok(sum >= 0, `${name} has no sum`);
    assert.equal(buckets.at(-1)?.[0], Infinity, `${name} does not end with +Inf`);
    assert.equal(buckets.at(-1)[1], count, `${name}: +Inf is not the count`);
    for (let i = 1; i < buckets.length; i++) {
      assert.ok(buckets[i][0] > buckets[i - 1][0], `${name}: bounds do not rise`);
      assert.ok(buckets[i][1] >= buckets[i - 1][1], `${name}: buckets are not cumulative`);
    }
  }
}

/** {metrics: name -> {type, help, samples}, get(name, labels), sum(name, labels)}. */
export function readMetrics(text) {
  assert.ok(text.endsWith('\n'), 'the last line has an end');
  const metrics = new Map();
  const seen = new Set();
  let help = null;
  let metric = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const [, kind, name, more] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      assert.ok(!metrics.has(name), `${name} comes twice`);
      help = { name, text: more };
    } else if (kind === 'TYPE') {
      assert.equal(help?.name, name, 'HELP stands in front of TYPE');
      assert.match(name, NAME);
      assert.ok(['counter', 'gauge', 'histogram'].includes(more), more);
      assert.equal(more === 'counter', name.endsWith('_total'), `${name}: counters, and no others, end in _total`);
      metric = { name, type: more, help: help.text, samples: [] };
      metrics.set(name, metric);
    } else {
      const sample = readSample(line);
      const suffixes = metric.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      assert.ok(suffixes.some((suffix) => sample.name === metric.name + suffix), `${sample.name} stands under ${metric.name}`);
      const key = sample.name + JSON.stringify(Object.entries(sample.labels).sort());
      assert.ok(!seen.has(key), `twice: ${line}`);
      seen.add(key);
      if (metric.type !== 'gauge') assert.ok(sample.value >= 0, line);
      metric.samples.push(sample);
    }
  }
  for (const { name, type, samples } of metrics.values()) if (type === 'histogram') checkHistogram(name, samples);
  const find = (name, labels) => {
    const base = metrics.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    assert.ok(metrics.has(base), `there is no ${name}`);
    return metrics.get(base).samples.filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  };
  const sum = (name, labels = {}) => find(name, labels).reduce((all, { value }) => all + value, 0);
  return { metrics, find, sum };
}
