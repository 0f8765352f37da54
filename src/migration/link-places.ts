import type { RegistryAddress } from '../names/registry-address.ts';
import { unreachable } from '../errors.ts';
import { decodeDigestDirectory, encodeRegistry, referencePath } from '../home/layout.ts';
import { type CacheFacts, type ImageFact, type LinkFact, placeOf } from './cache-facts.ts';
import { type Destinations, nameOf } from './destination.ts';
import type { LinkVerdict } from './evidence.ts';
import { type Ownership, push } from './ownership.ts';
import type { LinkMove, Skipped } from './step.ts';

/** What becomes of the symlinks of one image. */
export interface LinksOfImage {
  readonly moves: LinkMove[];
  readonly superseded: LinkFact[];
  /** Symlinks that are right as they are. */
  settled: number;
}

/** Finds every link the image that it means, and the place where its name puts it. */
export class LinkPlaces {
  readonly stays: Skipped[] = [];
  /** Images that a symlink names which stays broken: Tart's next collection would take the symlink, and then them. */
  readonly forsaken = new Set<ImageFact>();
  readonly #facts: CacheFacts;
  readonly #ownership: Ownership;
  readonly #destinations: Destinations;
  readonly #images: ReadonlyMap<string, ImageFact>;
  readonly #linkAt: ReadonlyMap<string, LinkFact>;
  readonly #ofImage = new Map<ImageFact, LinksOfImage>();

  constructor(facts: CacheFacts, ownership: Ownership, destinations: Destinations) {
    this.#facts = facts;
    this.#ownership = ownership;
    this.#destinations = destinations;
    this.#images = new Map(
      facts.images.map((each) => [placeOf(each.host, each.repository, each.digest.toString()), each]),
    );
    this.#linkAt = new Map(facts.links.map((each) => [placeOf(each.host, each.repository, each.leaf), each]));
    const contenders = new Map<string, { link: LinkFact; image: ImageFact }[]>();
    for (const link of facts.links) {
      const image = this.#imageOf(link);
      if (image === undefined) this.#leave(link);
      else push(contenders, this.#placeFor(link, image), { link, image });
    }
    for (const [place, rivals] of contenders) this.#award(place, rivals);
  }

  of(image: ImageFact): LinksOfImage | undefined {
    return this.#ofImage.get(image);
  }

