import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type FindingId, FINDINGS } from '../../src/doctor/finding-kind.ts';
import { canonicalJson } from '../../src/oci/canonical-json.ts';
import { runDoctor, type DoctorReport } from '../../src/doctor/run-doctor.ts';
import { examinedHome, type ExaminedHome, TODAY } from '../support/examined-home.ts';
import { configJson, digestOf } from '../support/home.ts';
import { noise, plantContent, plantStackedVm, tinyStackedImage } from '../support/stacked-image.ts';
import { sha256, tinyManifest } from '../support/tart-image.ts';

const UUID = '0b9c9a4e-53a5-4f0e-9a2e-0123456789ab';

/** One precise kind of damage, made by hand (as in git's t1450). */
interface Case {
  readonly id: FindingId;
  readonly title: string;
  readonly damage: (at: ExaminedHome) => void | Promise<void>;
  /** Where it is found. */
  readonly path: (at: ExaminedHome) => string;
  readonly message: string | RegExp;
  /** What else is found with it, by its nature. */
  readonly also?: readonly FindingId[];
  readonly deep?: true;
  /**
   * What `--fix` achieves. `clean`: nothing is left but notes. `stays`: it is left alone, and all the same afterwards.
   */
  readonly fix: 'clean' | 'stays';
  /** Only root can do this damage. */
  readonly asRoot?: true;
}

const base = (at: ExaminedHome): string => path.dirname(at.directory);
const inDirectory =
  (file: string) =>
  (at: ExaminedHome): string =>
    `${at.directory}/${file}`;

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

/** The image as Tart before 2.36 left it: no record of ours. */
function byTart(at: ExaminedHome): void {
  rmSync(`${at.directory}/.origin.json`);
}

/** Gives a home to a group that this machine does not know, as its administrator would. */
function share(root: string): void {
  execFileSync('chgrp', ['-R', '4711', root]);
  execFileSync('chmod', ['-R', 'g+rwX', root]);
  execFileSync('find', [root, '-type', 'd', '-exec', 'chmod', 'g+s', '{}', '+']);
}

async function hold(at: ExaminedHome, digest: string): Promise<void> {
  mkdirSync(at.session.home.locksDirectory, { recursive: true });
  const { FileLock } = await import('../../src/fs/lock/lock.ts');
  const file = `${at.session.home.locksDirectory}/${digest.slice('sha256:'.length)}.lock`;
  const lock = await FileLock.acquire(file, { mode: 'exclusive', wait: false });
  onTestFinished(async () => lock?.release());
}

const names: readonly Case[] = [
  {
    id: 'name-undecodable',
    title: 'the directory of a registry with a percent escape that means nothing',
    damage: (at) => void mkdirSync(`${at.session.home.imagesDirectory}/50%zz/a/${digestOf('a')}`, { recursive: true }),
    path: (at) => `${at.session.home.imagesDirectory}/50%zz`,
    message: 'Tart crashes when it lists it',
    also: ['image-incomplete', 'image-unreferenced'],
    fix: 'clean',
  },
  {
    id: 'name-foreign',
    title: 'an image of a registry that no command accepts',
    damage: (at) => {
      mkdirSync(`${at.session.home.imagesDirectory}/my_host`);
      renameSync(base(at), `${at.session.home.imagesDirectory}/my_host/base`);
      rmSync(`${at.session.home.imagesDirectory}/my_host/base/latest`);
    },
    path: (at) => `${at.session.home.imagesDirectory}/my_host/base/${at.image.digest}`,
    message: 'an image that no name leads to',
    also: ['image-unreferenced'],
    fix: 'stays',
  },
  {
    id: 'foreign-entry',
    title: 'a file of a person',
    damage: (at) => writeFileSync(`${base(at)}/notes.txt`, 'x'),
    path: (at) => `${base(at)}/notes.txt`,
    message: 'a file that is no image and no tag',
    fix: 'stays',
  },
  {
    id: 'unreadable',
    title: 'a file in the place of the image cache',
    damage: (at) => {
      rmSync(at.session.home.imagesDirectory, { recursive: true });
      rmSync(at.session.home.contentDirectory, { recursive: true });
      writeFileSync(at.session.home.imagesDirectory, 'x');
    },
    path: (at) => at.session.home.imagesDirectory,
    message: 'it is no directory',
    fix: 'stays',
  },
];

