import type { RegistryAddress } from '../names/registry-address.ts';
import { type HostReading, readHostDirectory, registryOf } from './host-directory.ts';

/*
 * Where an image comes from, judged by witnesses and never guessed: the decision table of tart-formats §2.7 as pure
 * functions.
 */

/** What a symlink tells: the directory it lies in (L) beside the one that its text names (T). */
export type LinkVerdict =
  /** T = L, and L is an address. */
  | { readonly kind: 'same'; readonly registry: RegistryAddress }
  /** T and L are one address in two spellings: a user renamed the directory by hand, or Tart began to encode. */
  | { readonly kind: 'respelled'; readonly registry: RegistryAddress }
  /** T = L and a port: the directory was renamed without it (tart-formats §2.5). */
  | { readonly kind: 'port-dropped'; readonly registry: RegistryAddress }
  /**
   * L = T and a port: an old `push --populate-cache` put the image beside its port; it belongs to L (tart-formats
   * §2.4).
   */
  | { readonly kind: 'populated'; readonly registry: RegistryAddress }
  /** Made by hand, or no address at all: it says nothing about where the image is from. */
  | { readonly kind: 'unrelated' };

/**
 * Judges a symlink by the two directories.
 * @param lies name of the host directory that the symlink lies in.
 * @param names name of the host directory in its text.
 */
export function judgeLink(lies: string, names: string): LinkVerdict {
  const here = registryOf(readHostDirectory(lies));
  const there = registryOf(readHostDirectory(names));
  if (here === undefined || there === undefined || here.host !== there.host) return { kind: 'unrelated' };
  if (here.port === there.port) return { kind: lies === names ? 'same' : 'respelled', registry: here };
  if (here.port === undefined) return { kind: 'port-dropped', registry: there };
  if (there.port === undefined) return { kind: 'populated', registry: here };
  return { kind: 'unrelated' };
}

/** Everything that testifies where an image is from. */
export interface ImageEvidence {
  /** The host directory that it lies in. */
  readonly directory: HostReading;
  /** The registry that its origin record names, when the record is of this image and can be read. */
  readonly record: RegistryAddress | undefined;
  /** The user's override for everything in this directory that no record contradicts. */
  readonly override: RegistryAddress | undefined;
  /** A registry on a port that the user made a symlink to this directory. */
  readonly alias: RegistryAddress | undefined;
  /** What the symlinks say that name it. */
  readonly claims: readonly RegistryAddress[];
}

/** What convinced us. */
export type EvidenceSource = 'directory' | 'record' | 'override' | 'alias' | 'link';

/** Why it is not known where an image is from. */
export type Ambiguity = 'port-unknown' | 'unnameable' | 'undecodable' | 'record-disagrees';

export type ImageVerdict =
  | { readonly kind: 'known'; readonly registry: RegistryAddress; readonly by: EvidenceSource }
  | { readonly kind: 'unknown'; readonly because: Ambiguity };

/**
 * Judges an image: the best witness decides, and what contradicts the very host in the name of a directory decides
 * nothing. A port in the directory's name is certain; a record of our own comes next, then symlinks, then the user's
 * override.
 */
export function judgeImage(evidence: ImageEvidence): ImageVerdict {
  const { directory, record, override, claims } = evidence;
  const here = registryOf(directory);
  const isOurs = record !== undefined && (here === undefined || record.host === here.host);
  if (override !== undefined && !isOurs && !claims.some((claim) => isOtherPort(claim, here)))
    return known(override, 'override');
  if (here?.port !== undefined) return known(here, 'directory');
  if (isOurs) return known(record, 'record');
  if (record !== undefined) return { kind: 'unknown', because: 'record-disagrees' };
  if (directory.kind === 'unnameable' || directory.kind === 'undecodable')
    return { kind: 'unknown', because: directory.kind };
  return judgePortless(directory.registry, evidence);
}

/**
 * A user who made `host:port` a symlink to the directory of `host` said what it is, except where a symlink names
 * another port.
 */
function judgePortless(here: RegistryAddress, { alias, claims }: ImageEvidence): ImageVerdict {
  const ported = claims.filter((claim) => claim.port !== undefined).sort(byText);
  if (alias !== undefined && (ported.length === 0 || ported.some((claim) => claim.equals(alias))))
    return known(alias, 'alias');
  // Two registries may share the directory of a digest once their ports are gone: it stays where one of them wants it.
  if (claims.some((claim) => claim.equals(here))) return known(here, 'link');
  const [claim] = ported;
  return claim === undefined ? { kind: 'unknown', because: 'port-unknown' } : known(claim, 'link');
}

function isOtherPort(claim: RegistryAddress, here: RegistryAddress | undefined): boolean {
  return claim.port !== undefined && !(here !== undefined && claim.equals(here));
}

function known(registry: RegistryAddress, by: EvidenceSource): ImageVerdict {
  return { kind: 'known', registry, by };
}

function byText(a: RegistryAddress, b: RegistryAddress): number {
  return a.toString() < b.toString() ? -1 : 1;
}
