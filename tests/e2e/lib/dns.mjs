// A scripted name server, and a proxy that asks no other: it runs in a mount namespace of its own, where
// /etc/resolv.conf names ours. That takes the rights of root; `whyNot` says what is missing.
import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { binary, cleanEnvironment, proxySettings, scratch, Server, until } from './process.mjs';

const TYPE = { A: 1, AAAA: 28 };
const NXDOMAIN = 3, SERVFAIL = 2;

/** Why no name server of ours can be used here, or undefined. */
export function whyNot() {
  const { status, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', 'mount --bind /etc/resolv.conf /etc/resolv.conf'], { env: cleanEnvironment(), encoding: 'utf8' });
  if (status !== 0) return `no mount namespace: ${stderr?.trim() || 'unshare is missing'}`;
  if (process.getuid() !== 0) return 'port 53 needs root';
  return undefined;
}

function bytesOf(address) {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head, tail = ''] = address.split('::');
  const groups = (text) => text.split(':').filter(Boolean);
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array(address.includes('::') ? missing : 0).fill('0'), ...groups(tail)];
  return Buffer.from(all.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]));
}

export class NameServer {
  /** `addresses` may be changed at any time: a list, or 'nxdomain', 'servfail', 'silent', 'garbage'. */
  static async start(addresses) {
    const server = new NameServer();
    server.addresses = addresses;
    server.asked = 0;
    server.host = `127.53.${(process.pid >> 8) & 255}.${(process.pid & 255) || 1}`;
    server.socket = dgram.createSocket('udp4').on('message', (message, from) => server.#answer(message, from));
    await new Promise((resolve, reject) => server.socket.once('error', reject).bind(53, server.host, resolve));
    server.file = path.join(scratch(), 'resolv.conf');
    writeFileSync(server.file, `nameserver ${server.host}\noptions timeout:1 attempts:1\n`);
    return server;
  }

  #answer(query, from) {
    this.asked++;
    let end = 12;
    while (query[end]) end += query[end] + 1;
    const type = query.readUInt16BE(end + 1);
    const question = query.subarray(12, end + 5);
    const say = (bytes) => this.socket.send(bytes, from.port, from.address);
    const head = (code, n) => {
      const bytes = Buffer.from([query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, n, 0, 0, 0, 0]);
      return Buffer.concat([bytes, question]);
    };
    if (this.addresses === 'silent') return;
    if (this.addresses === 'garbage') return say(Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0]), question, Buffer.alloc(400, 0xc0)]));
    if (this.addresses === 'nxdomain') return say(head(NXDOMAIN, 0));
    if (this.addresses === 'servfail') return say(head(SERVFAIL, 0));
    const fitting = this.addresses.filter((address) => type === (isIPv6(address) ? TYPE.AAAA : TYPE.A)).map(bytesOf);
    const records = fitting.map((bytes) => Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 1, 0, bytes.length]), bytes]));
    return say(Buffer.concat([head(0, records.length), ...records]));
  }

  /** A proxy that asks this server for names. */
  async startProxy(url, env = {}) {
    const proxy = new Server('unshare', ['-m', 'sh', '-c', 'mount --bind "$1" /etc/resolv.conf && exec "$2" serve', 'sh', this.file, binary], { env: proxySettings(url, env) });
    await until(`it listens; it wrote: ${proxy.stderr}`, () => proxy.isOver || (proxy.port = proxy.findPort()), 20_000);
    return proxy;
  }

  stop() {
    this.socket.close();
  }
}
