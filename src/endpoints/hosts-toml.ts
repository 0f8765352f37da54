import path from 'node:path';
import { RegistryAddress } from '../names/registry-address.ts';
import { isJsonObject } from '../json/foreign.ts';
import { parseDuration } from './duration.ts';
import { type ClientCertificate, type Endpoint, plainEndpoint } from './endpoint.ts';
import { parseToml, type TomlTable } from './toml-table.ts';

/** A host of a `hosts.toml`, for whatever repository. */
export type HostEndpoint = Omit<Endpoint, 'repository' | 'namespace'>;

/** What a `hosts.toml` says of a registry. */
export interface RegistryHosts {
  /** In the order in which they are asked. */
  readonly hosts: readonly HostEndpoint[];
  /** Asked last; without its `registry` it is the registry itself, to which the rest applies. */
  readonly server: HostEndpoint | Omit<HostEndpoint, 'registry'>;
}

const CAPABILITIES = new Set(['pull', 'resolve', 'push']);
/** Of the protocol itself: a header that would change what a request means, or where it ends. */
const NO_HEADERS = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'range', 'accept-encoding']);

/**
 * Understands a `hosts.toml` of containerd. What is wrong or not supported is an error, where containerd passes over
 * the file with a line in its log.
 *
 * @param file where it was found: paths in it are relative to its directory.
 * @throws TartletError `CONFIG_INVALID`
 */
export async function parseHostsToml(text: string, file: string): Promise<RegistryHosts> {
  const document = await parseToml(text, file);
  const hosts = document.namedTables('host').flatMap(([url, table]) => {
    const host = { ...parsePlace(url, table, 'host'), ...parseHost(table) };
    table.end();
    return isForReading(table) ? [withScheme(host)] : [];
  });
  const url = document.text('server') ?? '';
  const ofServer = parseHost(document);
  const server =
    url === ''
      ? { ...plainHost(document), ...ofServer }
      : withScheme({ ...parsePlace(url, document, 'server'), ...ofServer });
  if (!isForReading(document)) throw document.wrong('capabilities', 'of the server have to include pull or resolve');
  document.end();
  return { hosts, server };
}

type Place = Pick<HostEndpoint, 'registry' | 'scheme' | 'apiPath'>;
type HostSettings = Pick<HostEndpoint, 'answers' | 'tls' | 'headers' | 'connectMs' | 'blockedBy'>;

function plainHost(table: TomlTable): Pick<HostEndpoint, 'scheme' | 'apiPath'> {
  table.flag('override_path');
  return { scheme: 'usual', apiPath: '/v2' };
}

