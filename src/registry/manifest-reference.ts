import type { Digest } from '../names/digest.ts';
import type { Tag } from '../names/tag.ts';
import type { RepositoryContext } from './request/repository.ts';

/** A manifest in the registry: by the tag that leads to it, or by what it is. */
export type ManifestReference = { readonly tag: Tag } | { readonly digest: Digest };

/** What a reference is called in errors: `ghcr.io/a/b:1`. */
export function manifestText({ registry, repository }: RepositoryContext, reference: ManifestReference): string {
  const which = 'tag' in reference ? `:${reference.tag.text}` : `@${reference.digest.toString()}`;
  return `${registry}/${repository}${which}`;
}
