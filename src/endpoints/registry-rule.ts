import { Repository } from '../names/repository.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { type Endpoint, type EndpointChoice, inOrder, plainEndpoint } from './endpoint.ts';
import { wrongSettings } from './settings-fault.ts';

/** A place that `registries.conf` names. */
export interface RuleLocation {
  /** What takes the place of the prefix: `host[:port][/path]`. Empty, which only a `*.` prefix allows: nothing does. */
  readonly location: string;
  /** Plain HTTP, and certificates of unknown authorities, are good enough. */
  readonly isInsecure: boolean;
}

/** A mirror, and for which references it is asked. */
export interface RuleMirror extends RuleLocation {
  readonly pulls: 'all' | 'digest-only' | 'tag-only';
}

/** A `[[registry]]` of `registries.conf`, version 2 (containers-registries.conf(5)). */
export interface RegistryRule extends RuleLocation {
  /** Names that begin with it are meant; one that begins with `*.` means hosts that end with the rest. */
  readonly prefix: string;
  readonly isBlocked: boolean;
  readonly mirrors: readonly RuleMirror[];
  /** Where it stands. */
  readonly file: string;
}

/**
 * The rule with the longest prefix. Only registry and repository are compared, not the tag: so does everything that is
 * made of containers/image.
 */
export function findRule(rules: readonly RegistryRule[], place: string): RegistryRule | undefined {
  const [longest] = rules
    .filter(({ prefix }) => matchedLength(place, prefix) !== undefined)
    .toSorted((one, other) => other.prefix.length - one.prefix.length);
  return longest;
}

/**
 * How much of a name a prefix matches; undefined: it does not. A prefix ends where a part of the name does; that
 * `host` also matches `host:5000` is how containers/image does it (and says that one should not rely on it).
 */
function matchedLength(place: string, prefix: string): number | undefined {
  const end = endOfMatch(place, prefix);
  return end === place.length || (end !== undefined && /[:/@]/.test(place[end] ?? '')) ? end : undefined;
}

function endOfMatch(place: string, prefix: string): number | undefined {
  if (!prefix.startsWith('*.')) return place.startsWith(prefix) ? prefix.length : undefined;
  const domain = prefix.slice(1);
  const at = place.indexOf(domain);
  return at < 0 || place.slice(0, at).includes('/') ? undefined : at + domain.length;
}

/**
 * Where an image comes from by the rule for its name: the mirrors, and then the place itself.
 *
 * @param rules all of them: a mirror may be blocked as well.
 * @throws TartletError `CONFIG_INVALID` where one of the places is none that an image can come from.
 */
export function endpointsOf(rule: RegistryRule, name: RemoteName, rules: readonly RegistryRule[]): EndpointChoice {
  const isTag = name.reference.kind === 'tag';
  const mirrors = rule.mirrors.filter(({ pulls }) => pulls !== (isTag ? 'digest-only' : 'tag-only'));
  const place = placeOf(name);
  const endpointAt = (where: RuleLocation): Endpoint => {
    const endpoint = rewritten(place, rule, where);
    const blocking = findRule(rules, `${endpoint.registry}/${endpoint.repository}`);
    return blocking?.isBlocked === true ? { ...endpoint, blockedBy: blocking.file } : endpoint;
  };
  const own = endpointAt(rule);
  const last: Endpoint = rule.isBlocked ? { ...own, blockedBy: rule.file } : own;
  return { endpoints: inOrder(mirrors.map(endpointAt), last), source: rule.file };
}

/** What prefixes are compared with. */
export function placeOf({ registry, repository }: RemoteName): string {
  return `${registry.toString()}/${repository.text}`;
}

function rewritten(place: string, rule: RegistryRule, { location, isInsecure }: RuleLocation): Endpoint {
  const text = location === '' ? place : location + place.slice(matchedLength(place, rule.prefix));
  const slash = text.indexOf('/');
  const host = text.slice(0, Math.max(slash, 0));
  const registry = RegistryAddress.tryParse(host);
  const repository = Repository.tryParse(text.slice(slash + 1));
  // Without a dot or a port it is a name on Docker Hub to containers/image, which refuses it here.
  const isHost = /[.:]/.test(host) || host === 'localhost';
  if (registry === undefined || repository === undefined || !isHost) {
    throw wrongSettings(rule.file, `by the location "${location}", ${place} would be "${text}", which is no image`);
  }
  const scheme = isInsecure ? 'either' : 'usual';
  const endpoint = plainEndpoint(registry.toString(), repository.text);
  return { ...endpoint, scheme, tls: { ...endpoint.tls, isVerified: !isInsecure } };
}
