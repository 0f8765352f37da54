import { TartletError } from '../errors.ts';
import { Digest } from './digest.ts';
import { characterAt, malformed } from './malformed.ts';
import { RegistryAddress } from './registry-address.ts';
import { refuseScheme } from './scheme.ts';

/** The longest part of a path that file systems take, in bytes; names are ASCII, so in characters too. */
const MAX_PART = 255;
/** The longest name we look at: nothing real comes near it, and no text from outside is worth more time. */
const MAX_NAME = 4096;

/** OCI distribution spec § pulling manifests, `<reference>` as a tag, with Tart's longer limit. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
/**
 * One part of a repository: what Tart accepts (upper case, one separator at the end) together with what the OCI spec
 * allows (`__`, runs of dashes). Two alternatives never begin alike, so it matches in linear time.
 */
const COMPONENT = /^[A-Za-z0-9]+(?:(?:[.]|_{1,2}|-+)[A-Za-z0-9]+)*[._-]?$/;
/** As much of a part as {@link COMPONENT} could still accept: what follows it is the fault. */
const LEGAL_BEGINNING = /^(?:[A-Za-z0-9]+(?:[.]|_{1,2}|-+|$))*/;

/** Which image of a repository is meant. With both a tag and a digest, the tag must lead to that digest. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'digest'; readonly digest: Digest }
  | { readonly kind: 'tag-and-digest'; readonly tag: string; readonly digest: Digest };

/**
 * The name of an image in a registry: `host[:port]/repository[:tag][@sha256:…]`, tag `latest` when none is given.
 * Immutable and correct by construction; `text` is what the user typed, {@link toString} the canonical form.
 */
export class RemoteName {
  readonly registry: RegistryAddress;
  /** Path of the repository within its registry, case kept: `org/macos-base`. */
  readonly repository: string;
  readonly reference: Reference;
  /** Exactly what was typed. */
  readonly text: string;

  private constructor(registry: RegistryAddress, repository: string, reference: Reference, text: string) {
    this.registry = registry;
    this.repository = repository;
    this.reference = reference;
    this.text = text;
  }

  /**
   * Whether a text means a remote name at all: Tart decides by the slash, which no local name may contain (tart-formats §2.2).
   * A text with a slash that does not parse is a *malformed* remote name, never a local one.
   */
  static looksRemote(text: string): boolean {
    return text.includes('/');
  }

  /** @throws TartletError `NAME_MALFORMED` with the position of the first character that cannot be right. */
  static parse(text: string): RemoteName {
    if (text.length > MAX_NAME) throw malformed(text, MAX_NAME, `a name has at most ${MAX_NAME} characters`);
    refuseScheme(text, (bare) => bare);
    const slash = text.indexOf('/');
    if (slash < 0) {
      throw malformed(text, text.length, 'there is no "/" between a registry and a repository', SPELLING);
    }
    const registry = RegistryAddress.parse(text.slice(0, slash), text);
    // From left to right, so that the position is that of the first fault.
    const at = indexOrEnd(text, '@', slash);
    const colon = Math.min(indexOrEnd(text, ':', slash), at);
    const repository = text.slice(slash + 1, colon);
    checkRepository(repository, slash + 1, text);
    const tag = colon < at ? text.slice(colon + 1, at) : undefined;
    if (tag !== undefined) checkTag(tag, colon + 1, text);
    const digest = at < text.length ? parseDigest(text, at + 1) : undefined;
    return new RemoteName(registry, repository, makeReference(tag, digest), text);
  }

  static tryParse(text: string): RemoteName | undefined {
    try {
      return RemoteName.parse(text);
    } catch {
      return undefined;
    }
  }

  /**
   * Builds a name from parts that came from somewhere else than a user, e.g. from a path of the cache. Nothing is parsed again:
   * `list` does this for each of ten thousand images.
   * @throws TartletError `NAME_MALFORMED` when the parts do not make a legal name.
   */
  static of(
    registry: RegistryAddress,
    repository: string,
    reference: { tag: string } | { digest: Digest },
  ): RemoteName {
    const suffix = 'tag' in reference ? `:${reference.tag}` : `@${reference.digest.toString()}`;
    const host = registry.toString();
    const text = `${host}/${repository}${suffix}`;
    if (text.length > MAX_NAME) throw malformed(text, MAX_NAME, `a name has at most ${MAX_NAME} characters`);
    checkRepository(repository, host.length + 1, text);
    return new RemoteName(
      registry,
      repository,
      checkReference(reference, host.length + repository.length + 2, text),
      text,
    );
  }

  /** The tag, when one was given or is implied. */
  get tag(): string | undefined {
    return this.reference.kind === 'digest' ? undefined : this.reference.tag;
  }

