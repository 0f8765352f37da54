import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { openTartlet, type Tartlet, type TransferEvent } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson } from '../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../support/meddling-registry.ts';
import { plantInRegistry } from '../support/planted-image.ts';
import { type TinyImage, tinyImage } from '../support/tart-image.ts';

/** A registry, a home that prefetches from it, and images that follow each other. */
export interface Rollout {
  readonly registry: MeddlingRegistry;
  readonly tartlet: Tartlet;
  readonly home: string;
  readonly events: TransferEvent[];
  /** The name of a tag, `macos/base:15` unless it is said otherwise. */
  name(rest?: string): string;
  /** Puts another image under a tag. @returns its digest. */
  publish(content: string, rest?: string): Promise<string>;
  /** The digest that a tag leads to, by its symlink. */
  tagged(rest?: string): string;
  /** Whether the files of an image are there. */
  has(digest: string): boolean;
  /** What is in the mark of an image; undefined without one. */
  mark(digest: string, mark: '.pinned' | '.explicitly-pulled' | '.unnamed'): string | undefined;
}

export function imageOf(content: string): TinyImage {
  const config = Buffer.from(configJson());
  return tinyImage({ config, chunks: [Buffer.alloc(8192, content), Buffer.alloc(4096, `${content} two`)] });
}

export async function rollout(): Promise<Rollout> {
  const registry = await startMeddlingRegistry();
  const home = `${temporaryDirectory()}/home`;
  const events: TransferEvent[] = [];
  const tartlet = openTartlet({ home, environment: {}, credentials: 'none', onEvent: (event) => events.push(event) });
  onTestFinished(async () => tartlet.close());
  const images = `${home}/cache/OCIs/${registry.at.replace(':', '%3A')}`;
  const pathOf = (digest: string): string => `${images}/macos/base/${digest}`;
  return {
    registry,
    tartlet,
    home,
    events,
    name: (rest = 'macos/base:15') => `${registry.at}/${rest}`,
    publish: async (content, rest = 'macos/base:15') => {
      const [repository = '', tag = ''] = rest.split(':');
      const image = imageOf(content);
      await plantInRegistry(registry, repository, tag, image);
      return image.digest;
    },
    tagged: (rest = 'macos/base:15') =>
      readlinkSync(`${images}/${rest.replace(':', '/')}`)
        .split('/')
        .at(-1) ?? '',
    has: (digest) => existsSync(`${pathOf(digest)}/disk.img`),
    mark: (digest, mark) => {
      const file = `${pathOf(digest)}/${mark}`;
      return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    },
  };
}
