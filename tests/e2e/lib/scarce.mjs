// A proxy that is refused memory when a test says so: tests/preload/scarce.c between it and the allocator.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

import { binary, isSanitized, proxySettings, scratch, Server } from './process.mjs';

const library = path.join(path.dirname(binary), 'tests/preload/libscarce.so');
const NEVER = 2n ** 62n;
const ARMED = { off: 0n, once: 1n, lasting: 2n };

export class ScarceProxy {
  static async start(upstream, env = {}) {
    assert.ok(existsSync(library), `${library} is not built`);
    const scarce = new ScarceProxy();
    const folder = scratch();
    scarce.trace = path.join(folder, 'trace');
    writeFileSync(path.join(folder, 'control'), Buffer.alloc(32));
    scarce.fd = openSync(path.join(folder, 'control'), 'r+');
    const preload = {
      LD_PRELOAD: library, SCARCE_FILE: path.join(folder, 'control'), SCARCE_TRACE: scarce.trace,
      // AddressSanitizer wants to come first; it is what our library calls.
      ...(isSanitized ? { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0:allocator_may_return_null=1` } : {}),
    };
    try {
      scarce.proxy = await Server.start(['serve'], { env: proxySettings(upstream, { WORKERS: '1', ...env, ...preload }) });
    } catch (error) {
      closeSync(scarce.fd);
      throw error;
    }
    return scarce;
  }

  #write(armed, after) {
    const control = Buffer.alloc(32);
    control.writeBigInt64LE(armed, 0);
    control.writeBigInt64LE(after, 8);
    writeSync(this.fd, control, 0, 32, 0);
  }

  /** From now on allocation number `after` (from 0) is refused, or all from it on. */
  refuse(after, { isLasting = false } = {}) {
    this.#write(isLasting ? ARMED.lasting : ARMED.once, BigInt(after));
  }
  /** From now on they are counted. */
  count() {
    this.#write(ARMED.once, NEVER);
  }
  /** Memory is there again; {seen, refused}: allocations since it was armed. */
  relent() {
    const control = Buffer.alloc(32);
    readSync(this.fd, control, 0, 32, 0);
    this.#write(ARMED.off, 0n);
    return { seen: Number(control.readBigInt64LE(16)), refused: Number(control.readBigInt64LE(24)) };
  }

  /** Where the first refused allocation was asked for, for who reads a failure. */
  whence() {
    const text = existsSync(this.trace) ? readFileSync(this.trace, 'utf8') : '';
    return text.split('\n\n')[0].split('\n').map((line) => {
      const own = /claude-proxy\(\+(0x[0-9a-f]+)\)/.exec(line);
      if (!own) return line.replace(/^.*\//, '');
      return execFileSync('addr2line', ['-fse', binary, own[1]]).toString().trim().replace('\n', ' ');
    }).join('\n');
  }

  async stop() {
    this.relent();
    closeSync(this.fd);
    await this.proxy.stop();
  }
}
