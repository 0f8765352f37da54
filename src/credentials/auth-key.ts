import { RegistryAddress } from '../names/registry-address.ts';

/** A key of `auths` or `credHelpers`, understood: which registry it speaks of, and for which of its repositories. */
export interface AuthKey {
  /** As the file spells it. */
  readonly text: string;
  readonly registry: RegistryAddress;
  /**
   * The repository or the directory of repositories it is limited to; empty for the whole registry
   * (containers-auth.json(5)).
   */
  readonly path: string;
}

/** Where `docker login` without an argument keeps Docker Hub, in files and in helpers. */
const HUB_KEY = 'https://index.docker.io/v1/';
/** One registry under three names: what people type, what serves images, and what the key above says. */
const HUB_HOSTS: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/**
 * Reads `host`, `host:port`, `https://host:port`, `https://host:port/v1/` and `host:port/org/repo`. With a scheme,
 * `/v1` and `/v2` are the protocol's own paths; without one they are only when a slash follows, because `host/v1` is a
 * legal repository. `http://host` is port 80.
 *
 * @returns undefined for whatever names no registry: files hold keys of all times and tools, and others' keys are no
 * errors.
 */
export function parseAuthKey(text: string): AuthKey | undefined {
  const scheme = /^(https?):\/\//i.exec(text);
  const rest = text.slice(scheme?.[0].length ?? 0);
  if (/[\s@?#\\]/.test(rest)) return undefined;
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const written = RegistryAddress.tryParse(authority);
  if (written === undefined) return undefined;
  const plainHttp = scheme?.[1]?.toLowerCase() === 'http';
  const registry = plainHttp && written.port === undefined ? RegistryAddress.parse(`${written.host}:80`) : written;
  const tail = slash < 0 ? '' : rest.slice(slash + 1);
  if (/^v[12]\/$/.test(tail) || (scheme !== null && /^v[12]$/.test(tail))) return { text, registry, path: '' };
  const path = tail.replace(/\/$/, '');
  if (path !== '' && path.split('/').includes('')) return undefined;
  return { text, registry, path };
}

/**
 * Whether a credential for one address may be sent to the other: same host, same effective port (443 when none is
 * written), or both Docker Hub. Nothing else is ever equal: no suffixes, no patterns (reliability S4, trap 15).
 */
export function sameRegistry(one: RegistryAddress, other: RegistryAddress): boolean {
  if (isHub(one) && isHub(other)) return true;
  return one.host === other.host && one.effectivePort() === other.effectivePort();
}

/**
 * The keys that may be used for a repository, best first: the longest path, then the host as asked for, then the
 * plainest spelling.
 */
export function rankKeys<K extends AuthKey>(keys: readonly K[], registry: RegistryAddress, repository?: string): K[] {
  return keys
    .filter((key) => sameRegistry(key.registry, registry) && covers(key.path, repository))
    .toSorted((one, other) => other.path.length - one.path.length || detour(one, registry) - detour(other, registry));
}

/**
 * The key under which a credential for the whole registry is stored: as it was named, because other tools compare the
 * text.
 */
export function storageKey(registry: RegistryAddress): string {
  return isHub(registry) ? HUB_KEY : registry.toString();
}

/**
 * The texts under which a helper may know the registry. Helpers compare texts, so that for port 443 both spellings must
 * be asked for, and for Docker Hub the host itself, which Podman uses; {@link storageKey} is the first.
 */
export function serverSpellings(registry: RegistryAddress): string[] {
  const key = storageKey(registry);
  if (isHub(registry)) return [key, registry.host];
  if (registry.effectivePort() !== 443) return [key];
  return [key, registry.port === undefined ? `${registry.host}:443` : registry.host];
}

function isHub(address: RegistryAddress): boolean {
  return HUB_HOSTS.has(address.host) && address.effectivePort() === 443;
}

/** All matching paths are beginnings of one repository, so that the longer text is the more specific one. */
function covers(path: string, repository: string | undefined): boolean {
  return path === '' || repository === path || repository?.startsWith(`${path}/`) === true;
}

function detour(key: AuthKey, registry: RegistryAddress): number {
  if (key.registry.host !== registry.host) return key.text === HUB_KEY ? 2 : 3;
  return key.text.includes('://') ? 1 : 0;
}