const registryDirectory = (at: ExaminedHome, port = `%3A${at.registry.at.split(':')[1]}`): string =>
  `${at.session.home.imagesDirectory}/127.0.0.1${port}`;

/** What users did who could not see their images: the directory of the registry loses its port (openai/tart#827). */
function dropPort(at: ExaminedHome): void {
  byTart(at);
  mkdirSync(`${registryDirectory(at, '')}/macos`, { recursive: true });
  renameSync(base(at), `${registryDirectory(at, '')}/macos/base`);
}

const addresses: readonly Case[] = [
  {
    id: 'address-old',
    title: 'a registry directory that lost its port',
    damage: dropPort,
    path: (at) => `${registryDirectory(at, '')}/macos/base/${at.image.digest}`,
    message: /^it belongs to 127\.0\.0\.1:\d+, as its link tells$/,
    also: ['address-old'],
    fix: 'clean',
  },
  {
    id: 'address-unknown',
    title: 'a registry directory that may have lost its port',
    damage: (at) => {
      rmSync(at.tag);
      dropPort(at);
    },
    path: (at) => registryDirectory(at, ''),
    message: 'nothing tells whether its image was pulled from a port',
    also: ['image-unreferenced'],
    fix: 'stays',
  },
  {
    id: 'address-taken',
    title: 'an image whose place is a tag of another one',
    damage: (at) => {
      const record = readFileSync(`${at.directory}/.origin.json`);
      rmSync(at.tag);
      dropPort(at);
      writeFileSync(`${registryDirectory(at, '')}/macos/base/${at.image.digest}/.origin.json`, record);
      writeFileSync(`${registryDirectory(at, '')}/macos/base/${at.image.digest}/.explicitly-pulled`, '');
      const other = `${registryDirectory(at)}/macos/${at.stacked.digest}`;
      cpSync(at.stackedDirectory, other, { recursive: true });
      symlinkSync(other, `${registryDirectory(at)}/macos/base`);
    },
    path: (at) => `${registryDirectory(at, '')}/macos/base/${at.image.digest}`,
    message: 'another kind of name has its place',
    also: ['origin-disagrees'],
    fix: 'stays',
  },
];

const links: readonly Case[] = [
  {
    id: 'link-dangling',
    title: 'a tag whose image is gone',
    damage: (at) => rmSync(at.directory, { recursive: true }),
    path: (at) => at.tag,
    message: 'which is not there',
    fix: 'clean',
  },
  {
    id: 'link-text',
    title: 'a relative tag',
    damage: (at) => {
      rmSync(at.tag);
      symlinkSync(at.image.digest, at.tag);
    },
    path: (at) => at.tag,
    message: /^it says sha256:\w+, Tart would write \//,
    fix: 'clean',
  },
  {
    id: 'link-text',
    title: 'a tag of a home that was moved',
    damage: (at) => {
      rmSync(at.tag);
      symlinkSync(`/elsewhere/.tart/cache/OCIs/x/macos/base/${at.image.digest}`, at.tag);
    },
    path: (at) => at.tag,
    message: 'its image is beside it',
    fix: 'clean',
  },
  {
    id: 'link-cross',
    title: 'a tag that leads into another repository',
    damage: (at) => {
      mkdirSync(`${base(at)}/../other`);
      symlinkSync(at.directory, `${path.dirname(base(at))}/other/latest`);
    },
    path: (at) => `${path.dirname(base(at))}/other/latest`,
    message: 'in another repository',
    fix: 'stays',
  },
  {
    id: 'link-outside',
    title: 'a tag that leads out of the cache',
    damage: (at) => symlinkSync(at.vm, `${base(at)}/dev`),
    path: (at) => `${base(at)}/dev`,
    message: 'out of the cache',
    fix: 'stays',
  },
  {
    id: 'link-odd',
    title: 'a link to a directory that is no image',
    damage: (at) => symlinkSync(base(at), `${path.dirname(base(at))}/alias`),
    path: (at) => `${path.dirname(base(at))}/alias`,
    message: 'which is no image',
    fix: 'stays',
  },
  {
    id: 'link-digest',
    title: 'a digest that is a symlink to another one',
    damage: (at) => symlinkSync(at.directory, `${base(at)}/${digestOf('b')}`),
    path: (at) => `${base(at)}/${digestOf('b')}`,
    message: /^it leads to the image sha256:/,
    fix: 'clean',
  },
  {
    id: 'link-leftover',
    title: 'the temporary of a command that was killed',
    damage: (at) => symlinkSync(at.directory, `${base(at)}/.link.${UUID}`),
    path: (at) => `${base(at)}/.link.${UUID}`,
    message: 'that a killed command left',
    fix: 'clean',
  },
];

