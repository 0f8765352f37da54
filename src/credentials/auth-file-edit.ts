import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { encodeAuthEntry, type Secret } from './auth-entry.ts';
import { parseAuthKey, sameRegistry, storageKey } from './auth-key.ts';
import { type JsonMember, type JsonValue, memberOf, readJsonText } from './json-text.ts';

/** What one level of indentation looks like; undefined in a file that is one line. */
type Indentation = string | undefined;

/**
 * The text of an auth file with one more login. What is already said about the whole registry, in any spelling, is replaced, so
 * that the next lookup finds what was just stored. Every other byte is kept: order, spelling of numbers, indentation.
 *
 * @throws TartletError `CONFIG_INVALID`
 */
export function withEntry(text: string | undefined, file: string, registry: RegistryAddress, secret: Secret): string {
  const before = text === undefined || text.trim() === '' ? '{}\n' : text;
  const unit = indentationOf(before, readJsonText(before, file));
  const bare = withoutEntries(before, file, registry).text;
  const root = readJsonText(bare, file);
  const auths = memberOf(root, 'auths')?.value;
  const key = storageKey(registry);
  const entry = encodeAuthEntry(secret);
  if (auths === undefined) return insert(bare, root, 'auths', { [key]: entry }, 1, unit);
  if (auths.members !== undefined) return insert(bare, auths, key, entry, 2, unit);
  if (bare.slice(auths.start, auths.end) === 'null') return splice(bare, auths, render({ [key]: entry }, 1, unit));
  throw new TartletError('CONFIG_INVALID', `${file} cannot be used: "auths" is not an object`, { subject: file });
}

/**
 * The text without any entry for the whole registry, in any spelling. Entries for some of its repositories stay.
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
    const auths = memberOf(readJsonText(left, file), 'auths')?.value;
    const at = auths?.members?.findIndex((member) => isFor(member, registry)) ?? -1;
    const member = auths?.members?.[at];
    if (auths === undefined || member === undefined) break;
    removed.push(member.key);
    left = cut(left, auths, at, member);
  }
  return { text: left, removed };
}

function isFor(member: JsonMember, registry: RegistryAddress): boolean {
  const key = parseAuthKey(member.key);
  return key !== undefined && key.path === '' && sameRegistry(key.registry, registry);
}

/** Removes one member with the comma that belongs to it. */
function cut(text: string, object: JsonValue, at: number, member: JsonMember): string {
  const before = object.members?.[at - 1];
  const after = object.members?.[at + 1];
  if (before !== undefined) return text.slice(0, before.value.end) + text.slice(member.value.end);
  if (after !== undefined) return text.slice(0, member.start) + text.slice(after.start);
  return splice(text, object, '{}');
}

/** Adds a member at the end of an object that lies `depth - 1` levels deep. */
function insert(
  text: string,
  object: JsonValue,
  key: string,
  value: Readonly<Record<string, unknown>>,
  depth: number,
  unit: Indentation,
): string {
  const member = `${JSON.stringify(key)}:${unit === undefined ? '' : ' '}${render(value, depth, unit)}`;
  const last = object.members?.at(-1);
  if (last === undefined) return splice(text, object, `{${line(depth, unit)}${member}${line(depth - 1, unit)}}`);
  return `${text.slice(0, last.value.end)},${line(depth, unit)}${member}${text.slice(last.value.end)}`;
}

function render(value: Readonly<Record<string, unknown>>, depth: number, unit: Indentation): string {
  // Line breaks inside texts are escaped: those left are the layout's.
  return JSON.stringify(value, undefined, unit).replaceAll('\n', line(depth, unit));
}

function line(depth: number, unit: Indentation): string {
  return unit === undefined ? '' : `\n${unit.repeat(depth)}`;
}

function splice(text: string, { start, end }: JsonValue, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

/** What stands before the first member tells it; Docker's own tab where there is none. */
function indentationOf(text: string, root: JsonValue): Indentation {
  const first = root.members?.[0];
  if (first === undefined) return '\t';
  const lead = text.slice(root.start + 1, first.start);
  return lead.includes('\n') ? lead.slice(lead.lastIndexOf('\n') + 1) : undefined;
}
