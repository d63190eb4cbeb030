#!/usr/bin/env node
// Writes src/sim/wire_types.def: what a request of Anthropic's Messages API may hold, from the types
// of the installed @anthropic-ai/sdk. `node scripts/wire-types.mjs > src/sim/wire_types.def`
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SDK = join(ROOT, 'tests/node_modules/@anthropic-ai/sdk');
const FILES = ['resources/shared.d.ts', 'resources/messages/messages.d.ts', 'resources/beta/messages/messages.d.ts'];

export const sdkIsInstalled = (sdk = SDK) => FILES.every((file) => existsSync(join(sdk, file)));

// --- TypeScript declarations -> { name: expression } --------------------------------------------

const TOKEN = /'(?:[^'\\]|\\.)*'|[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*|-?\d+|[{}[\]()<>|&:;,?=]/g;

function parser(text) {
  const tokens = text.match(TOKEN) ?? [];
  let at = 0;
  const is = (token) => tokens[at] === token;
  const take = (token) => {
    if (token && !is(token)) throw new Error(`expected ${token}, found ${tokens.slice(at, at + 8).join(' ')}`);
    return tokens[at++];
  };
  const skip = (token) => is(token) && take();

  function members() {
    const object = { fields: [], index: null };
    take('{');
    while (!skip('}')) {
      if (skip('[')) {
        while (!skip(']')) take();
        take(':');
        object.index = union();
      } else {
        skip('readonly');
        const name = take().replace(/^'|'$/g, '');
        const optional = Boolean(skip('?'));
        take(':');
        object.fields.push({ name, optional, type: union() });
      }
      skip(';');
    }
    return object;
  }
  function single() {
    let type;
    skip('readonly');
    if (is('{')) type = { object: members() };
    else if (skip('(')) {
      type = union();
      if (skip('&')) take('{'), take('}');
      take(')');
    } else if (tokens[at].startsWith("'")) type = { literal: take().slice(1, -1) };
    else {
      const name = take();
      const args = [];
      if (skip('<')) {
        do args.push(union());
        while (skip(','));
        take('>');
      }
      type = { name, args };
    }
    while (is('[') && tokens[at + 1] === ']') take(), take(), (type = { name: 'Array', args: [type] });
    return type;
  }
  function union() {
    skip('|');
    const any = [single()];
    while (skip('|')) any.push(single());
    return any.length > 1 ? { any } : any[0];
  }
  return { members, union };
}