const images: readonly Case[] = [
  ...['config.json', 'nvram.bin', 'disk.img'].map(
    (file): Case => ({
      id: 'image-incomplete',
      title: `no ${file} (C25)`,
      damage: (at) => rmSync(`${at.directory}/${file}`),
      path: (at) => at.directory,
      message: `missing: ${file}`,
      fix: 'clean',
    }),
  ),
  {
    id: 'image-incomplete',
    title: 'an overlay beside the disk',
    damage: (at) => writeFileSync(`${at.directory}/overlay.asif`, 'x'),
    path: (at) => at.directory,
    message: 'overlay.asif does not belong there',
    fix: 'clean',
  },
  {
    id: 'image-file-kind',
    title: 'a pipe without a writer in the place of the configuration (C29)',
    damage: (at) => {
      rmSync(`${at.directory}/config.json`);
      execFileSync('mkfifo', [`${at.directory}/config.json`]);
    },
    path: inDirectory('config.json'),
    message: 'a pipe where a file belongs',
    fix: 'clean',
  },
  {
    id: 'image-file-kind',
    title: 'a symlink in the place of the disk (C29)',
    damage: (at) => {
      renameSync(`${at.directory}/disk.img`, `${at.session.home.root}/disk.img`);
      symlinkSync(`${at.session.home.root}/disk.img`, `${at.directory}/disk.img`);
    },
    path: inDirectory('disk.img'),
    message: 'a symlink where a file belongs',
    also: ['foreign-entry'],
    fix: 'clean',
  },
  {
    id: 'image-file-kind',
    title: 'a directory in the place of the manifest (C29)',
    damage: (at) => {
      rmSync(`${at.directory}/manifest.json`);
      mkdirSync(`${at.directory}/manifest.json`);
    },
    path: inDirectory('manifest.json'),
    message: 'a directory where a file belongs',
    also: ['manifest-unreadable'],
    fix: 'clean',
  },
  {
    id: 'image-hard-link',
    title: 'a disk with a second name (C29)',
    damage: (at) => linkSync(`${at.directory}/disk.img`, `${at.session.home.root}/disk.img`),
    path: inDirectory('disk.img'),
    message: 'it has 2 names',
    also: ['foreign-entry'],
    fix: 'stays',
  },
  {
    id: 'image-nested',
    title: 'a directory inside an image',
    damage: (at) => mkdirSync(`${at.directory}/v1`),
    path: inDirectory('v1'),
    message: 'a directory inside the directory of an image',
    fix: 'stays',
  },
  {
    id: 'image-unreferenced',
    title: 'an image without a tag',
    damage: (at) => rmSync(at.tag),
    path: (at) => at.directory,
    message: 'no tag leads to it',
    fix: 'stays',
  },
  {
    id: 'image-busy',
    title: 'an image that another process repairs now (P18)',
    damage: async (at) => {
      rmSync(`${at.directory}/disk.img`);
      await hold(at, at.image.digest);
    },
    path: (at) => at.directory,
    message: 'another command is changing it',
    fix: 'stays',
  },
  {
    id: 'disk-touched',
    title: 'a disk whose unmodified marker says another time (S65)',
    damage: (at) => {
      const { ino, size } = statSync(`${at.directory}/disk.img`);
      const marker = { version: 1, manifest: at.image.digest, state: `1 ${ino} ${size} 1 1`, mounting: '' };
      writeFileSync(`${at.directory}/.disk-seal.json`, JSON.stringify(marker));
    },
    path: inDirectory('disk.img'),
    message: 'it was changed after it was verified',
    fix: 'stays',
  },
  {
    id: 'disk-length',
    title: 'a disk that was cut off (C25)',
    damage: (at) => truncateSync(`${at.directory}/disk.img`, 5000),
    path: inDirectory('disk.img'),
    message: 'it has 5000 bytes, its manifest says 36864',
    fix: 'clean',
  },
  {
    id: 'disk-length',
    title: 'a disk that grew',
    damage: (at) => truncateSync(`${at.directory}/disk.img`, 40_000),
    path: inDirectory('disk.img'),
    message: 'it has 40000 bytes, its manifest says 36864',
    fix: 'clean',
  },
  {
    id: 'config-damaged',
    title: 'a configuration that was edited',
    damage: (at) => writeFileSync(`${at.directory}/config.json`, '{}'),
    path: inDirectory('config.json'),
    message: /^it has 2 bytes, its manifest says \d+$/,
    fix: 'clean',
  },
  {
    id: 'config-damaged',
    title: 'a bit in the configuration',
    damage: (at) => flip(`${at.directory}/config.json`, 10),
    path: inDirectory('config.json'),
    message: /^it does not hash to sha256:/,
    deep: true,
    fix: 'clean',
  },
  {
    id: 'config-reformatted',
    title: 'a configuration as Tart leaves it on a push',
    damage: (at) => {
      byTart(at);
      writeFileSync(`${at.directory}/config.json`, '{\n  "version" : 1,\n  "os" : "linux"\n}');
    },
    path: inDirectory('config.json'),
    message: 'formatted as a local VM has it',
    deep: true,
    fix: 'stays',
  },
  {
    id: 'nvram-damaged',
    title: 'an NVRAM that was cut off',
    damage: (at) => truncateSync(`${at.directory}/nvram.bin`, 0),
    path: inDirectory('nvram.bin'),
    message: 'it has 0 bytes, its manifest says 4096',
    fix: 'clean',
  },
  {
    id: 'nvram-damaged',
    title: 'a bit in the NVRAM',
    damage: (at) => flip(`${at.directory}/nvram.bin`, 4095),
    path: inDirectory('nvram.bin'),
    message: /^it does not hash to sha256:/,
    deep: true,
    fix: 'clean',
  },
  ...(
    [
      ['first', 0, 0, 0, 8191],
      ['hole', 1, 20_000, 8192, 24_575],
      ['middle', 2, 30_000, 24_576, 32_767],
      ['last', 3, 36_863, 32_768, 36_863],
    ] as const
  ).map(
    ([where, chunk, offset, from, to]): Case => ({
      id: 'chunk-damaged',
      title: `a bit in the ${where} chunk (C26)`,
      damage: (at) => flip(`${at.directory}/disk.img`, offset),
      path: inDirectory('disk.img'),
      message: `chunk ${chunk} (bytes ${from} to ${to}): it does not hash to sha256:`,
      deep: true,
      fix: 'clean',
    }),
  ),
];

