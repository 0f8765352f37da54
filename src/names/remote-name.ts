import { TartletError } from '../errors.ts';
import { Digest } from './digest.ts';
import { IMAGE_SPELLING, malformed } from './malformed.ts';
import { RegistryAddress } from './registry-address.ts';
import { Repository } from './repository.ts';
import { refuseScheme } from './scheme.ts';
import { Tag } from './tag.ts';

/** The longest name we look at: nothing real comes near it, and no text from outside is worth more time. */
const MAX_NAME = 4096;

/** Which image of a repository is meant. With both a tag and a digest, the tag must lead to that digest. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest }
  | { readonly kind: 'tag-and-digest'; readonly tag: Tag; readonly digest: Digest };

/**
 * The name of an image in a registry: `host[:port]/repository[:tag][@sha256:…]`, tag `latest` when none is given.
 * Immutable and correct by construction; `text` is what the user typed, {@link toString} the canonical form.
 */
export class RemoteName {
  readonly registry: RegistryAddress;
  readonly repository: Repository;
  readonly reference: Reference;
  /** Exactly what was typed. */
  readonly text: string;

  private constructor(registry: RegistryAddress, repository: Repository, reference: Reference, text: string) {
    this.registry = registry;
    this.repository = repository;
    this.reference = reference;
    this.text = text;
  }

  /**
   * Whether a text means a remote name at all: Tart decides by the slash, which no local name may contain (tart-formats
   * §2.2). A text with a slash that does not parse is a *malformed* remote name, never a local one.
   */
  static looksRemote(text: string): boolean {
    return text.includes('/');
  }

  /** @throws TartletError `NAME_MALFORMED` with the position of the first character that cannot be right. */
  static parse(text: string): RemoteName {
    if (text.length > MAX_NAME) throw tooLong(text);
    refuseScheme(text, (bare) => bare);
    const slash = text.indexOf('/');
    if (slash < 0) {
      throw malformed(text, text.length, 'there is no "/" between a registry and a repository', IMAGE_SPELLING);
    }
    const registry = RegistryAddress.parse(text.slice(0, slash), text);
    // From left to right, so that the position is that of the first fault.
    const at = indexOrEnd(text, '@', slash);
    const colon = Math.min(indexOrEnd(text, ':', slash), at);
    const repository = Repository.parse(text.slice(slash + 1, colon), text, slash + 1);
    refusePortWithin(text, colon);
    const tag = colon < at ? Tag.parse(text.slice(colon + 1, at), text, colon + 1) : undefined;
    const digest = at < text.length ? parseDigest(text, at + 1) : undefined;
    return new RemoteName(registry, repository, makeReference(tag, digest), text);
  }

  /** As {@link parse}; undefined for what is malformed. */
  static tryParse(text: string): RemoteName | undefined {
    try {
      return RemoteName.parse(text);
    } catch {
      return undefined;
    }
  }

  /**
   * Builds a name from parts that came from somewhere else than a user, e.g. from a path of the cache.
   * @throws TartletError `NAME_MALFORMED` when it is too long, or a digest is not a SHA-256: no other is part of a
   * name.
   */
  static of(
    registry: RegistryAddress,
    repository: Repository,
    reference: { tag: Tag } | { digest: Digest },
  ): RemoteName {
    return RemoteName.#make(registry, repository, `${registry.toString()}/${repository.text}`, reference);
  }

  /** The tag, when one was given or is implied. */
  get tag(): Tag | undefined {
    return this.reference.kind === 'digest' ? undefined : this.reference.tag;
  }

  /** The digest, when one was given. */
  get digest(): Digest | undefined {
    return this.reference.kind === 'tag' ? undefined : this.reference.digest;
  }

  /**
   * The same repository, by another tag: `list` does this for each of ten thousand images. @throws TartletError as
   * {@link of}.
   */
  withTag(tag: Tag): RemoteName {
    return RemoteName.#make(this.registry, this.repository, this.repositoryName, { tag });
  }

  /** @throws TartletError as {@link of}. */
  withDigest(digest: Digest): RemoteName {
    return RemoteName.#make(this.registry, this.repository, this.repositoryName, { digest });
  }

  static #make(
    registry: RegistryAddress,
    repository: Repository,
    repositoryName: string,
    reference: { tag: Tag } | { digest: Digest },
  ): RemoteName {
    const suffix = 'tag' in reference ? `:${reference.tag.text}` : `@${reference.digest.toString()}`;
    const text = `${repositoryName}${suffix}`;
    if (text.length > MAX_NAME) throw tooLong(text);
    if ('tag' in reference) return new RemoteName(registry, repository, makeReference(reference.tag, undefined), text);
    const { digest } = reference;
    if (digest.algorithm !== 'sha256') throw notSha256(text, repositoryName.length + 1);
    return new RemoteName(registry, repository, makeReference(undefined, digest), text);
  }

  /** `host[:port]/repository`: what a directory of the cache stands for. */
  get repositoryName(): string {
    return `${this.registry.toString()}/${this.repository.text}`;
  }

  /** The canonical form, always with its reference: `ghcr.io/org/img:latest`. */
  toString(): string {
    const tag = this.tag === undefined ? '' : `:${this.tag.text}`;
    const digest = this.digest === undefined ? '' : `@${this.digest.toString()}`;
    return `${this.repositoryName}${tag}${digest}`;
  }

  /** The text, so that JSON shows a name as it is typed. */
  toJSON(): string {
    return this.toString();
  }
}

function indexOrEnd(text: string, character: string, from: number): number {
  const index = text.indexOf(character, from);
  return index < 0 ? text.length : index;
}

/**
 * `cache:8221/registry:5000/a`: the registry behind a site cache, written with its port as everywhere else. No client
 * can ask for that path by its name, so caches, and containerd's directories before them, write `registry_5000`.
 */
function refusePortWithin(text: string, colon: number): void {
  if (!/^:\d{1,5}\//.test(text.slice(colon))) return;
  const name = `${text.slice(0, colon)}_${text.slice(colon + 1)}`;
  if (RemoteName.tryParse(name) === undefined) return;
  const why = 'a port stands behind the first host only; for the registry behind a site cache it is written with "_"';
  throw malformed(text, colon, why, { kind: 'write-name-as', name, plainHttp: false });
}

function tooLong(text: string): TartletError {
  return malformed(text, MAX_NAME, `a name has at most ${MAX_NAME} characters`);
}

function notSha256(text: string, at: number): TartletError {
  return malformed(text, at, 'after "@" must follow sha256: and 64 hex digits', IMAGE_SPELLING);
}

function parseDigest(text: string, start: number): Digest {
  const digest = text.slice(start);
  if (!digest.startsWith('sha256:')) throw notSha256(text, start);
  try {
    return Digest.parse(digest);
  } catch (cause) {
    const why =
      cause instanceof TartletError ? cause.message.replace(/^.*is not a digest: /s, '') : 'the digest is malformed';
    const hex = digest.slice('sha256:'.length);
    const bad = hex.search(/[^0-9a-f]/);
    const fault = bad < 0 ? Math.min(hex.length, 64) : Math.min(bad, 64);
    const at = start + 'sha256:'.length + fault;
    throw malformed(text, at, why, { kind: 'copy-whole-digest' });
  }
}

function makeReference(tag: Tag | undefined, digest: Digest | undefined): Reference {
  if (digest === undefined) return { kind: 'tag', tag: tag ?? Tag.latest };
  return tag === undefined ? { kind: 'digest', digest } : { kind: 'tag-and-digest', tag, digest };
}
