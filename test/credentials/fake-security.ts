import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { World } from './world.ts';

/** One internet password in {@link FakeKeychain}. */
export interface FakeItem {
  readonly server: string;
  readonly account: string;
  readonly label: string;
  readonly password: string;
}

/** A `security` that behaves like the one of macOS as far as we use it, with a Keychain in a file. */
export class FakeKeychain {
  readonly #items: string;
  readonly #log: string;

  /** @param locked fails as in an SSH session. */
  constructor(world: World, options: { readonly locked?: boolean; readonly items?: readonly FakeItem[] } = {}) {
    this.#items = world.write(path.join(world.directory, 'keychain.json'), options.items ?? []);
    this.#log = path.join(world.directory, 'security.log');
    const facts = { items: this.#items, log: this.#log, locked: options.locked ?? false };
    world.program('security', `#!${process.execPath}\nconst facts = ${JSON.stringify(facts)};\n${PROGRAM}`);
  }

  get items(): FakeItem[] {
    return JSON.parse(readFileSync(this.#items, 'utf8')) as FakeItem[];
  }

  /** The arguments of every call, which everybody on the machine could have read. */
  get calls(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').trimEnd().split('\n') : [];
  }
}

/** Words of a line are divided as Apple's tool does it: quotes, and a backslash before any character. */
const PROGRAM = String.raw`
const fs = require('node:fs');
const words = process.argv.slice(2);
fs.appendFileSync(facts.log, words.join(' ') + '\n');
let items = JSON.parse(fs.readFileSync(facts.items, 'utf8'));
const divide = (line) =>
  [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, bare]) => quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'));
function optionsOf(words) {
  const options = {};
  for (let at = 0; at < words.length; at += 1) options[words[at]] = ['-U', '-g'].includes(words[at]) ? true : words[(at += 1)];
  return options;
}
function execute([action, ...rest]) {
  if (facts.locked) return 36;
  const options = optionsOf(rest);
  const { '-s': server, '-l': label } = options;
  const at = items.findIndex((item) => item.server === server && item.label === label);
  if (action === 'add-internet-password') {
    const account = options['-a'];
    if (options['-U'] !== true || options['-r'] !== 'htps') return 2;
    items = items.filter((item) => item.server !== server || item.account !== account);
    items.push({ server, account, label, password: options['-w'] });
  } else if (at < 0) {
    return 44;
  } else if (action === 'delete-internet-password') {
    items.splice(at, 1);
  } else {
    const shown = (text) => /^[\x20-\x7e]+$/.test(text) ? '"' + text + '"' : '0x' + Buffer.from(text).toString('hex').toUpperCase() + '  "…"';
    console.log('    "acct"<blob>=' + shown(items[at].account));
    console.error('password: ' + shown(items[at].password));
  }
  fs.writeFileSync(facts.items, JSON.stringify(items));
  return 0;
}
let code = 0;
if (words[0] === '-i') {
  for (const line of fs.readFileSync(0, 'utf8').split('\n').filter((each) => each !== '')) code = execute(divide(line));
} else {
  code = execute(words);
}
process.exitCode = code;
`;
