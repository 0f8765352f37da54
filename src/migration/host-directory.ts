import { RegistryAddress } from '../names/registry-address.ts';
import { encodeRegistry } from '../home/layout.ts';

/** What the name of a directory directly below `cache/OCIs` says about its registry. */
export type HostReading =
  /** Spelled as {@link encodeRegistry} would. */
  | { readonly kind: 'canonical'; readonly registry: RegistryAddress }
  /**
   * The same registry in another spelling: a raw colon, `%3a`, upper case, zeros before the port (tart-formats §2.3,
   * §2.8).
   */
  | { readonly kind: 'respelled'; readonly registry: RegistryAddress }
  /** No registry of today's grammar, e.g. `my_host` of a Tart before 0.31.0 (tart-formats §2.2). */
  | { readonly kind: 'unnameable' }
  /** A percent escape that is none: Tart's `list` crashes on it (tart-formats §2.6). */
  | { readonly kind: 'undecodable' };

/** Reads the name of a host directory of any generation. Never fails: what cannot be read is said so. */
export function readHostDirectory(directory: string): HostReading {
  const registry = RegistryAddress.tryParse(directory.replaceAll(/%3a/gi, ':'));
  if (registry !== undefined)
    return { kind: encodeRegistry(registry) === directory ? 'canonical' : 'respelled', registry };
  try {
    decodeURIComponent(directory);
    return { kind: 'unnameable' };
  } catch {
    return { kind: 'undecodable' };
  }
}

/** The registry of a reading, if it has one. */
export function registryOf(reading: HostReading): RegistryAddress | undefined {
  return 'registry' in reading ? reading.registry : undefined;
}
