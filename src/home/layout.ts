import { isTartletError, unreachable } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { RemoteName } from '../names/remote-name.ts';
import { Repository } from '../names/repository.ts';
import { Tag } from '../names/tag.ts';

/*
 * The only place that turns names into paths of the image cache, and paths into names. Both directions are one
 * bijection on canonical names: `host:port` is stored with `%3A` for each colon, everything else verbatim, exactly as
 * Tart has written since 2.11.0 (tart-formats §2.1). Whatever decodes to no canonical name is *foreign*: left alone,
 * never a crash.
 */

/** `registry.corp:8221` → `registry.corp%3A8221`, `[::1]:5000` → `[%3A%3A1]%3A5000`. */
export function encodeRegistry(registry: RegistryAddress): string {
  return registry.toString().replaceAll(':', '%3A');
}

/** The registry whose directory has this name, or undefined when no canonical registry does. */
export function decodeRegistry(directory: string): RegistryAddress | undefined {
  if (directory.includes(':')) return undefined;
  const registry = RegistryAddress.tryParse(directory.replaceAll('%3A', ':'));
  return registry !== undefined && encodeRegistry(registry) === directory ? registry : undefined;
}

/** The directory of a repository, below `cache/OCIs`. */
export function repositoryPath(name: RemoteName): string {
  return `${encodeRegistry(name.registry)}/${name.repository.text}`;
}

/**
 * Where a name lies, below `cache/OCIs`: a tag is a symlink, a digest a directory. A name with both is looked up by its
 * tag.
 */
export function referencePath(name: RemoteName): string {
  const { reference } = name;
  switch (reference.kind) {
    case 'tag':
    case 'tag-and-digest':
      return `${repositoryPath(name)}/${reference.tag.text}`;
    case 'digest':
      return digestPath(name, reference.digest);
    default:
      return unreachable(reference);
  }
}

/** Where a digest of a name's repository lies, below `cache/OCIs`. The colon stays: only hosts are encoded. */
export function digestPath(name: RemoteName, digest: Digest): string {
  return `${repositoryPath(name)}/${digest.toString()}`;
}

const DIGEST_DIRECTORY = /^sha256:[0-9a-f]{64}$/;

/** Whether a directory is named like that of an image. */
export function isDigestDirectory(directory: string): boolean {
  return DIGEST_DIRECTORY.test(directory);
}

/** The digest that a directory is named after, or undefined. */
export function decodeDigestDirectory(directory: string): Digest | undefined {
  return isDigestDirectory(directory) ? Digest.parse(directory) : undefined;
}

/**
 * The name of what lies at a path below `cache/OCIs`, read part by part: registry, repository, then a tag or a digest.
 * @returns undefined for a foreign path, i.e. one that {@link referencePath} would never make.
 */
export function decodePath(parts: readonly string[]): RemoteName | undefined {
  const [host, ...rest] = parts;
  const leaf = rest.pop();
  const registry = host === undefined ? undefined : decodeRegistry(host);
  const repository = Repository.tryParse(rest.join('/'));
  if (registry === undefined || repository === undefined || leaf === undefined) return undefined;
  return decodeLeaf({ registry, repository }, leaf);
}

/** What all leaves of a directory have in common: parsed once, because `list` asks for thousands of leaves. */
export interface Leaves {
  readonly registry: RegistryAddress;
  readonly repository: Repository;
}

/** {@link decodePath} for callers that read a whole directory. */
export function decodeLeaf(leaves: Leaves, leaf: string): RemoteName | undefined {
  const digest = decodeDigestDirectory(leaf);
  const tag = digest === undefined ? Tag.tryParse(leaf) : undefined;
  const reference = digest === undefined ? (tag === undefined ? undefined : { tag }) : { digest };
  if (reference === undefined) return undefined;
  try {
    return RemoteName.of(leaves.registry, leaves.repository, reference);
  } catch (error) {
    if (isTartletError(error, 'NAME_MALFORMED')) return undefined;
    throw error;
  }
}
