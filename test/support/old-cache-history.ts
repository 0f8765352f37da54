import { existsSync, lstatSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fc } from '@fast-check/vitest';
import { digestOfContent, type Generation, hostDirectory, type OldCache } from './old-cache.ts';

/*
 * Random lives of a cache: what several Tarts pulled, and what users did to the directories afterwards, together with
 * the names that must be found at the end. What is expected is kept beside each symlink while it is made and moved, and
 * computed from no rule of ours.
 */

/** Something that happens to a cache. */
export type Event =
  | {
      readonly kind: 'pull';
      readonly host: string;
      readonly port: string | undefined;
      readonly repository: string;
      readonly tag: string | undefined;
      readonly content: string;
      readonly generation: Generation;
      readonly manifest: boolean;
      readonly record: boolean;
    }
  | {
      readonly kind: 'populate';
      readonly host: string;
      readonly port: string;
      readonly repository: string;
      readonly tag: string;
      readonly content: string;
    }
  /** The workaround of openai/tart#827. */
  | { readonly kind: 'drop-port'; readonly host: string; readonly port: string; readonly generation: Generation }
  | { readonly kind: 'move-home' }
  | { readonly kind: 'repair'; readonly pick: number; readonly spelling: 'absolute' | 'relative' }
  | { readonly kind: 'remove-tag'; readonly pick: number }
  | { readonly kind: 'break-image'; readonly pick: number }
  | {
      readonly kind: 'alias';
      readonly host: string;
      readonly port: string;
      readonly name: Generation;
      readonly target: Generation;
    };

/** Few names and few contents, so that lives collide. */
const HOSTS = ['registry.corp', 'registry.corp', 'registry.corp', 'Mixed.Corp', 'my_host', 'bad%zz'];
const PORTS = ['8221', '8221', '5000', '0443'];
const GENERATIONS: readonly Generation[] = ['raw', 'encoded', 'lower-escape'];

const anyHost = fc.constantFrom(...HOSTS);
const anyPort = fc.constantFrom(...PORTS);
const anyRepository = fc.constantFrom('a', 'a', 'org/b');
const anyTag = fc.constantFrom('latest', 'v1', 'v2');
const anyContent = fc.constantFrom('one', 'two', 'three');
const anyGeneration = fc.constantFrom(...GENERATIONS);

const anyPull = fc.record({
  kind: fc.constant('pull' as const),
  host: anyHost,
  port: fc.option(anyPort, { nil: undefined }),
  repository: anyRepository,
  tag: fc.option(anyTag, { nil: undefined, freq: 5 }),
  content: anyContent,
  generation: anyGeneration,
  manifest: fc.boolean(),
  record: fc.boolean(),
});

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: anyPull },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('populate' as const),
      host: anyHost,
      port: anyPort,
      repository: anyRepository,
      tag: anyTag,
      content: anyContent,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('drop-port' as const),
      host: anyHost,
      port: anyPort,
      generation: anyGeneration,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move-home' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('repair' as const),
      pick: fc.nat(),
      spelling: fc.constantFrom('absolute' as const, 'relative' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove-tag' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break-image' as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('alias' as const),
      host: anyHost,
      port: anyPort,
      name: anyGeneration,
      target: anyGeneration,
    }),
  },
);

/** A life that begins with a pull: without one there is nothing to lose. */
export const life: fc.Arbitrary<Event[]> = fc
  .tuple(anyPull, fc.array(anyEvent, { maxLength: 14 }))
  .map(([first, rest]) => [first, ...rest]);

/** A tag as a user knows it. */
interface KnownTag {
  /** As canonical text, `host:port`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

/** What must be found for one tag: any of the names, and there any of the digests that were given to the name. */
export interface Expectation {
  readonly names: readonly string[];
  readonly digest: string;
  /** Where a file of the image was lost, nothing has to be found, but the tag may still be the one that won a name. */
  readonly isWhole: boolean;
}

/** A cache whose life is written down. */
export class LivedCache {
  readonly cache: OldCache;
  /** By the path of the symlink, below `cache/OCIs`. */
  readonly #tags = new Map<string, KnownTag>();
  readonly #records = new Map<string, string[]>();
  readonly #aliases = new Map<string, string>();
  #moves = 0;

  constructor(cache: OldCache) {
    this.cache = cache;
  }

  live(events: readonly Event[]): void {
    for (const each of events) this.#happen(each);
  }

  /** The tags that evidence supports, with all names under which each may rightly be found. */
  expectations(): Expectation[] {
    return [...this.#tags.values()].flatMap((known) => {
      const { registry, repository, tag: name, digest } = known;
      if (/[_%]/.test(registry)) return [];
      const records = this.#records.get(`${repository}/${digest}`) ?? [];
      const others = [...records.filter((each) => hostOf(each) === hostOf(registry)), ...this.#aliasesOf(registry)];
      return [
        {
          names: [registry, ...others].map((each) => `${each}/${repository}:${name}`),
          digest,
          isWhole: this.#isWhole(digest),
        },
      ];
    });
  }

  /** Records and aliases speak for a registry only when the directory of the tag lost its port. */
  #aliasesOf(registry: string): string[] {
    return [...this.#aliases].flatMap(([ported, target]) =>
      target.toLowerCase() === registry ? [canonical(ported)] : [],
    );
  }