const records: readonly Case[] = [
  {
    id: 'manifest-missing',
    title: 'an image of an old Tart',
    damage: (at) => {
      byTart(at);
      rmSync(`${at.directory}/manifest.json`);
    },
    path: (at) => at.directory,
    message: 'there is no manifest.json',
    fix: 'stays',
  },
  {
    id: 'manifest-unreadable',
    title: 'a manifest that goes on for ever',
    damage: (at) => truncateSync(`${at.directory}/manifest.json`, 17 * 1024 * 1024),
    path: inDirectory('manifest.json'),
    message: 'it cannot be read: it has 17825792 bytes',
    fix: 'clean',
  },
  {
    id: 'manifest-mismatch',
    title: 'a manifest that was edited (C31)',
    damage: (at) => {
      const text = readFileSync(`${at.directory}/manifest.json`, 'utf8');
      writeFileSync(`${at.directory}/manifest.json`, text.replace('8192', '8193'));
    },
    path: inDirectory('manifest.json'),
    message: /^it hashes to sha256:/,
    fix: 'clean',
  },
  {
    id: 'manifest-reencoded',
    title: 'a manifest that Tart 2.14 to 2.35 wrote anew',
    damage: (at) => {
      byTart(at);
      const document = JSON.parse(readFileSync(`${at.directory}/manifest.json`, 'utf8')) as Record<string, string>;
      writeFileSync(`${at.directory}/manifest.json`, canonicalJson(document));
    },
    path: inDirectory('manifest.json'),
    message: 'Tart wrote it anew',
    deep: true,
    fix: 'stays',
  },
  {
    id: 'manifest-foreign',
    title: 'an image of a kind that we do not know',
    damage: (at) => {
      const mediaType = 'application/vnd.cirruslabs.tart.disk.v1';
      const manifest = tinyManifest({ layers: [{ mediaType, digest: digestOf('1'), size: 1 }] });
      writeFileSync(`${at.directory}/manifest.json`, manifest);
      byTart(at);
      renameSync(at.directory, `${base(at)}/${sha256(manifest)}`);
      rmSync(at.tag);
      symlinkSync(`${base(at)}/${sha256(manifest)}`, at.tag);
    },
    path: (at) => `${readLatest(at)}/manifest.json`,
    message: 'Tart before 2.0',
    fix: 'stays',
  },
  {
    id: 'origin-unreadable',
    title: 'a record that is torn',
    damage: (at) => truncateSync(`${at.directory}/.origin.json`, 20),
    path: inDirectory('.origin.json'),
    message: 'it is no origin record',
    fix: 'clean',
  },
  {
    id: 'origin-disagrees',
    title: 'a record of another registry',
    damage: (at) => {
      const text = readFileSync(`${at.directory}/.origin.json`, 'utf8');
      writeFileSync(`${at.directory}/.origin.json`, text.replace(at.registry.at, 'registry.corp:8221'));
    },
    path: inDirectory('.origin.json'),
    message: 'it says registry.corp:8221/macos/base@sha256:',
    fix: 'stays',
  },
];

