// Asks the language server of editors, over stdio, about every field of every kind in `schemas/`: it must complete the
// field and describe it. `make test-editor` installs the server and runs this; nothing else needs Node.

import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [server, schemas] = process.argv.slice(2);
// No file that a person writes.
const NOT_WRITTEN = ['saved-plan.json'];
// Types of Kubernetes, whose fields come without words about them; they are completed all the same.
const OF_KUBERNETES = [
  'affinity', 'imagePullSecrets', 'manifests', 'mounts', 'resources', 'persistentVolumeClaim', 'tolerations',
  'topologySpreadConstraints', 'conditions',
];
// Longest time for one answer.
const PATIENCE = 30_000;

/** A language server, and the answers it still owes. */
class Client {
  #process;
  #input = Buffer.alloc(0);
  #open = new Map();
  #next = 1;

  constructor(program) {
    this.#process = spawn(process.execPath, [program, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.stdout.on('data', (data) => this.#read(data));
    this.#process.on('exit', (code) => {
      for (const { reject } of this.#open.values()) reject(new Error(`the server ended with ${code}`));
    });
  }

  #read(data) {
    this.#input = Buffer.concat([this.#input, data]);
    for (;;) {
      const end = this.#input.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#input.subarray(0, end).toString())[1]);
      if (this.#input.length < end + 4 + length) return;
      const message = JSON.parse(this.#input.subarray(end + 4, end + 4 + length).toString());
      this.#input = this.#input.subarray(end + 4 + length);
      this.#take(message);
    }
  }

  #take({ id, method, params, result, error }) {
    if (method !== undefined) {
      // A question of the server, such as for the settings of an editor: there are none.
      if (id !== undefined) {
        const settings = method === 'workspace/configuration' ? params.items.map(() => null) : null;
        this.#send({ id, result: settings });
      }
      return;
    }
    const asked = this.#open.get(id);
    this.#open.delete(id);
    clearTimeout(asked.timer);
    if (error) asked.reject(new Error(error.message));
    else asked.resolve(result);
  }

  #send(message) {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.#process.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  tell(method, params) {
    this.#send({ method, params });
  }

  ask(method, params) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), PATIENCE);
      this.#open.set(id, { resolve, reject, timer });
      this.#send({ id, method, params });
    });
  }

  async stop() {
    await this.ask('shutdown', null);
    this.tell('exit', null);
    this.#process.stdin.end();
  }
}

/** Every mapping of a schema: the steps to it (`[]` for an item of a list), and its fields. */
function* mappings(schema, steps = []) {
  if (schema.properties) yield { steps, fields: schema.properties };
  for (const [name, property] of Object.entries(schema.properties ?? {})) yield* mappings(property, [...steps, name]);
  if (schema.items) yield* mappings(schema.items, [...steps, '[]']);
  for (const variant of schema.anyOf ?? []) yield* mappings(variant, steps);
}

/** The beginning of a document down to a mapping, and what stands in front of each of its fields. */
function beginning(steps) {
  let text = '';
  let margin = '';
  let dash = '';
  for (const step of steps) {
    if (step === '[]') {
      dash += '- ';
    } else {
      text += `${margin}${dash}${step}:\n`;
      margin += ' '.repeat(dash.length + 2);
      dash = '';
    }
  }
  return { text, margin, dash };
}

const said = (hover) => [hover?.contents ?? ''].flat().map((part) => part.value ?? part).join('\n');
const words = (text) => text.replace(/[^\p{L}\p{N}]+/gu, ' ').trim();

const client = new Client(resolve(server));
await client.ask('initialize', {
  processId: process.pid,
  rootUri: null,
  capabilities: { workspace: { configuration: true }, textDocument: { completion: {}, hover: {} } },
});
client.tell('initialized', {});

const missing = [];
let [asked, version, kinds] = [0, 0, 0];

/** Opens a document below the line that names its schema, and asks about it. */
async function about(schema, text, questions) {
  const uri = `file:///fleet/document-${version++}.yaml`;
  const whole = `# yaml-language-server: $schema=${pathToFileURL(resolve(schemas, schema))}\n${text}`;
  client.tell('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version, text: whole } });
  const lines = whole.split('\n');
  const result = await questions(uri, lines);
  client.tell('textDocument/didClose', { textDocument: { uri } });
  return result;
}

for (const file of readdirSync(schemas).filter((name) => name.endsWith('.json') && !NOT_WRITTEN.includes(name))) {
  kinds += 1;
  for (const { steps, fields } of mappings(JSON.parse(readFileSync(join(schemas, file), 'utf8')))) {
    const place = [file, ...steps].join(' ');
    const { text, margin, dash } = beginning(steps);
    const names = Object.keys(fields);
    await about(file, `${text}${margin}${dash}`, async (uri, lines) => {
      const position = { line: lines.length - 1, character: lines.at(-1).length };
      const answer = await client.ask('textDocument/completion', { textDocument: { uri }, position });
      const labels = (answer.items ?? answer).map((item) => item.label);
      for (const name of names.filter((name) => !labels.includes(name))) missing.push(`${place} ${name}: not completed`);
    });
    const rows = names.map((name, index) => `${margin}${index === 0 ? dash : ' '.repeat(dash.length)}${name}:`);
    await about(file, `${text}${rows.join('\n')}\n`, async (uri, lines) => {
      const first = lines.length - 1 - names.length;
      for (const [index, name] of names.entries()) {
        asked += 1;
        const position = { line: first + index, character: margin.length + dash.length + 1 };
        const shown = said(await client.ask('textDocument/hover', { textDocument: { uri }, position }));
        const described = fields[name].description;
        if (!described && steps.some((step) => OF_KUBERNETES.includes(step))) continue;
        if (!described) missing.push(`${place} ${name}: not described`);
        else if (!words(shown).includes(words(described).slice(0, 40))) {
          missing.push(`${place} ${name}: the hover is ${JSON.stringify(shown.slice(0, 80))}`);
        }
      }
    });
  }
}
await client.stop();
console.log(`${asked} fields of ${kinds} kinds: ${missing.length} not completed or described`);
for (const line of missing) console.log(`  ${line}`);
process.exitCode = missing.length === 0 ? 0 : 1;