  #isWhole(digest: string): boolean {
    return this.#imageDirectories(digest).every((directory) => existsSync(`${directory}/nvram.bin`));
  }

  #imageDirectories(digest: string): string[] {
    return this.cache
      .tree()
      .filter((line) => line.endsWith(`${digest}/`))
      .map((line) => `${this.cache.images}/${line.slice(0, -1)}`);
  }

  #happen(each: Event): void {
    switch (each.kind) {
      case 'pull':
        return this.#pull(each);
      case 'populate':
        return this.#populate(each);
      case 'drop-port':
        return this.#dropPort(`${each.host}:${each.port}`, each.generation);
      case 'move-home':
        this.#moves += 1;
        return this.cache.moveTo(`${path.dirname(this.cache.root)}/home-${this.#moves}`);
      case 'repair':
        return this.#repair(each.pick, each.spelling);
      case 'remove-tag': {
        const at = pickOf([...this.#tags.keys()], each.pick);
        if (at === undefined) return;
        this.cache.remove(at);
        this.#tags.delete(at);
        return;
      }
      case 'break-image': {
        const known = pickOf([...this.#tags.values()], each.pick);
        for (const directory of this.#imageDirectories(known?.digest ?? 'none')) this.#break(directory);
        return;
      }
      case 'alias':
        return this.#alias(`${each.host}:${each.port}`, each.name, each.target);
    }
  }

  #break(directory: string): void {
    const at = path.relative(this.cache.images, directory);
    if (existsSync(`${directory}/nvram.bin`)) this.cache.remove(`${at}/nvram.bin`);
  }

  #pull(event: Extract<Event, { kind: 'pull' }>): void {
    const registry = event.port === undefined ? event.host : `${event.host}:${event.port}`;
    const top = hostDirectory(registry, event.generation);
    if (this.#isLink(top)) return;
    const { repository: name, tag: label, content: bytes, generation: spelling, manifest } = event;
    const at = { registry, repository: name, content: bytes, generation: spelling, manifest };
    const directory = this.cache.pull(label === undefined ? at : { ...at, tag: label });
    const digest = digestOfContent(bytes);
    if (event.record) this.#record(directory, canonical(registry), name, digest);
    if (label !== undefined)
      this.#tags.set(`${top}/${name}/${label}`, {
        registry: canonical(registry),
        repository: name,
        tag: label,
        digest,
      });
  }

  /** As Tartlet's own pull leaves it. */
  #record(directory: string, registry: string, repository: string, digest: string): void {
    const facts = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: 1,
      pulledAt: '2026-01-01T00:00:00Z',
    };
    writeFileSync(
      `${directory}/.origin.json`,
      JSON.stringify({ version: 1, via: 'pull', registry, repository, digest, ...facts }),
    );
    const at = `${repository}/${digest}`;
    this.#records.set(at, [...(this.#records.get(at) ?? []), registry]);
  }

  #populate({
    host: where,
    port: number,
    repository: name,
    tag: label,
    content: bytes,
  }: Extract<Event, { kind: 'populate' }>): void {
    const registry = `${where}:${number}`;
    if (this.#isLink(registry) || this.#isLink(where)) return;
    this.cache.populate({ registry, repository: name, tag: label, content: bytes });
    const at = `${registry}/${name}/${label}`;
    const digest = digestOfContent(bytes);
    if (
      lstatSync(`${this.cache.images}/${at}`, { throwIfNoEntry: false }) !== undefined &&
      this.#textOf(at).endsWith(digest)
    )
      this.#tags.set(at, { registry: canonical(registry), repository: name, tag: label, digest });
  }

  #dropPort(registry: string, spelling: Generation): void {
    const from = hostDirectory(registry, spelling);
    const to = hostOf(registry);
    if (!existsSync(`${this.cache.images}/${from}`) || this.#isLink(from) || this.#isLink(to)) return;
    this.cache.rename(from, to);
    for (const [at, known] of [...this.#tags].filter(([each]) => each.startsWith(`${from}/`))) {
      this.#tags.delete(at);
      const there = `${to}/${at.slice(from.length + 1)}`;
      const text = this.#textOf(there);
      // The text that named the port is the only witness.
      const isForgotten = !text.startsWith('/') || text.includes(`/cache/OCIs/${to}/`);
      this.#tags.set(there, isForgotten ? { ...known, registry: canonical(to) } : known);
    }
  }

  #repair(pick: number, spelling: 'absolute' | 'relative'): void {
    const at = pickOf([...this.#tags.keys()], pick);
    const known = at === undefined ? undefined : this.#tags.get(at);
    if (at === undefined || known === undefined) return;
    if (!existsSync(`${this.cache.images}/${path.dirname(at)}/${known.digest}`)) return;
    this.cache.repair(at, spelling);
    const top = at.slice(0, at.indexOf('/'));
    this.#tags.set(at, { ...known, registry: canonical(top.replaceAll(/%3a/gi, ':')) });
  }

  #alias(registry: string, spelling: Generation, target: Generation): void {
    const name = hostDirectory(registry, spelling);
    const ported = hostDirectory(registry, target);
    const at = [ported, hostOf(registry)].find((each) => each !== name && this.#isDirectory(each));
    if (at === undefined || lstatSync(`${this.cache.images}/${name}`, { throwIfNoEntry: false }) !== undefined) return;
    this.cache.alias(name, at);
    this.#aliases.set(registry, at);
  }

  #textOf(at: string): string {
    return readlinkSync(`${this.cache.images}/${at}`);
  }

  #isLink(top: string): boolean {
    return lstatSync(`${this.cache.images}/${top}`, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  }

  #isDirectory(top: string): boolean {
    return lstatSync(`${this.cache.images}/${top}`, { throwIfNoEntry: false })?.isDirectory() === true;
  }
}

/** As the name grammar has it: lower case, no zeros before the port. */
function canonical(registry: string): string {
  return registry.toLowerCase().replace(/:0+/, ':');
}

function hostOf(registry: string): string {
  return registry.replace(/:\d+$/, '');
}

function pickOf<T>(all: readonly T[], pick: number): T | undefined {
  return all[pick % Math.max(all.length, 1)];
}