function readLatest(at: ExaminedHome): string {
  return `${base(at)}/${sha256(readFileSync(`${at.tag}/manifest.json`))}`;
}

const EXTRA = noise(4096, 99);
const storePath = (at: ExaminedHome, name: string): string => `${at.session.home.contentDirectory}/sha256/${name}`;
const levelPath = (at: ExaminedHome, level: number): string =>
  storePath(at, sha256(at.stacked.levels[level] ?? Buffer.alloc(0)).slice(7));

const contents: readonly Case[] = [
  {
    id: 'content-missing',
    title: 'a stacked image without its base (C25)',
    damage: (at) => rmSync(levelPath(at, 0)),
    path: (at) => at.stackedDirectory,
    message: 'is not in the content store',
    fix: 'clean',
  },
  {
    id: 'content-missing',
    title: 'a stacked image with half an overlay (C25)',
    damage: (at) => truncateSync(levelPath(at, 1), 100),
    path: (at) => at.stackedDirectory,
    message: 'has 100 bytes in the content store instead of 4096',
    fix: 'clean',
  },
  {
    id: 'chunk-damaged',
    title: 'a bit in a shared disk file (C26)',
    damage: (at) => flip(levelPath(at, 0), 9000),
    path: (at) => levelPath(at, 0),
    message: 'chunk 1 (bytes 8192 to 12287): it does not hash to sha256:',
    deep: true,
    fix: 'clean',
  },
  {
    id: 'content-damaged',
    title: 'a bit in a disk file that nothing needs',
    damage: (at) => flip(plantContent(at.session, EXTRA), 17),
    path: (at) => storePath(at, sha256(EXTRA).slice(7)),
    message: /^it does not hash to sha256:/,
    also: ['content-unreferenced'],
    deep: true,
    fix: 'clean',
  },
  {
    id: 'content-unreferenced',
    title: 'a disk file that nothing needs',
    damage: (at) => void plantContent(at.session, EXTRA),
    path: (at) => storePath(at, sha256(EXTRA).slice(7)),
    message: 'no image and no VM needs this file of 4096 bytes',
    fix: 'stays',
  },
  {
    id: 'content-partial',
    title: 'a disk file that is half fetched',
    damage: (at) => writeFileSync(storePath(at, `.${'a'.repeat(64)}.partial`), 'x'),
    path: (at) => storePath(at, `.${'a'.repeat(64)}.partial`),
    message: /^\d+ bytes of a disk file that is being fetched$/,
    fix: 'stays',
  },
  {
    id: 'content-odd',
    title: 'a directory under the name of a disk file (C29)',
    damage: (at) => mkdirSync(storePath(at, 'a'.repeat(64))),
    path: (at) => storePath(at, 'a'.repeat(64)),
    message: 'a directory where a disk file belongs',
    fix: 'clean',
  },
];

