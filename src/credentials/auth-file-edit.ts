import { applyEdits, format, type Node } from 'jsonc-parser';
import { TartletError } from '../errors.ts';
import type { JsonObject } from '../json/foreign.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { encodeAuthEntry, type Secret } from './auth-entry.ts';
import { parseAuthKey, sameRegistry, storageKey } from './auth-key.ts';
import { readJsonTree } from './json-tree.ts';

/**
 * The text of an auth file with one more login. What is already said about the whole registry, in any spelling, is
 * replaced, so that the next lookup finds what was just stored. Every other byte is kept: order, spelling of numbers,
 * indentation.
 *
 * @throws TartletError `CONFIG_INVALID`
 */
export function withEntry(text: string | undefined, file: string, registry: RegistryAddress, secret: Secret): string {
  const before = text === undefined || text.trim() === '' ? '{}\n' : text;
  const bare = withoutEntries(before, file, registry).text;
  const root = readJsonTree(bare, file);
  const login = { [storageKey(registry)]: encodeAuthEntry(secret) };
  // Of several with one name the last, which is the one that is read.
  const auths = membersNamed(root, 'auths').at(-1);
  if (auths === undefined) return insert(bare, root, root, { auths: login });
  if (auths.type === 'object') return insert(bare, root, auths, login);
  if (auths.type !== 'null') {
    throw new TartletError('CONFIG_INVALID', `${file} cannot be used: "auths" is not an object`, { subject: file });
  }
  const { offset, length } = auths;
  const emptied = applyEdits(bare, [{ offset, length, content: '{}' }]);
  return insert(emptied, root, { ...auths, length: 2, children: [] }, login);
}

/**
 * The text without any entry for the whole registry, in any spelling. Entries for some of its repositories stay. Where
 * `auths` is there more than once, all are searched: Docker adds them up.
 *
 * @returns the keys that were removed, too.
 * @throws TartletError `CONFIG_INVALID`
 */
export function withoutEntries(
  text: string,
  file: string,
  registry: RegistryAddress,
): { readonly text: string; readonly removed: readonly string[] } {
  const removed: string[] = [];
  let left = text;
  while (left.trim() !== '') {
    const entries = membersNamed(readJsonTree(left, file), 'auths').flatMap((auths) => auths.children ?? []);
    const entry = entries.find((each) => isFor(keyOf(each), registry));
    if (entry === undefined) break;
    removed.push(keyOf(entry));
    left = cut(left, entry);
  }
  return { text: left, removed };
}

function isFor(text: string, registry: RegistryAddress): boolean {
  const key = parseAuthKey(text);
  return key !== undefined && key.path === '' && sameRegistry(key.registry, registry);
}

/** The values of an object's members with a name. A member is a node with two children, its key and its value. */
function membersNamed(object: Node, name: string): Node[] {
  return (object.children ?? []).flatMap((member) => (keyOf(member) === name ? (member.children?.slice(1) ?? []) : []));
}

function keyOf(member: Node): string {
  return String(member.children?.[0]?.value);
}

/** Removes one member with the comma that belongs to it. */
function cut(text: string, member: Node): string {
  const siblings = member.parent?.children ?? [];
  const at = siblings.indexOf(member);
  const [before, after] = [siblings[at - 1], siblings[at + 1]];
  if (before !== undefined) return without(text, endOf(before), endOf(member));
  if (after !== undefined) return without(text, member.offset, after.offset);
  const object = member.parent ?? member;
  return without(text, object.offset + 1, endOf(object) - 1);
}

function without(text: string, from: number, to: number): string {
  return applyEdits(text, [{ offset: from, length: to - from, content: '' }]);
}

/**
 * Adds a member at the end of an object, laid out as the rest of the file. `modify` of the library would lay out the
 * whole line again to which it adds, and knows only the first of several members with one name.
 */
function insert(text: string, root: Node, object: Node, member: JsonObject): string {
  const last = object.children?.at(-1);
  const added = JSON.stringify(member).slice(1, -1);
  const edit = { offset: last === undefined ? object.offset + 1 : endOf(last), length: 0 };
  const content = last === undefined ? added : `,${added}`;
  const longer = applyEdits(text, [{ ...edit, content }]);
  const unit = indentationOf(text, root);
  if (unit === '') return longer;
  const range =
    last === undefined
      ? { offset: object.offset, length: object.length + content.length }
      : { offset: edit.offset, length: content.length };
  const layout = { insertSpaces: !unit.startsWith('\t'), tabSize: unit.length };
  return applyEdits(longer, format(longer, range, layout));
}

function endOf(node: Node): number {
  return node.offset + node.length;
}

/**
 * What stands before the first member tells it, '' for a file of one line; Docker's own tab where there is no member.
 */
function indentationOf(text: string, root: Node): string {
  const [first] = root.children ?? [];
  if (first === undefined) return '\t';
  const lead = text.slice(root.offset + 1, first.offset);
  return /[\r\n]([ \t]*)$/.exec(lead)?.[1] ?? '';
}
