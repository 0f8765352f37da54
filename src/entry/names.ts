/**
 * Names as values: what `host:port/repository:tag` means, without files and without a network. Parsing throws a
 * `TartletError` (`NAME_MALFORMED`) that says where the mistake is.
 *
 * @packageDocumentation
 */
export { Digest, type DigestAlgorithm } from '../names/digest.ts';
export { LocalName } from '../names/local-name.ts';
export { RegistryAddress } from '../names/registry-address.ts';
export { RemoteName, type Reference } from '../names/remote-name.ts';
export { Repository } from '../names/repository.ts';
export { Tag } from '../names/tag.ts';