const DAY_MS = 24 * 60 * 60 * 1000;
const unfinished = (at: ExaminedHome): string => `${at.session.home.stagingDirectory}/${'c'.repeat(64)}`;

function interruptPull(at: ExaminedHome, days: number): void {
  mkdirSync(unfinished(at), { recursive: true });
  writeFileSync(`${unfinished(at)}/disk.img`, 'x');
  const then = new Date(TODAY.getTime() - days * DAY_MS);
  for (const each of [`${unfinished(at)}/disk.img`, unfinished(at)]) utimesSync(each, then, then);
}

const work: readonly Case[] = [
  {
    id: 'scratch-live',
    title: 'a pull at work (P18)',
    damage: async (at) => {
      interruptPull(at, 30);
      await hold(at, `sha256:${'c'.repeat(64)}`);
    },
    path: unfinished,
    message: 'a command is fetching this image',
    fix: 'stays',
  },
  {
    id: 'scratch-resumable',
    title: 'a pull that was interrupted yesterday',
    damage: (at) => interruptPull(at, 1),
    path: unfinished,
    message: /^[\d.]+ [KM]?B of an interrupted pull of sha256:c{64}$/,
    fix: 'stays',
  },
  {
    id: 'scratch-expired',
    title: 'a pull that was interrupted last week',
    damage: (at) => interruptPull(at, 8),
    path: unfinished,
    message: 'that was not continued since',
    fix: 'clean',
  },
  {
    id: 'scratch-abandoned',
    title: 'work of a command that was killed',
    damage: (at) => mkdirSync(`${at.session.home.scratchDirectory}/tartlet-${UUID}`),
    path: (at) => `${at.session.home.scratchDirectory}/tartlet-${UUID}`,
    message: 'a command that was killed left it',
    fix: 'clean',
  },
  {
    id: 'scratch-odd',
    title: 'work of a Tart that was killed',
    damage: (at) => mkdirSync(`${at.session.home.scratchDirectory}/${UUID.toUpperCase()}`),
    path: (at) => `${at.session.home.scratchDirectory}/${UUID.toUpperCase()}`,
    message: 'a directory of no command that runs',
    fix: 'stays',
  },
  {
    id: 'trash-left',
    title: 'a removal that was interrupted',
    damage: (at) => void mkdirSync(`${at.session.home.stagingDirectory}/trash-${UUID}/x`, { recursive: true }),
    path: (at) => `${at.session.home.stagingDirectory}/trash-${UUID}`,
    message: 'it was being removed',
    fix: 'clean',
  },
  {
    id: 'lock-odd',
    title: 'a directory in the place of a lock',
    damage: (at) => void mkdirSync(`${at.session.home.locksDirectory}/${'d'.repeat(64)}.lock`, { recursive: true }),
    path: (at) => `${at.session.home.locksDirectory}/${'d'.repeat(64)}.lock`,
    message: 'a directory where a lock belongs',
    fix: 'clean',
  },
  {
    id: 'quarantined',
    title: 'something that was quarantined earlier',
    damage: (at) => {
      mkdirSync(`${at.session.home.quarantineDirectory}/2026-01-01-x/sha256:y`, { recursive: true });
      writeFileSync(`${at.session.home.quarantineDirectory}/2026-01-01-x/record.json`, '{}');
    },
    path: (at) => `${at.session.home.quarantineDirectory}/2026-01-01-x/sha256:y`,
    message: 'it was quarantined',
    fix: 'stays',
  },
];

