import type { RegistryAddress } from '../names/registry-address.ts';
import { decodeDigestDirectory } from '../home/layout.ts';
import type { CacheFacts, HostLinkFact, ImageFact, LinkFact } from './cache-facts.ts';
import { type ImageVerdict, judgeImage, judgeLink, type LinkVerdict } from './evidence.ts';
import { readHostDirectory, registryOf } from './host-directory.ts';

/** The user's override: what lies in this host directory is from that registry. */
export interface UserOverride {
  readonly directory: string;
  readonly registry: RegistryAddress;
}

/** Whose every image is, and where to look for images of a registry under any spelling of its name. */
export class Ownership {
  readonly #byAddress = new Map<string, ImageFact[]>();
  readonly #verdicts = new Map<ImageFact, ImageVerdict>();
  /** Thousands of symlinks have few pairs of directories. */
  readonly #linkVerdicts = new Map<string, LinkVerdict>();

  constructor(facts: CacheFacts, override?: UserOverride) {
    const readings = new Map(facts.hosts.map(({ directory, reading }) => [directory, reading]));
    for (const image of facts.images) {
      const registry = registryOf(readings.get(image.host) ?? readHostDirectory(image.host));
      if (registry !== undefined)
        push(this.#byAddress, key(registry, image.repository, image.digest.toString()), image);
    }
    const claims = new Map<ImageFact, RegistryAddress[]>();
    for (const link of facts.links) this.#hear(link, claims);
    const aliases = aliasesOf(facts.hostLinks);
    for (const image of facts.images) {
      const verdict = judgeImage({
        directory: readings.get(image.host) ?? readHostDirectory(image.host),
        record: image.record,
        override: override?.directory === image.host ? override.registry : undefined,
        alias: aliases.get(image.host),
        claims: claims.get(image) ?? [],
      });
      this.#verdicts.set(image, verdict);
    }
  }

  verdict(image: ImageFact): ImageVerdict {
    return this.#verdicts.get(image) ?? { kind: 'unknown', because: 'port-unknown' };
  }

  /** {@link judgeLink}, for the directory that a symlink lies in and the one that it names. */
  judgeLink(lies: string, names: string): LinkVerdict {
    const pair = `${lies}/${names}`;
    const verdict = this.#linkVerdicts.get(pair) ?? judgeLink(lies, names);
    this.#linkVerdicts.set(pair, verdict);
    return verdict;
  }

  /** The images of a digest that lie under any spelling of a registry. */
  imagesAt(registry: RegistryAddress, repository: string, digest: string): readonly ImageFact[] {
    return this.#byAddress.get(key(registry, repository, digest)) ?? [];
  }

  /** The same at every port of a host that we know of, and at none. */
  imagesOfHost(facts: CacheFacts, host: string, repository: string, digest: string): ImageFact[] {
    const registries = facts.hosts
      .flatMap(({ reading }) => registryOf(reading) ?? [])
      .filter((each) => each.host === host);
    return [...new Set(registries.flatMap((each) => this.imagesAt(each, repository, digest)))];
  }

  /** Which registry a symlink claims for which image (tart-formats §2.7). */
  #hear({ host, target }: LinkFact, claims: Map<ImageFact, RegistryAddress[]>): void {
    if (target === undefined || decodeDigestDirectory(target.leaf) === undefined) return;
    const verdict = this.judgeLink(host, target.host);
    if (verdict.kind === 'unrelated') return;
    const { registry } = verdict;
    const at = (each: RegistryAddress): readonly ImageFact[] => this.imagesAt(each, target.repository, target.leaf);
    const named = verdict.kind === 'same' || verdict.kind === 'respelled' ? at(registry) : [];
    // Where the port is in the text or in the directory, but the image lies beside it.
    const beside = named.length === 0 ? at(registry.withoutPort()) : [];
    for (const image of [...named, ...beside]) push(claims, image, registry);
  }
}

/** `host:port` as a symlink to the directory `host`, made by hand. Two of them contradict each other. */
function aliasesOf(links: readonly HostLinkFact[]): ReadonlyMap<string, RegistryAddress> {
  const aliases = new Map<string, RegistryAddress | undefined>();
  for (const { names, reading } of links) {
    const registry = registryOf(reading);
    const target = names === undefined ? undefined : registryOf(readHostDirectory(names));
    if (names === undefined || registry?.port === undefined || target === undefined) continue;
    if (target.port !== undefined || target.host !== registry.host) continue;
    const known = aliases.get(names);
    aliases.set(names, !aliases.has(names) || known?.equals(registry) === true ? registry : undefined);
  }
  return new Map(
    [...aliases].flatMap(([directory, registry]) => (registry === undefined ? [] : [[directory, registry]])),
  );
}

function key(registry: RegistryAddress, repository: string, digest: string): string {
  return `${registry.toString()}/${repository}@${digest}`;
}

/** Adds to the list of a key. */
export function push<K, V>(lists: Map<K, V[]>, at: K, value: V): void {
  const list = lists.get(at);
  if (list === undefined) lists.set(at, [value]);
  else list.push(value);
}
