import { Digest } from '../../names/digest.ts';
import { Repository } from '../../names/repository.ts';
import { Tag } from '../../names/tag.ts';
import { Refusal } from '../contract/refusal.ts';

/** @throws Refusal `NAME_INVALID` for what is no name by the grammar of the distribution spec. */
export function parseRepository(text: string): Repository {
  const repository = Repository.tryParseBySpec(text);
  if (repository !== undefined) return repository;
  const why = 'a repository name has lower-case letters, digits and single . _ - between';
  throw new Refusal(400, 'NAME_INVALID', why, { detail: { name: text.slice(0, 255) } });
}

/** @throws Refusal `MANIFEST_INVALID` for what is no tag by the grammar of the distribution spec. */
export function parseTag(text: string): Tag {
  const tag = Tag.tryParseBySpec(text);
  if (tag !== undefined) return tag;
  const why = 'a tag has 1 to 128 letters, digits, "_", "." and "-"';
  throw new Refusal(400, 'MANIFEST_INVALID', why, { detail: { tag: text.slice(0, 128) } });
}

/** @throws Refusal `DIGEST_INVALID` */
export function parseDigest(text: string): Digest {
  const digest = Digest.tryParse(withColon(text));
  if (digest !== undefined) return digest;
  const why = 'a digest is sha256: or sha512: and its hex digits in lower case';
  throw new Refusal(400, 'DIGEST_INVALID', why, { detail: { digest: text.slice(0, 160) } });
}

/** The one escape understood: careful URL builders write the colon of a digest so. */
export function withColon(text: string): string {
  return text.replace(/%3a/i, ':');
}
