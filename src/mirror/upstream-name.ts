import { RegistryAddress } from '../names/registry-address.ts';
import { Repository } from '../names/repository.ts';
import { parseRepository } from '../server/http/parse-name.ts';

/*
 * How an upstream is written where no colon can stand: as a part of a repository's name, in the name of a directory, in
 * the name of a user. Nothing else may translate between the two: `ghcr.io`, `registry.example_8221`, and for IPv6
 * `ip6__fd00-0-0-0-0-0-0-1_5000`. No host has a "_", so that this is a bijection.
 */

/** All eight groups, because a dash cannot stand for several. */
const IPV6 = /^ip6__([0-9a-f]{1,4}(?:-[0-9a-f]{1,4}){7})$/;
const PORT = /^[1-9][0-9]{0,4}$/;

/** The address with a `_` before its port. */
export function upstreamText({ host, port }: RegistryAddress): string {
  const place = host.startsWith('[') ? `ip6__${groupsOf(host.slice(1, -1)).join('-')}` : host;
  return port === undefined ? place : `${place}_${port}`;
}

/** The inverse of {@link upstreamText}; undefined for what it does not write. */
export function parseUpstreamText(text: string): RegistryAddress | undefined {
  const [, place = text, port] = /^(.*[^_])_([0-9]+)$/.exec(text) ?? [];
  if (port !== undefined && !PORT.test(port)) return undefined;
  const groups = IPV6.exec(place)?.[1];
  const host = groups === undefined ? place : `[${groups.replaceAll('-', ':')}]`;
  const address = RegistryAddress.tryParse(port === undefined ? host : `${host}:${port}`);
  // Upper case, leading zeros: a second text for the same address.
  return address !== undefined && upstreamText(address) === text ? address : undefined;
}

/**
 * Reads the name of a repository in an address: as the distribution spec has it, but the first part may also be
 * `host:port`, which becomes `host_port`.
 * @throws Refusal `NAME_INVALID`
 */
export function readCacheName(text: string): Repository {
  return parseRepository(text.replace(/^([^/:%]+)(?::|%3a)([0-9]{1,5})(?=\/|$)/i, '$1_$2'));
}

/** A repository of an upstream. */
export interface UpstreamPlace {
  readonly upstream: RegistryAddress;
  readonly repository: Repository;
}

/** Splits `ghcr.io/org/image`; undefined when it does not begin with an upstream, or ends with it. */
export function parsePlace(name: Repository): UpstreamPlace | undefined {
  const [first = '', ...rest] = name.text.split('/');
  const upstream = parseUpstreamText(first);
  const repository = Repository.tryParseBySpec(rest.join('/'));
  return upstream === undefined || repository === undefined ? undefined : { upstream, repository };
}

function groupsOf(literal: string): string[] {
  const [before = '', after] = literal.split('::');
  const split = (text: string): string[] => (text === '' ? [] : text.split(':'));
  if (after === undefined) return split(before);
  const [left, right] = [split(before), split(after)];
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
}