function parsePlace(text: string, table: TomlTable, key: string): Place {
  const url = text.startsWith('http') ? text : `https://${text}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const registry = RegistryAddress.tryParse(/^https?:\/\/([^/?#]*)/.exec(url)?.[1] ?? '');
  if (parsed === undefined || registry === undefined || parsed.search !== '' || parsed.hash !== '')
    throw table.wrong(key, 'has to be an address like https://mirror.example:5000');
  const below = path.posix.normalize(parsed.pathname).replace(/\/+$/, '');
  const isWhole = below.endsWith('/v2') || table.flag('override_path') === true;
  return {
    registry: registry.toString(),
    scheme: parsed.protocol === 'http:' ? 'http' : 'https',
    apiPath: isWhole ? below : `${below}/v2`,
  };
}

/** Plain HTTP with settings for TLS: containerd tries TLS first, but on the port of plain HTTP. */
function withScheme(host: HostEndpoint): HostEndpoint {
  const { isVerified, ca, certificates } = host.tls;
  const hasTls = !isVerified || ca.length > 0 || certificates.length > 0;
  return host.scheme === 'http' && hasTls && !host.registry.endsWith(':80') ? { ...host, scheme: 'either' } : host;
}

function parseHost(table: TomlTable): HostSettings {
  const directory = path.dirname(table.file);
  const dial = table.text('dial_timeout');
  const connectMs = dial === undefined ? undefined : parseDuration(dial);
  if (dial !== undefined && connectMs === undefined) throw table.wrong('dial_timeout', 'has to be a duration like 5s');
  return {
    answers: answersOf(table),
    tls: {
      isVerified: table.flag('skip_verify') !== true,
      ca: textsIn(table, 'ca').map((file) => path.resolve(directory, file)),
      certificates: certificatesIn(table, directory),
    },
    headers: headersIn(table),
    // No time at all means no limit to Go.
    connectMs: connectMs === 0 ? undefined : connectMs,
    blockedBy: undefined,
  };
}

function capabilitiesOf(table: TomlTable): readonly string[] {
  const said = textsIn(table, 'capabilities').map((each) => each.toLowerCase());
  if (said.some((each) => !CAPABILITIES.has(each)))
    throw table.wrong('capabilities', 'may have pull, resolve and push');
  return said.length === 0 ? ['pull', 'resolve'] : said;
}

function answersOf(table: TomlTable): Endpoint['answers'] {
  const said = capabilitiesOf(table);
  if (!said.includes('resolve')) return 'content';
  return said.includes('pull') ? 'all' : 'tags';
}

/** One that is there for pushes only is never asked. */
function isForReading(table: TomlTable): boolean {
  return capabilitiesOf(table).some((each) => each !== 'push');
}

function textsIn(table: TomlTable, key: string): string[] {
  const value = table.value(key);
  if (value === undefined) return [];
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.map((each) => {
    if (typeof each !== 'string') throw table.wrong(key, 'has to be a text or a list of texts');
    return each;
  });
}

function certificatesIn(table: TomlTable, directory: string): ClientCertificate[] {
  const value = table.value('client');
  if (value === undefined) return [];
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.map((each) => {
    const pair: unknown[] = Array.isArray(each) ? each : [each];
    const [certificate, key] = pair;
    const isPair =
      typeof certificate === 'string' && (key === undefined || typeof key === 'string') && pair.length <= 2;
    if (!isPair) throw table.wrong('client', 'has to be a file, a list of files, or of pairs of files');
    return {
      certificate: path.resolve(directory, certificate),
      key: key === undefined || key === '' ? undefined : path.resolve(directory, key),
    };
  });
}

/** No message shows a value: it may be a secret. */
function headersIn(table: TomlTable): Record<string, string> {
  const value = table.value('header') ?? {};
  if (!isJsonObject(value)) throw table.wrong('header', 'has to be a table');
  const headers = Object.entries(value).map(([name, each]): [string, string] => {
    const key = `header.${name}`;
    const texts: unknown[] = Array.isArray(each) ? each : [each];
    if (!texts.every((text) => typeof text === 'string')) throw table.wrong(key, 'has to be a text or a list of texts');
    if (!/^[A-Za-z0-9-]+$/.test(name) || NO_HEADERS.has(name.toLowerCase())) throw table.wrong(key, 'is not supported');
    const text = texts.join(', ');
    if (!/^[\t\x20-\x7e]*$/.test(text)) throw table.wrong(key, 'has a character that no header may have');
    return [name.toLowerCase(), text];
  });
  return Object.fromEntries(headers);
}

/** What `.crt`, `.cert` and `.key` files say, where there is no `hosts.toml`: Docker's rule. */
export function hostsOfCertificates(names: readonly string[], directory: string): RegistryHosts {
  const within = (name: string): string => path.join(directory, name);
  const { registry: _, repository: __, namespace: ___, ...plain } = plainEndpoint('', '');
  const certificates = names
    .filter((name) => name.endsWith('.cert'))
    .map((name) => {
      const key = name.replace(/\.cert$/, '.key');
      return { certificate: within(name), key: names.includes(key) ? within(key) : undefined };
    });
  const ca = names.filter((name) => name.endsWith('.crt')).map(within);
  return { hosts: [], server: { ...plain, tls: { isVerified: true, ca, certificates } } };
}