const lonely = tinyStackedImage({ levels: [[noise(4096, 50)], [noise(4096, 51)]] });

const machines: readonly Case[] = [
  {
    id: 'vm-incomplete',
    title: 'a VM without its disk',
    damage: (at) => rmSync(`${at.vm}/disk.img`),
    path: (at) => at.vm,
    message: 'config.json, nvram.bin make no VM',
    fix: 'stays',
  },
  {
    id: 'vm-config',
    title: 'a VM whose configuration is torn',
    damage: (at) => truncateSync(`${at.vm}/config.json`, 20),
    path: (at) => `${at.vm}/config.json`,
    message: 'it is not JSON',
    fix: 'stays',
  },
  {
    id: 'vm-config',
    title: 'a VM whose configuration lacks a key',
    damage: (at) => writeFileSync(`${at.vm}/config.json`, configJson().replace('cpuCountMin', 'cpuCountMax')),
    path: (at) => `${at.vm}/config.json`,
    message: '"cpuCountMin" is missing',
    fix: 'stays',
  },
  {
    id: 'vm-content-missing',
    title: 'a stacked VM without its base',
    damage: (at) => {
      plantContent(at.session, lonely.levels[1] ?? Buffer.alloc(0));
      plantStackedVm(at.vm, lonely);
    },
    path: (at) => at.vm,
    message: 'is not in the content store',
    fix: 'stays',
  },
];

const access: readonly Case[] = [
  {
    id: 'mode-open',
    title: 'a disk that everybody may write to (C30)',
    damage: (at) => chmodSync(`${at.directory}/disk.img`, 0o666),
    path: inDirectory('disk.img'),
    message: 'every user of this machine may write to it (mode 666)',
    fix: 'stays',
  },
  ...(['vmsDirectory', 'cacheDirectory', 'imagesDirectory'] as const).map(
    (directory): Case => ({
      id: 'mode-open',
      title: `${directory}, told once however often it is met (C30)`,
      damage: (at) => chmodSync(at.session.home[directory], 0o777),
      path: (at) => at.session.home[directory],
      message: '(mode 777)',
      fix: 'stays',
    }),
  ),
  {
    id: 'group-other',
    title: 'an image of another group in a home that a group shares (S69)',
    damage: (at) => {
      share(at.session.home.root);
      chownSync(at.directory, 0, 4712);
    },
    path: (at) => at.directory,
    message: 'it belongs to group 4712, the home to group 4711',
    asRoot: true,
    fix: 'stays',
  },
  {
    id: 'mode-closed',
    title: 'a configuration that the group which shares the home may not read (S69)',
    damage: (at) => {
      share(at.session.home.root);
      chmodSync(`${at.directory}/config.json`, 0o600);
    },
    path: inDirectory('config.json'),
    message: '(mode 600)',
    asRoot: true,
    fix: 'stays',
  },
  {
    id: 'owner-other',
    title: 'an image of another user (C30)',
    damage: (at) => chownSync(at.directory, 4711, 4711),
    path: (at) => at.directory,
    message: /^it belongs to user 4711, the home to user \d+$/,
    asRoot: true,
    fix: 'stays',
  },
];