  /** The image that a symlink means: the one it leads to, or else the one that its text and the evidence lead to. */
  #imageOf(link: LinkFact): ImageFact | undefined {
    const { leadsTo, target, host } = link;
    if (leadsTo !== undefined) return leadsTo;
    if (target === undefined || decodeDigestDirectory(target.leaf) === undefined) return undefined;
    const { repository, leaf } = target;
    const verdict = this.#ownership.judgeLink(host, target.host);
    const beside = this.#images.get(placeOf(host, repository, leaf));
    if (verdict.kind === 'unrelated') return beside !== undefined && this.#isTold(beside) ? beside : undefined;
    const at = (registry: RegistryAddress): readonly ImageFact[] =>
      this.#ownership.imagesAt(registry, repository, leaf);
    const named = this.#images.get(placeOf(target.host, repository, leaf));
    const [candidate] = [
      ...(named === undefined ? [] : [named]),
      ...at(verdict.registry),
      ...at(verdict.registry.withoutPort()),
      ...this.#followed(verdict, repository, leaf),
    ];
    return candidate;
  }

  /** Where an image went that a record or the user moved away from under the symlink. */
  #followed(
    { kind, registry }: Exclude<LinkVerdict, { kind: 'unrelated' }>,
    repository: string,
    leaf: string,
  ): ImageFact[] {
    if (kind !== 'same' || registry.port !== undefined) return [];
    const gone = this.#ownership.imagesOfHost(this.#facts, registry.host, repository, leaf);
    return gone.length === 1 ? gone.filter((image) => this.#isTold(image)) : [];
  }

  /** Whether a record or the user says where an image is from, so that the symlinks beside it mean the same. */
  #isTold(image: ImageFact): boolean {
    const verdict = this.#ownership.verdict(image);
    return image.record !== undefined || (verdict.kind === 'known' && verdict.by === 'override');
  }

  #registryOf({ host, target }: LinkFact, image: ImageFact): RegistryAddress | undefined {
    const judged = this.#ownership.verdict(image);
    const verdict = this.#ownership.judgeLink(host, target?.host ?? host);
    if (judged.kind === 'known' && judged.by === 'override' && host === image.host) return judged.registry;
    switch (verdict.kind) {
      case 'unrelated':
        return judged.kind === 'known' && judged.by === 'record' && host === image.host ? judged.registry : undefined;
      case 'same':
      case 'respelled': {
        const { registry } = verdict;
        const isPortless =
          registry.port === undefined && judged.kind === 'known' && judged.registry.host === registry.host;
        return isPortless && judged.by !== 'link' ? judged.registry : registry;
      }
      case 'port-dropped':
      case 'populated':
        return verdict.registry;
      default:
        return unreachable(verdict);
    }
  }

  /** Below `imagesDirectory`. A symlink whose name we cannot tell stays where it is, and still leads to its image. */
  #placeFor(link: LinkFact, image: ImageFact): string {
    const here = placeOf(link.host, link.repository, link.leaf);
    const registry = this.#registryOf(link, image);
    if (registry === undefined || encodeRegistry(registry) === link.host) return here;
    const name = nameOf(registry, link.repository, decodeDigestDirectory(link.leaf) ?? link.leaf);
    return name === undefined ? here : referencePath(name);
  }

  #award(place: string, rivals: readonly { link: LinkFact; image: ImageFact }[]): void {
    const path = `${this.#facts.imagesDirectory}/${place}`;
    const holder = rivals.find(({ link }) => link.path === path);
    const [winner, ...others] = [...rivals].sort(
      (a, b) => precedence(b, holder) - precedence(a, holder) || byPath(a, b),
    );
    if (winner === undefined) return;
    const because = holder === undefined ? this.#refusal(place) : undefined;
    if (because !== undefined) {
      for (const { link, image } of rivals) {
        this.stays.push({ path: link.path, what: 'tag', because });
        this.#settle(link, image, link.path);
      }
      return;
    }
    this.#settle(winner.link, winner.image, path);
    for (const { link, image } of others) this.#entry(image).superseded.push(link);
  }

  /** Why a symlink cannot move to a place where none of its rivals is. One that is dead there may be replaced. */
  #refusal(place: string): Skipped['because'] | undefined {
    const there = this.#linkAt.get(place);
    if (there !== undefined && !there.isDead) return 'collision';
    return this.#destinations.takeForLink(place);
  }

  #settle(link: LinkFact, image: ImageFact, to: string): void {
    const entry = this.#entry(image);
    const destination = this.#destinations.of(image);
    const isRight = to === link.path && destination.kind === 'here' && link.leadsTo === image;
    if (isRight) entry.settled += 1;
    else entry.moves.push({ link, to, text: `${this.#facts.imagesDirectory}/${destination.place}` });
  }

  #entry(image: ImageFact): LinksOfImage {
    const entry = this.#ofImage.get(image) ?? { moves: [], superseded: [], settled: 0 };
    this.#ofImage.set(image, entry);
    return entry;
  }

  /** A tag without an image says nothing, unless it was made by hand and an image lies beside it. */
  #leave(link: LinkFact): void {
    const { target, host, isDead } = link;
    const beside = target === undefined ? undefined : this.#images.get(placeOf(host, target.repository, target.leaf));
    if (beside === undefined || !isDead) return;
    this.stays.push({ path: link.path, what: 'tag', because: 'unrelated-link' });
    this.forsaken.add(beside);
  }
}

/** The one that has the place, then the newest. */
function precedence({ link }: { link: LinkFact }, holder: { link: LinkFact } | undefined): number {
  return link === holder?.link ? Number.POSITIVE_INFINITY : link.madeMs;
}

function byPath(a: { link: LinkFact }, b: { link: LinkFact }): number {
  return a.link.path < b.link.path ? -1 : 1;
}
