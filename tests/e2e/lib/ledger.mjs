// What a proxy holds for its clients, read from outside: to compare before and after a fault.
import { readdirSync } from 'node:fs';

import { readMetrics } from './exposition.mjs';
import { Connection, request } from './http.mjs';
import { until } from './process.mjs';

export const METRICS_KEY = 'e2e-metrics-key-1618033988';

/** The metrics of a proxy that was started with METRICS_KEY; `options` are those of a connection. */
export async function scrape(port, options) {
  const connection = await Connection.open(port, options);
  try {
    await connection.write(request('GET', '/metrics', { key: METRICS_KEY, headers: { connection: 'close' } }));
    return readMetrics((await connection.answer()).text);
  } finally {
    connection.close();
  }
}

export const descriptors = (proxy) => readdirSync(`/proc/${proxy.pid}/fd`).length;

/** What is held for clients, the scrape itself left out. */
export async function openNow(proxy, options) {
  const metrics = await scrape(proxy.port, options);
  return {
    requests: metrics.sum('claude_proxy_requests_in_flight') - 1,
    waiting: metrics.sum('claude_proxy_requests_waiting'),
    bodyBytes: metrics.sum('claude_proxy_body_bytes'),
    counted: metrics.sum('claude_proxy_requests_at_once'), // where MAX_CONCURRENT_REQUESTS is set
    streams: metrics.sum('claude_proxy_streams_open'),
    connections: metrics.sum('claude_proxy_connections_open') - 1,
  };
}

/** Waits until nothing is open and no more than `most` descriptors are in use. */
export async function settled(proxy, { most, options, ms = 4000 }) {
  let now;
  await until(`nothing is kept of clients that are gone (descriptors at most ${most})`, async () => {
    now = { ...(await openNow(proxy, options)), descriptors: descriptors(proxy) };
    const { descriptors: used, ...held } = now;
    return used <= most && Object.values(held).every((n) => n === 0);
  }, ms).catch((error) => {
    error.message += ` ${JSON.stringify(now)}`;
    throw error;
  });
}