const cases = [...addresses, ...names, ...links, ...images, ...records, ...contents, ...work, ...machines, ...access];

function idsOf({ findings }: DoctorReport): string[] {
  return findings.map((each) => each.id).sort();
}

describe('a home in order', () => {
  it.each([false, true])('has no findings at all (deep: %s)', async (deep) => {
    const { session, image, stacked } = await examinedHome();
    const documents = [image.config, image.nvram, stacked.config, stacked.nvram, ...stacked.levels];
    const hashedBytes = documents.reduce((sum, each) => sum + each.length, image.disk.length);
    const doctorReport = await runDoctor(session, { deep });
    expect(doctorReport.findings).toEqual([]);
    expect(doctorReport.totals).toMatchObject({ images: 2, tags: 2, vms: 1 });
    expect(doctorReport.deep?.bytesChecked).toBe(deep ? hashedBytes : undefined);
  });

  it('has none because of what file systems and desktops leave behind', async () => {
    const at = await examinedHome();
    for (const directory of [at.session.home.root, at.session.home.vmsDirectory, base(at)]) {
      mkdirSync(`${directory}/lost+found`);
      writeFileSync(`${directory}/.DS_Store`, 'x');
    }
    expect((await runDoctor(at.session)).findings).toEqual([]);
  });

  it('has none when it does not exist', async () => {
    const { session } = await examinedHome();
    rmSync(session.home.root, { recursive: true });
    expect((await runDoctor(session, { deep: true })).findings).toEqual([]);
  });
});

/** Makes the damage and asserts that it is found, alone and as described. */
async function findDamage(at: ExaminedHome, { id, also, message, ...each }: Case): Promise<DoctorReport> {
  await each.damage(at);
  const before = await runDoctor(at.session, { deep: each.deep ?? false });
  expect(idsOf(before)).toEqual([id, ...(also ?? [])].sort());
  const found = before.findings.find((one) => one.id === id);
  expect(found).toMatchObject({ severity: FINDINGS[id].severity, path: each.path(at) });
  expect(found?.message).toMatch(message);
  return before;
}

const isRoot = process.getuid?.() === 0;
const possible = cases.filter((each) => each.asRoot === undefined || isRoot);

describe.each(possible.filter(({ fix }) => fix === 'clean'))('$id: $title', (each) => {
  it('is found, and --fix leaves nothing but notes', async () => {
    const at = await examinedHome();
    await findDamage(at, each);
    const deep = each.deep ?? false;
    const { repaired, findings } = await runDoctor(at.session, { deep, fix: true });
    expect(repaired.filter(({ result }) => result === 'left')).toEqual([]);
    expect(repaired.map(({ finding }) => finding.id)).toContain(each.id);
    expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
    expect((await runDoctor(at.session, { deep })).findings).toEqual(findings);
  });
});

describe.each(possible.filter(({ fix }) => fix === 'stays'))('$id: $title', (each) => {
  it('is found, and --fix leaves it alone', async () => {
    const at = await examinedHome();
    const before = await findDamage(at, each);
    const deep = each.deep ?? false;
    const { repaired, findings } = await runDoctor(at.session, { deep, fix: true });
    expect(repaired).toEqual([]);
    expect(findings).toEqual(before.findings);
  });
});

it('every kind of finding is made by one of these tests', () => {
  expect([...new Set(cases.map(({ id }) => id))].sort()).toEqual(Object.keys(FINDINGS).sort());
});