  /** The digest, when one was given. */
  get digest(): Digest | undefined {
    return this.reference.kind === 'tag' ? undefined : this.reference.digest;
  }

  /** @throws TartletError `NAME_MALFORMED` */
  withTag(tag: string): RemoteName {
    return this.#with({ tag }, `:${tag}`);
  }

  /** @throws TartletError `NAME_MALFORMED` when it is not a SHA-256: no other is part of a name. */
  withDigest(digest: Digest): RemoteName {
    return this.#with({ digest }, `@${digest.toString()}`);
  }

  #with(reference: { tag: string } | { digest: Digest }, suffix: string): RemoteName {
    const { repositoryName } = this;
    const text = `${repositoryName}${suffix}`;
    return new RemoteName(
      this.registry,
      this.repository,
      checkReference(reference, repositoryName.length + 1, text),
      text,
    );
  }

  /** `host[:port]/repository`: what a folder of the cache stands for. */
  get repositoryName(): string {
    return `${this.registry.toString()}/${this.repository}`;
  }

  /** The canonical form, always with its reference: `ghcr.io/org/img:latest`. */
  toString(): string {
    const tag = this.tag === undefined ? '' : `:${this.tag}`;
    const digest = this.digest === undefined ? '' : `@${this.digest.toString()}`;
    return `${this.repositoryName}${tag}${digest}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

const SPELLING = 'write it as host[:port]/repository[:tag], e.g. registry.example:8221/macos/base:15';

function indexOrEnd(text: string, character: string, from: number): number {
  const index = text.indexOf(character, from);
  return index < 0 ? text.length : index;
}

function parseDigest(text: string, start: number): Digest {
  const digest = text.slice(start);
  if (!digest.startsWith('sha256:')) {
    throw malformed(text, start, 'after "@" must follow sha256: and 64 hex digits', SPELLING);
  }
  try {
    return Digest.parse(digest);
  } catch (cause) {
    const why =
      cause instanceof TartletError ? cause.message.replace(/^.*is not a digest: /s, '') : 'the digest is malformed';
    const hex = digest.slice('sha256:'.length);
    const bad = hex.search(/[^0-9a-f]/);
    const fault = bad < 0 ? Math.min(hex.length, 64) : Math.min(bad, 64);
    const at = start + 'sha256:'.length + fault;
    throw malformed(text, at, why, 'copy the whole digest, or name the image by its tag');
  }
}

function checkReference(reference: { tag: string } | { digest: Digest }, start: number, text: string): Reference {
  if ('tag' in reference) {
    checkTag(reference.tag, start, text);
    return { kind: 'tag', tag: reference.tag };
  }
  const { digest } = reference;
  return { kind: 'digest', digest: digest.algorithm === 'sha256' ? digest : parseDigest(text, start) };
}

function checkTag(tag: string, start: number, text: string): void {
  if (tag === '') throw malformed(text, start, 'there is no tag after the colon', SPELLING);
  if (tag.length > MAX_PART) throw malformed(text, start + MAX_PART, `a tag has at most ${MAX_PART} characters`);
  if (TAG.test(tag)) return;
  const bad = tag.search(/[^A-Za-z0-9._-]/);
  if (bad < 0) throw malformed(text, start, 'a tag begins with a letter, a digit or "_"', SPELLING);
  throw malformed(text, start + bad, `a tag cannot contain "${characterAt(tag, bad)}"`, SPELLING);
}

function checkRepository(repository: string, start: number, text: string): void {
  let at = start;
  for (const part of repository.split('/')) {
    if (part === '') throw malformed(text, at, 'a part of the repository is empty', SPELLING);
    if (part.length > MAX_PART)
      throw malformed(text, at + MAX_PART, `a part of a repository has at most ${MAX_PART} characters`);
    if (!COMPONENT.test(part)) {
      const bad = part.search(/[^A-Za-z0-9._-]/);
      if (bad >= 0)
        throw malformed(text, at + bad, `a repository cannot contain "${characterAt(part, bad)}"`, SPELLING);
      const right = LEGAL_BEGINNING.exec(part)?.[0].length ?? 0;
      throw malformed(
        text,
        at + Math.min(right, part.length - 1),
        `"${part}" must begin with a letter or a digit and have single separators (or "__", or dashes)`,
        SPELLING,
      );
    }
    at += part.length + 1;
  }
}

function makeReference(tag: string | undefined, digest: Digest | undefined): Reference {
  if (digest === undefined) return { kind: 'tag', tag: tag ?? 'latest' };
  return tag === undefined ? { kind: 'digest', digest } : { kind: 'tag-and-digest', tag, digest };
}
