import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { referencePath } from '../../src/home/layout.ts';
import { migrateCache } from '../../src/migration/migrate.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { freshSession, plantVm } from './home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from './meddling-registry.ts';
import { plantInRegistry } from './planted-image.ts';
import { noise, plantStackedImage, type TinyStackedImage, tinyStackedImage } from './stacked-image.ts';
import { type TinyImage, tinyImage } from './tart-image.ts';

/** The day of these tests; directories made now are as young as they can be. */
export const TODAY = new Date();

/** A home with one of everything, in order, and the registry that its images came from. */
export interface ExaminedHome {
  readonly session: Session;
  readonly registry: MeddlingRegistry;
  /** `127.0.0.1:<port>/macos/base`, with the tag `latest`. */
  readonly repository: string;
  readonly image: TinyImage;
  /** The directory of that image. */
  readonly directory: string;
  /** The symlink of its tag. */
  readonly tag: string;
  readonly stacked: TinyStackedImage;
  readonly stackedDirectory: string;
  /** The directory of the local VM `dev`. */
  readonly vm: string;
}

export async function examinedHome(): Promise<ExaminedHome> {
  const registry = await startMeddlingRegistry();
  const session = freshSession({ now: () => TODAY });
  await session.home.prepare();
  const hole = Buffer.alloc(16_384);
  const image = tinyImage({ chunks: [noise(8192, 1), hole, noise(8192, 2), noise(4096, 3)] });
  const stacked = tinyStackedImage({ levels: [[noise(8192, 4), noise(4096, 5)], [noise(4096, 6)]] });
  await plantInRegistry(registry, 'macos/base', 'latest', image);
  await plantInRegistry(registry, 'macos/stacked', 'latest', stacked);
  const repository = `${registry.at}/macos/base`;
  const directory = plantPulled(session, repository, image, 'latest');
  const stackedDirectory = plantStackedImage(session, `${registry.at}/macos/stacked`, stacked, 'latest');
  const vm = `${session.home.vmsDirectory}/dev`;
  plantVm(vm);
  const tag = `${path.dirname(directory)}/latest`;
  // A command of ours was here before: what loses its last tag from now on was let go of on purpose.
  await migrateCache(session);
  return { session, registry, repository, image, directory, tag, stacked, stackedDirectory, vm };
}

/** Puts a flat image into the cache as a pull of ours leaves it. @returns its directory. */
function plantPulled(session: Session, repository: string, image: TinyImage, tag: string): string {
  const name = RemoteName.parse(`${repository}@${image.digest}`);
  const directory = `${session.home.imagesDirectory}/${referencePath(name)}`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/config.json`, image.config);
  writeFileSync(`${directory}/nvram.bin`, image.nvram);
  writeFileSync(`${directory}/disk.img`, image.disk);
  writeFileSync(`${directory}/manifest.json`, image.manifest);
  const origin = {
    version: 1,
    via: 'pull',
    registry: name.registry.toString(),
    repository: name.repository,
    digest: image.digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    size: image.manifest.length,
    pulledAt: TODAY.toISOString(),
  };
  writeFileSync(`${directory}/.origin.json`, JSON.stringify(origin));
  symlinkSync(directory, `${path.dirname(directory)}/${tag}`);
  return directory;
}
