import type { RegistryRule, RuleMirror } from './registry-rule.ts';
import { wrongSettings } from './settings-fault.ts';
import { parseToml, type TomlTable } from './toml-table.ts';

/** What containers-registries.conf(5) has for names without a registry, and for layers that are mounted. */
const OF_OTHERS = [
  'unqualified-search-registries',
  'short-name-mode',
  'aliases',
  'additional-layer-store-auth-helper',
] as const;

/** The source of logins that every key but this one would take the place of. */
const AUTH_FILES = 'containers-auth.json';

const PULLS = ['all', 'digest-only', 'tag-only'] as const;

/**
 * The rules of a `registries.conf`, version 2. Of several with one prefix the first counts, as in containers/image.
 *
 * @throws TartletError `CONFIG_INVALID` for what cannot be understood, and for every key that is not supported: one
 * that was passed over could be the one that should have kept an image from coming from elsewhere.
 */
export async function parseRegistriesConf(text: string, file: string): Promise<RegistryRule[]> {
  if (!hasMeaning(text)) return [];
  const document = await parseToml(text, file);
  if (document.value('registries') !== undefined)
    throw document.wrong('registries', 'is of version 1 of this file, which is not supported: write [[registry]]');
  requireUsualLogins(document);
  document.pass(...OF_OTHERS);
  const rules = document.tables('registry').map(parseRule);
  document.end();
  requireAgreement(rules, file);
  return rules.filter(({ prefix }, index) => rules.findIndex((other) => other.prefix === prefix) === index);
}

/**
 * Whether the text has more than comments and aliases of short names, as the files of the distributions: then no parser
 * needs to be loaded.
 */
function hasMeaning(text: string): boolean {
  const lines = text.split('\n').filter((line) => !/^\s*(?:#.*)?$/.test(line));
  const isAlias = /^\s*(?:\[aliases\]|"[^"\\]*"\s*=\s*"[^"\\]*")\s*(?:#.*)?$/;
  return !lines.every((line) => isAlias.test(line));
}

/** Logins come from the same files as for every other command. */
function requireUsualLogins(document: TomlTable): void {
  const others = (document.list('credential-helpers') ?? []).filter((each) => each !== AUTH_FILES);
  if (others.length > 0)
    throw document.wrong('credential-helpers', `is not supported, but for "${AUTH_FILES}": name helpers in auth files`);
}

function parseRule(table: TomlTable): RegistryRule {
  const location = locationIn(table, 'location') ?? '';
  const prefix = locationIn(table, 'prefix') ?? '';
  if (location === '' && !prefix.startsWith('*.')) throw table.wrong('location', 'is missing');
  if (prefix.startsWith('*.') && /[/@:]/.test(prefix)) throw table.wrong('prefix', 'may only have a host after "*."');
  const onlyDigests = table.flag('mirror-by-digest-only') ?? false;
  const rule: RegistryRule = {
    prefix: prefix === '' ? location : prefix,
    location,
    isInsecure: table.flag('insecure') ?? false,
    isBlocked: table.flag('blocked') ?? false,
    mirrors: table.tables('mirror').map((mirror) => parseMirror(mirror, onlyDigests)),
    file: table.file,
  };
  table.end();
  return rule;
}

function parseMirror(table: TomlTable, onlyDigests: boolean): RuleMirror {
  const location = locationIn(table, 'location') ?? '';
  if (location === '') throw table.wrong('location', 'is missing');
  const key = 'pull-from-mirror';
  const said = table.text(key) ?? '';
  const pulls = PULLS.find((each) => each === (said === '' ? 'all' : said));
  if (pulls === undefined) throw table.wrong(key, `has to be one of ${PULLS.join(', ')}`);
  if (onlyDigests && said !== '') throw table.wrong(key, 'cannot be said beside mirror-by-digest-only');
  const mirror: RuleMirror = {
    location,
    isInsecure: table.flag('insecure') ?? false,
    pulls: onlyDigests ? 'digest-only' : pulls,
  };
  table.end();
  return mirror;
}

function locationIn(table: TomlTable, key: 'location' | 'prefix'): string | undefined {
  const text = table.text(key)?.replace(/\/+$/, '');
  if (text !== undefined && /^https?:\/\//.test(text)) throw table.wrong(key, 'has to be written without a scheme');
  return text;
}

/** One place cannot be both, whatever leads there. */
function requireAgreement(rules: readonly RegistryRule[], file: string): void {
  const placeOf = ({ location, prefix }: RegistryRule): string => (location === '' ? prefix : location);
  for (const rule of rules) {
    const other = rules.find((each) => placeOf(each) === placeOf(rule) && !saysTheSame(each, rule));
    if (other !== undefined)
      throw wrongSettings(file, `"${placeOf(rule)}" is there twice, with other values of insecure or blocked`);
  }
}

function saysTheSame(one: RegistryRule, other: RegistryRule): boolean {
  return one.isInsecure === other.isInsecure && one.isBlocked === other.isBlocked;
}
