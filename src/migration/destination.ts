import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { RemoteName } from '../names/remote-name.ts';
import { Repository } from '../names/repository.ts';
import { Tag } from '../names/tag.ts';
import { encodeRegistry, referencePath } from '../home/layout.ts';
import { type CacheFacts, type HostLinkFact, type ImageFact, placeOf } from './cache-facts.ts';
import type { Ambiguity, EvidenceSource } from './evidence.ts';
import { readHostDirectory, registryOf } from './host-directory.ts';
import type { Ownership } from './ownership.ts';

/** Why something is left where it is. */
export type SkipReason =
  | Ambiguity
  /** A symlink that names another registry than the directory it lies in, and leads nowhere. */
  | 'unrelated-link'
  /** Its true place is taken by another kind of name (tart-formats §2.8). */
  | 'collision'
  /** The directory of its registry is a symlink that the user made to somewhere else. */
  | 'host-link';

/** Where an image will lie. */
export type Destination =
  | {
      readonly kind: 'here';
      readonly place: string;
      readonly because: SkipReason | undefined;
      /** Its true name, which it cannot have. */
      readonly name?: RemoteName;
    }
  | { readonly kind: 'there'; readonly place: string; readonly name: RemoteName; readonly by: EvidenceSource };

/** The name of something in a repository, or undefined when today's grammar has none. */
export function nameOf(registry: RegistryAddress, repository: string, leaf: string | Digest): RemoteName | undefined {
  try {
    return RemoteName.of(
      registry,
      Repository.parse(repository),
      typeof leaf === 'string' ? { tag: Tag.parse(leaf) } : { digest: leaf },
    );
  } catch {
    return undefined;
  }
}

/** Finds every image its place, so that no two kinds of names want one path. */
export class Destinations {
  readonly #facts: CacheFacts;
  readonly #hostLinks: ReadonlyMap<string, HostLinkFact>;
  /** Where symlinks lie or will lie, below `imagesDirectory`. */
  readonly #links: Set<string>;
  readonly #directories: Set<string>;
  readonly #images: Set<string>;
  readonly #places = new Map<ImageFact, Destination>();

  constructor(facts: CacheFacts, ownership: Ownership) {
    this.#facts = facts;
    this.#hostLinks = new Map(facts.hostLinks.map((link) => [link.directory, link]));
    this.#links = new Set(facts.links.map((link) => placeOf(link.host, link.repository, link.leaf)));
    this.#directories = new Set([...facts.directories].filter((directory) => !facts.empty.has(directory)));
    this.#images = new Set(facts.images.map((image) => placeOf(image.host, image.repository, image.digest.toString())));
    for (const image of facts.images) this.#places.set(image, this.#decide(image, ownership));
  }

  of(image: ImageFact): Destination {
    const place = placeOf(image.host, image.repository, image.digest.toString());
    return this.#places.get(image) ?? { kind: 'here', place, because: undefined };
  }

  /** Symlinks to host directories that stand where images must go, and lead to where these lie now. */
  hostLinksInTheWay(): HostLinkFact[] {
    const hosts = new Set(
      [...this.#places.values()].flatMap((each) => (each.kind === 'there' ? hostOf(each.place) : [])),
    );
    return this.#facts.hostLinks.filter((link) => hosts.has(link.directory));
  }

  /** Takes a path for a symlink. @returns why it cannot have it. */
  takeForLink(place: string): SkipReason | undefined {
    const because =
      this.#obstacle(place) ?? (this.#directories.has(place) || this.#images.has(place) ? 'collision' : undefined);
    if (because === undefined) {
      this.#links.add(place);
      this.#addDirectories(place);
    }
    return because;
  }

  #decide(image: ImageFact, ownership: Ownership): Destination {
    const place = placeOf(image.host, image.repository, image.digest.toString());
    const verdict = ownership.verdict(image);
    if (verdict.kind === 'unknown') return { kind: 'here', place, because: verdict.because };
    if (encodeRegistry(verdict.registry) === image.host) return { kind: 'here', place, because: undefined };
    const name = nameOf(verdict.registry, image.repository, image.digest);
    if (name === undefined) return { kind: 'here', place, because: 'unnameable' };
    const there = referencePath(name);
    const because =
      this.#obstacle(there) ?? (this.#links.has(there) || this.#directories.has(there) ? 'collision' : undefined);
    if (because !== undefined) return { kind: 'here', place, because, name };
    this.#images.add(there);
    this.#addDirectories(there);
    return { kind: 'there', place: there, name, by: verdict.by };
  }

  /** What keeps anything from lying at a path. */
  #obstacle(place: string): SkipReason | undefined {
    const host = this.#hostLinks.get(hostOf(place));
    if (host !== undefined && !this.#mayBeReplaced(host)) return 'host-link';
    return parents(place).some((each) => this.#links.has(each) || this.#images.has(each)) ? 'collision' : undefined;
  }

  /**
   * A link to a directory of the same host in this cache, made so that something finds it: the directory will be there
   * itself.
   */
  #mayBeReplaced({ names, reading }: HostLinkFact): boolean {
    const ours = registryOf(reading);
    const theirs =
      names === undefined || !this.#directories.has(names) ? undefined : registryOf(readHostDirectory(names));
    if (ours === undefined || theirs === undefined || ours.host !== theirs.host) return false;
    return theirs.port === undefined || theirs.port === ours.port;
  }

  #addDirectories(place: string): void {
    for (const parent of parents(place)) this.#directories.add(parent);
  }
}

/** The directories above a path, from the repository's first part on. */
function parents(place: string): string[] {
  const parts = place.split('/');
  return parts.slice(2).map((_, index) => parts.slice(0, index + 2).join('/'));
}

function hostOf(place: string): string {
  return place.slice(0, place.indexOf('/'));
}
