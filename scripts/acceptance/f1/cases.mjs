/**
 * Cases: a name, how the hosts behave, and files that say where it comes from. Not everything is sensible, and some is
 * refused by both.
 *
 * Left out is what differs on purpose (docs/guide/mirrors.md): plain HTTP on this machine without `insecure`, `blocked`
 * beside another location, a `/` at the end of a mirror's location, unknown keys and version 1.
 */
import { HOSTS, IMAGE } from './hosts.mjs';

const REPOSITORIES = ['team/app', 'team/app/base', 'team/apple', 'team/other', 'team/deep/er/still'];
const PATHS = ['', '/cache', '/cache/more'];

/** @param chance see {@link Chance}. */
export function makeCase(chance, port) {
  const host = chance.pick(HOSTS.filter(({ kind }) => kind !== 'plain' && (kind !== 'down' || chance.often(0.3))));
  const repository = chance.pick(REPOSITORIES);
  const isDigest = chance.often(0.35);
  const name = `${host.address}:${port}/${repository}${isDigest ? `@${IMAGE.digest}` : ':1'}`;
  const place = { host, repository, port, said: new Map() };
  const tables = Array.from({ length: chance.pick([0, 1, 2, 2, 3, 3, 4]) }, () => makeTable(chance, place));
  const last = new Set([host.address, ...tables.flatMap(({ location }) => addressesIn(location))]);
  return {
    name,
    action: chance.often(0.6) ? 'inspect' : 'copy',
    behaviours: new Map(HOSTS.map(({ address }) => [address, makeBehaviour(chance, last.has(address))])),
    files: spread(chance, tables),
  };
}

/** What stands for the registry is asked again and again when it fails. */
function makeBehaviour(chance, mayBeLast) {
  const usual = ['has', 'has', 'lacks', 'lacks', 'refuses', 'asks', 'asks-in-vain'];
  return chance.pick(mayBeLast ? usual : [...usual, 'fails']);
}

function addressesIn(location) {
  return HOSTS.map(({ address }) => address).filter((address) => location?.startsWith(address));
}

function makeTable(chance, place) {
  const prefix = chance.often(0.75) ? makePrefix(chance, place) : undefined;
  const isPattern = prefix?.startsWith('*.') === true;
  const location = isPattern && chance.often(0.5) ? undefined : makeLocation(chance, place, prefix);
  const isOwn = prefix === undefined || location === undefined;
  const byDigestOnly = chance.often(0.2);
  // Two tables about one place that contradict each other make the whole file useless.
  const key = location ?? prefix;
  const agreed = chance.often(0.97) ? place.said.get(key) : undefined;
  const { insecure, blocked } = agreed ?? {
    insecure: isPlain(location) || chance.often(0.7),
    blocked: isOwn && chance.often(0.1),
  };
  place.said.set(key, { insecure, blocked });
  return {
    prefix,
    location,
    insecure,
    blocked: isOwn && blocked,
    byDigestOnly,
    mirrors: Array.from({ length: chance.pick([0, 1, 2, 3, 3]) }, () =>
      makeMirror(chance, place, prefix ?? location, byDigestOnly),
    ),
  };
}

function makePrefix(chance, { host, repository, port }) {
  const parts = repository.split('/');
  const below = parts.slice(0, chance.between(0, parts.length - 1)).join('/');
  if (chance.often(0.1)) return `*${host.address.slice(host.address.indexOf('.'))}`;
  if (chance.often(0.1)) return chance.pick(HOSTS).address;
  const authority = `${chance.often(0.85) ? host.address : chance.pick(HOSTS).address}:${port}`;
  return `${authority}${below === '' ? '' : `/${below}`}${chance.often(0.05) ? '/' : ''}`;
}

/** Where only an address was replaced, the port of the name follows. */
function makeLocation(chance, { host, repository, port }, prefix) {
  const { address } = chance.pick(HOSTS);
  if (prefix !== undefined && !prefix.includes(':')) return address;
  if (prefix === undefined && chance.often(0.6))
    return `${host.address}:${port}${chance.often(0.5) ? '' : `/${repository}`}`;
  if (chance.often(0.015)) return `https://${address}:${port}`;
  if (chance.often(0.015)) return 'name-without-a-dot/team';
  return `${address}:${port}${makePath(chance, prefix)}`;
}

/** In the place of a prefix that is a whole name, an address alone would be no name of an image. */
function makePath(chance, prefix) {
  const isDeep = (prefix ?? '').split('/').length > 2 && chance.often(0.95);
  return chance.pick(isDeep ? PATHS.slice(1) : PATHS);
}

function makeMirror(chance, place, prefix, byDigestOnly) {
  const { address } = chance.pick(HOSTS);
  const path = prefix !== undefined && !prefix.includes(':') ? '' : `:${place.port}${makePath(chance, prefix)}`;
  const location = `${address}${path}`;
  const mayRestrict = !byDigestOnly || chance.often(0.02);
  const pulls = chance.pick(['all', 'digest-only', 'tag-only', ...(chance.often(0.02) ? ['never'] : [])]);
  return {
    location,
    insecure: isPlain(location) || chance.often(0.7),
    pulls: mayRestrict && chance.often(0.4) ? pulls : undefined,
  };
}

function isPlain(location) {
  return HOSTS.some(({ address, kind }) => kind === 'plain' && location?.startsWith(address));
}

/** Tables in the user's file, in drop-ins, or in both. */
function spread(chance, tables) {
  const files = new Map();
  const names = ['registries.conf.d/10.conf', 'registries.conf.d/20.conf'];
  if (chance.often(0.75)) names.push('registries.conf', 'registries.conf', 'registries.conf');
  for (const table of tables) {
    const name = chance.pick(names);
    files.set(name, `${files.get(name) ?? head(chance)}${text(table)}`);
  }
  if (chance.often(0.1)) files.set('registries.conf.d/30.conf', '[aliases]\n"debian" = "docker.io/library/debian"\n');
  if (chance.often(0.1)) files.set('registries.conf.d/ignored', 'this is no TOML');
  return files;
}

function head(chance) {
  const lines = [
    'unqualified-search-registries = ["docker.io"]\n',
    'short-name-mode = "permissive"\n',
    'credential-helpers = ["containers-auth.json"]\n',
    '# nothing\n',
  ];
  return lines.filter(() => chance.often(0.15)).join('');
}

function text({ prefix, location, insecure, blocked, byDigestOnly, mirrors }) {
  const lines = ['[[registry]]'];
  if (prefix !== undefined) lines.push(`prefix = "${prefix}"`);
  if (location !== undefined) lines.push(`location = "${location}"`);
  if (insecure) lines.push('insecure = true');
  if (blocked) lines.push('blocked = true');
  if (byDigestOnly) lines.push('mirror-by-digest-only = true');
  for (const mirror of mirrors) {
    lines.push('[[registry.mirror]]', `location = "${mirror.location}"`);
    if (mirror.insecure) lines.push('insecure = true');
    if (mirror.pulls !== undefined) lines.push(`pull-from-mirror = "${mirror.pulls}"`);
  }
  return `${lines.join('\n')}\n`;
}
