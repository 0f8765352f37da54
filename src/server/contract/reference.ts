import type { Digest } from '../../names/digest.ts';
import type { Tag } from '../../names/tag.ts';

/** What a manifest is asked for by. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };
