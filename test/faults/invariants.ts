import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { listVms } from '../../src/vm/listing.ts';
import { sha256 } from '../support/tart-image.ts';
import type { World } from './world.ts';

/** What may not change, whatever goes wrong (I2, I8, I12). */
export interface Before {
  /** Path and content of the kept image, the VM and the file of the user. */
  readonly home: readonly string[];
  /** The same for what lies beside the home. */
  readonly outside: readonly string[];
}

export function lookBefore(world: World): Before {
  return { home: treasures(world), outside: outside(world) };
}

/**
 * The invariants of reliability §0.1 that can be seen from outside, after a fault and again after the same command has
 * succeeded. Those about pushes (I11) and bounds (I9) are stated by the rows they concern.
 */
export async function expectInvariants(world: World, before: Before): Promise<void> {
  await checkHome(world, before);
  checkWords(world);
  world.lift();
  for (const attempt of world.attempts) {
    const { status } = await pull(world.session(), attempt.name, attempt.options);
    expect(['present', 'linked', 'pulled'], 'I4: the second run succeeds').toContain(status);
  }
  await checkHome(world, before);
  const found = await imagesOf(world);
  for (const { name, image } of world.attempts) {
    expect(found.get(name.toString()), 'I4: the second run brought the image').toBe(image.digest);
  }
  if (world.attempts.length > 0) expect(namesIn(world.home.stagingDirectory), 'I3: no scratch is left').toEqual([]);
  checkWords(world);
}

async function checkHome(world: World, before: Before): Promise<void> {
  expect(treasures(world), 'I2, I12: nothing finished and nothing of the user is lost').toEqual(before.home);
  expect(outside(world), 'I8: nothing is written outside the home').toEqual(before.outside);
  await imagesOf(world);
  const digests = namesIn(world.home.stagingDirectory);
  expect(
    digests.filter((name) => !/^[0-9a-f]{64}(?:[0-9a-f]{64})?$/.test(name)),
    'I3: all scratch has an owner',
  ).toEqual([]);
  expect(namesIn(world.home.scratchDirectory), 'I3: no scratch of commands that have ended').toEqual([]);
}

/**
 * Every image that `list` shows, by name, with the digest of its manifest; each is hashed through and through (I1, I6).
 */
async function imagesOf(world: World): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { name } of await listVms(world.session(), 'oci')) {
    const at = world.session().images.pathOf(RemoteName.parse(name));
    const directory = lstatSync(at).isSymbolicLink() ? readlinkSync(at) : at;
    const read = (file: string): Buffer => readFileSync(`${directory}/${file}`);
    const manifest = read('manifest.json');
    expect(sha256(manifest), `I1: the manifest of ${name}`).toBe(path.basename(directory));
    const { layers } = JSON.parse(manifest.toString()) as { layers: Layer[] };
    let offset = 0;
    for (const { mediaType, digest, annotations } of layers) {
      if (mediaType.endsWith('.config.v1')) expect(sha256(read('config.json')), `I1: config of ${name}`).toBe(digest);
      else if (mediaType.endsWith('.nvram.v1')) expect(sha256(read('nvram.bin')), `I1: NVRAM of ${name}`).toBe(digest);
      else {
        const size = Number(annotations['org.cirruslabs.tart.uncompressed-size']);
        const chunk = read('disk.img').subarray(offset, offset + size);
        expect(sha256(chunk), `I6: the chunk at ${offset} of ${name}`).toBe(
          annotations['org.cirruslabs.tart.uncompressed-content-digest'],
        );
        offset += size;
      }
    }
    expect(lstatSync(`${directory}/disk.img`).size, `I6: the length of the disk of ${name}`).toBe(offset);
    found.set(name, sha256(manifest));
  }
  return found;
}

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Exit codes are honest, errors are for people (I10), and no secret is told or kept (I7). */
function checkWords(world: World): void {
  for (const { exitCode, stderr } of world.ran) {
    expect(stderr, 'I10: no stack trace').not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
    if (exitCode === 0) expect(stderr, 'I10: success without an error').not.toContain('error[');
    else expect(stderr, `I10: exit code ${exitCode} is explained`).toMatch(/error\[\w+\]: |^usage: /im);
  }
  const files = filesBelow(world.home.root).map((file) => readFileSync(file).toString('latin1'));
  for (const secret of world.secrets) {
    for (const text of [...world.said, ...files]) expect(text.includes(secret), 'I7: no secret is told').toBe(false);
  }
}

function treasures(world: World): string[] {
  const { directory, tag } = world.kept;
  return [
    `${tag} -> ${readlinkSync(tag)}`,
    ...[...filesBelow(directory), ...filesBelow(world.home.vmsDirectory), `${world.home.root}/notes.txt`]
      // A record of the last use is ours to make.
      .filter((file) => path.basename(file) !== '.last-used')
      .map(fingerprint),
  ];
}

function outside(world: World): string[] {
  return filesBelow(world.directory)
    .filter((file) => !file.startsWith(`${world.home.root}/`))
    .map(fingerprint);
}

function fingerprint(file: string): string {
  return `${file} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

/**
 * Regular files only: what else a row has planted, it looks at itself. When something was used last, is no treasure.
 */
function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((entry) => path.join(directory, entry))
    .filter((file) => lstatSync(file).isFile() && path.basename(file) !== '.last-used')
    .sort();
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