function declarations(text) {
  const found = {};
  let namespace = '';
  const plain = text.replace(/\/\*[^]*?\*\//g, '');
  for (const match of plain.matchAll(/^( *)export (?:declare )?namespace (\w+) \{|^( *)(?:export )?interface (\w+)(?: extends (\w+))? (\{[^]*?\n\3\})|^( *)(?:export )?type (\w+) = ([^;{]*(?:\{[^]*?\}[^;{]*)*);|^\}/gm)) {
    const [all, , entered, , name, base, body, , alias, type] = match;
    if (entered) namespace = `${entered}.`;
    else if (all === '}') namespace = '';
    else if (name) found[namespace + name] = { base, text: body };
    else if (alias && !(namespace + alias in found)) found[namespace + alias] = { type };
  }
  return found;
}

// --- expressions -> what may stand there --------------------------------------------------------

class Reader {
  constructor(texts, stable = null) { // `stable`: of the types that the beta's extend
    this.declared = Object.assign({}, ...texts.map(declarations));
    this.stable = stable;
    this.isBeta = Boolean(stable);
    this.known = new Map();
  }
  node() {
    return { kinds: new Set(), choices: new Map(), items: null, objects: [], nullable: false };
  }
  read(type) {
    const node = this.node();
    this.add(node, type, '');
    return node;
  }
  add(node, type, name) {
    if (type.any) return type.any.forEach((one) => this.add(node, one, name));
    if (type.literal !== undefined) return void (node.kinds.add('STRING'), node.choices.set(type.literal, this.isBeta));
    if (type.object) {
      if (!type.object.fields.length && type.object.index) {
        node.kinds.add(type.object.index.name === 'unknown' ? 'DICT' : 'MAP');
        if (type.object.index.name !== 'unknown') node.items = this.read(type.object.index);
        return;
      }
      node.kinds.add('OBJECT');
      node.objects.push(this.object(name, type.object));
      return;
    }
    const basic = { string: 'STRING', number: 'NUMBER', boolean: 'BOOLEAN', true: 'BOOLEAN', false: 'BOOLEAN', unknown: 'ANY' }[type.name];
    if (type.name === 'null') node.nullable = true;
    else if (basic) node.kinds.add(basic), basic === 'STRING' && node.choices.set('*', false);
    else if (type.name === 'Array') node.kinds.add('LIST'), (node.items = this.read(type.args[0]));
    else this.add(node, this.resolve(type.name), type.name);
  }
  resolve(name) {
    const own = name.replace(/^\w+API\./, '').replace(/^Shared\./, '');
    if (!this.known.has(own)) this.known.set(own, this.expand(own));
    return this.known.get(own);
  }
  expand(name) {
    const declared = this.declared[name];
    if (!declared) throw new Error(`the SDK declares no ${name}`);
    if (declared.type) return parser(declared.type).union();
    const object = parser(declared.text).members();
    if (declared.base) object.fields.unshift(...this.resolve(declared.base).object.fields);
    return { object };
  }
  object(name, { fields, index }) {
    const own = name.replace(/^\w+API\./, '').replaceAll('Beta', '');
    const object = { name: own, tag: null, beta: this.isBeta, open: Boolean(index), fields: new Map() };
    for (const field of fields.filter((one) => one.name !== 'betas')) { // `betas` is a header
      const type = this.read(field.type);
      const literals = [...type.choices.keys()];
      if (['type', 'role'].includes(field.name) && literals.length && !type.choices.has('*')) object.tag = literals.join(' '), (object.tagIsOptional = field.optional);
      else object.fields.set(field.name, { type, required: !field.optional, beta: this.isBeta });
    }
    return this.stable?.declared[own]?.text ? mergeObject(this.stable.object(own, this.stable.resolve(own).object), object) : object;
  }
}

// --- the stable types and the beta's, as one -----------------------------------------------------

function merge(a, b) {
  const node = { kinds: new Set([...a.kinds, ...b.kinds]), choices: new Map([...b.choices, ...a.choices]), items: a.items && b.items ? merge(a.items, b.items) : (a.items ?? b.items), nullable: a.nullable || b.nullable, objects: [...a.objects] };
  for (const object of b.objects) {
    const at = node.objects.findIndex((other) => other.tag === object.tag);
    if (at < 0) node.objects.push(object);
    else node.objects[at] = mergeObject(node.objects[at], object);
  }
  return node;
}

function mergeObject(a, b) {
  const beta = a.beta && b.beta;
  const fields = new Map(a.fields);
  for (const [name, field] of b.fields) {
    const other = fields.get(name);
    if (!other) fields.set(name, { ...field, required: field.required && beta });
    else fields.set(name, { type: merge(other.type, field.type), required: other.required && field.required, beta: other.beta && field.beta });
  }
  return { ...a, beta, open: a.open || b.open, tagIsOptional: a.tagIsOptional || b.tagIsOptional, fields };
}

// What MessageCreateParams may hold, with `count` at each field that count_tokens takes too.
export function requestType(sdk = SDK) {
  const [shared, stable, beta] = FILES.map((file) => readFileSync(join(sdk, file), 'utf8'));
  const reader = new Reader([shared, stable, beta], new Reader([shared, stable]));
  const [create, count] = ['MessageCreateParamsBase', 'MessageCountTokensParams'].map((name) => reader.object(name, reader.resolve(name).object));
  for (const [name, field] of create.fields) field.count = count.fields.has(name);
  return create;
}

// --- the file ------------------------------------------------------------------------------------

const snake = (name) => name.replaceAll('.', '').replace(/(Block)?Params?$/, '').replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2').toLowerCase();

class Writer {
  constructor() {
    this.lines = [];
    this.names = new Map(); // of what is written -> its name
    this.taken = new Set();
  }
  define(wanted, build) {
    const text = build('@');
    if (!this.names.has(text)) {
      let name = wanted;
      for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`;
      this.taken.add(name);
      this.names.set(text, name);
      this.lines.push(build(name));
    }
    return this.names.get(text);
  }
  type(node, name) {
    const parts = ['.kinds = ' + [...node.kinds].sort().map((kind) => `WIRE_${kind}`).concat(node.nullable ? 'WIRE_NULL' : []).join(' | ')];
    const listed = (beta) => [...node.choices].filter(([, isBeta]) => isBeta === beta).map(([value]) => value).join(' ');
    if (node.choices.size && !node.choices.has('*')) {
      parts.push(`.choices = "${listed(false)}"`);
      if (listed(true)) parts.push(`.beta_choices = "${listed(true)}"`);
    }
    if (node.items) parts.push(`.items = &${this.define(`${name}_items`, this.item(node.items, name))}`);
    if (node.objects.length) {
      const objects = node.objects.map((object) => `&${this.object(object)}`);
      parts.push(`.objects = ${this.define(`${name}_forms`, (it) => `static const struct wire_object *const ${it}[] = {\n    ${objects.join(',\n    ')},\n    NULL};`)}`);
    }
    return `{${parts.join(', ')}}`;
  }
  item(node, name) {
    const text = this.type(node, `${name}_item`);
    return (it) => `static const struct wire_type ${it} = ${text};`;
  }
  object(object) {
    const name = snake(object.name) || 'object';
    const fields = [...object.fields].map(([key, field]) => {
      const use = [field.required && 'WIRE_REQUIRED', field.beta && !object.beta && 'WIRE_BETA', field.count && 'WIRE_COUNTED'].filter(Boolean).join(' | ') || 0;
      return `    {"${key}", ${use}, ${this.type(field.type, `${name}_${key}`)}},\n`;
    });
    const rows = this.define(`${name}_fields`, (it) => `static const struct wire_field ${it}[] = {\n${fields.join('')}    {NULL, 0, {0}}};`);
    const use = [object.beta && 'WIRE_BETA', object.open && 'WIRE_OPEN', object.tagIsOptional && 'WIRE_TAG_OPTIONAL'].filter(Boolean).join(' | ') || 0;
    return this.define(name, (it) => `static const struct wire_object ${it} = {${object.tag ? `"${object.tag}"` : 'NULL'}, ${use}, ${rows}};`);
  }
}

export function wireTypes(sdk = SDK) {
  const writer = new Writer();
  writer.object({ ...requestType(sdk), name: 'MessageCreateParams' });
  return `/*\n * What a request may hold. Written by scripts/wire-types.mjs from the types of @anthropic-ai/sdk;\n * not edited by hand.\n */\n${writer.lines.join('\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(wireTypes());
