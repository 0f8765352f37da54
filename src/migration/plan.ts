import { encodeRegistry } from '../home/layout.ts';
import { type CacheFacts, type HostLinkFact, type ImageFact } from './cache-facts.ts';
import { Destinations } from './destination.ts';
import { readHostDirectory, registryOf } from './host-directory.ts';
import { LinkPlaces } from './link-places.ts';
import { Ownership, type UserOverride } from './ownership.ts';
import type { HostLinkMove, Plan, Relocation, Skipped } from './step.ts';

export interface PlanOptions {
  readonly override?: UserOverride | undefined;
  /** No migration has looked at this cache before: what nothing leads to was not left behind by us. */
  readonly firstLook: boolean;
}

/** Decides what to do about a cache. Pure; what it was carried out on gives an empty plan. */
export function planMigration(facts: CacheFacts, options: PlanOptions): Plan {
  const ownership = new Ownership(facts, options.override);
  const destinations = new Destinations(facts, ownership);
  const links = new LinkPlaces(facts, ownership, destinations);
  const relocations = facts.images.map((image) => relocate(image, facts, destinations, links));
  const linkedNow = new Set(facts.links.map((link) => link.leadsTo));
  const isAtRisk = (each: Relocation): boolean => {
    const { image } = each;
    if (image.layout === undefined || image.mark !== 'none') return false;
    if (each.to !== undefined) return true;
    if (each.isLinked) return !linkedNow.has(image);
    return links.forsaken.has(image) || each.superseded.length > 0 || (options.firstLook && !image.isUnnamed);
  };
  return {
    protect: relocations.filter(isAtRisk).map(({ image }) => image),
    inTheWay: destinations.hostLinksInTheWay(),
    relocations: relocations.filter(isWork),
    hostLinks: facts.hostLinks.flatMap((link) => redirect(link, facts) ?? []),
    stays: [...facts.images.flatMap((image) => stayOf(image, destinations)), ...links.stays],
  };
}

function relocate(image: ImageFact, facts: CacheFacts, destinations: Destinations, links: LinkPlaces): Relocation {
  const destination = destinations.of(image);
  const { moves = [], superseded = [], settled = 0 } = links.of(image) ?? {};
  const isThere = destination.kind === 'there';
  return {
    image,
    // The text of a symlink may be the only witness (tart-formats §2.5): an image that cannot go where it belongs
    // remembers it itself.
    record: isThere || moves.length + superseded.length > 0 ? destination.name : undefined,
    to: isThere
      ? { name: destination.name, path: `${facts.imagesDirectory}/${destination.place}`, by: destination.by }
      : undefined,
    links: moves,
    superseded,
    isLinked: moves.length + settled > 0,
  };
}

function isWork({ image, to, links, superseded, isLinked }: Relocation): boolean {
  return to !== undefined || links.length + superseded.length > 0 || (image.mark === 'ours' && isLinked);
}

function stayOf(image: ImageFact, destinations: Destinations): Skipped[] {
  const destination = destinations.of(image);
  if (destination.kind === 'there' || destination.because === undefined) return [];
  return [{ path: image.path, what: 'image', because: destination.because }];
}

/**
 * Follows a host directory that went elsewhere: by the name in the symlink's text, or else by the symlink's own name
 * (tart-formats §2.5). Only when nothing is left where it leads, and only to a directory that is there.
 */
function redirect(link: HostLinkFact, facts: CacheFacts): HostLinkMove | undefined {
  if (link.leadsSomewhere) return undefined;
  const named = link.names === undefined ? undefined : registryOf(readHostDirectory(link.names));
  const directory = [named, registryOf(link.reading)]
    .flatMap((registry) => (registry === undefined ? [] : encodeRegistry(registry)))
    .find((each) => each !== link.directory && facts.hosts.some((host) => host.directory === each));
  if (directory === undefined) return undefined;
  return { link, text: link.text.startsWith('/') ? `${facts.imagesDirectory}/${directory}` : directory };
}
