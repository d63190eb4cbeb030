// Certificate authorities of the tests' own, and certificates by them, made with the openssl command.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { scratch } from './process.mjs';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

const openssl = (args) => execFileSync('openssl', args, { stdio: 'pipe' });

/** {cert, key}: paths, and {certPem, keyPem}: what is in them. */
const pair = (cert, key) => ({ cert, key, certPem: readFileSync(cert), keyPem: readFileSync(key) });

export function makeAuthority(name = 'test authority') {
  const folder = scratch();
  const [cert, key] = ['ca.pem', 'ca-key.pem'].map((file) => path.join(folder, file));
  openssl(['req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', key, '-out', cert]);
  return pair(cert, key);
}

/** A certificate by `authority` for `names` ("DNS:..., IP:..."); negative days: it has expired. */
export function issue(authority, { names = 'DNS:localhost,IP:127.0.0.1', common = 'localhost', days = 2, usage = 'serverAuth', newKey = KEY } = {}) {
  const folder = scratch();
  const [cert, key, csr, extensions] = ['cert.pem', 'key.pem', 'request.pem', 'extensions'].map((file) => path.join(folder, file));
  openssl(['req', ...newKey, '-subj', `/CN=${common}`, '-keyout', key, '-out', csr]);
  writeFileSync(extensions, `subjectAltName=${names}\nextendedKeyUsage=${usage}\nbasicConstraints=CA:FALSE\n`);
  openssl(['x509', '-req', '-in', csr, '-CA', authority.cert, '-CAkey', authority.key, '-CAcreateserial', '-days', String(days), '-extfile', extensions, '-out', cert]);
  return pair(cert, key);
}
