import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeRepository } from '../../../src/home/images/image-cache.ts';
import { tidyRepository } from '../../../src/home/images/image-removal.ts';
import { Digest } from '../../../src/names/digest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { listVms } from '../../../src/vm/listing.ts';
import { digestOf, freshSession, plantImage, plantVm } from '../../support/home.ts';

const REPOSITORY = 'registry.fq.d.n:8221/macos/base';
const A = digestOf('a');
const B = digestOf('b');
const C = digestOf('c');

describe('finding an image', () => {
  it('by its tag and by its digest, on a registry with a port', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A, 'latest');
    expect(directory).toBe(`${session.home.root}/cache/OCIs/registry.fq.d.n%3A8221/macos/base/${A}`);
    expect((await session.images.find(RemoteName.parse(REPOSITORY)))?.digest.toString()).toBe(A);
    expect((await session.images.find(RemoteName.parse(`${REPOSITORY}@${A}`)))?.directory.path).toBe(directory);
    expect((await listVms(session)).map((row) => row.name)).toEqual([`${REPOSITORY}:latest`, `${REPOSITORY}@${A}`]);
  });

  it('the port is part of the name: neither without it nor with another one', async () => {
    const session = freshSession();
    plantImage(session, REPOSITORY, A, 'latest');
    expect(await session.images.find(RemoteName.parse('registry.fq.d.n/macos/base'))).toBeUndefined();
    expect(await session.images.find(RemoteName.parse('registry.fq.d.n:8222/macos/base'))).toBeUndefined();
  });

  it('a tag and a digest together are found only when they agree', async () => {
    const session = freshSession();
    plantImage(session, REPOSITORY, A, 'latest');
    expect(await session.images.find(RemoteName.parse(`${REPOSITORY}:latest@${A}`))).toBeDefined();
    expect(await session.images.find(RemoteName.parse(`${REPOSITORY}:latest@${B}`))).toBeUndefined();
  });

  it('a tag whose image is gone is no image and is not listed (openai/tart#1293) (C24)', async () => {
    const session = freshSession();
    rmSync(plantImage(session, REPOSITORY, A, 'latest'), { recursive: true });
    expect(await session.images.find(RemoteName.parse(REPOSITORY))).toBeUndefined();
    expect(await listVms(session)).toEqual([]);
  });

  it('an image without all its files is no image (C25)', async () => {
    const session = freshSession();
    rmSync(`${plantImage(session, REPOSITORY, A, 'latest')}/disk.img`);
    expect(await session.images.find(RemoteName.parse(REPOSITORY))).toBeUndefined();
    expect(await listVms(session)).toEqual([]);
  });

  it('a digest that is a symlink to another digest proves nothing', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A);
    symlinkSync(directory, directory.replace(A, B));
    expect(await session.images.find(RemoteName.parse(`${REPOSITORY}@${B}`))).toBeUndefined();
  });

  it('foreign files and odd names in the cache are neither listed nor a reason to fail (C28)', async () => {
    const session = freshSession();
    plantImage(session, REPOSITORY, A, 'latest');
    const { imagesDirectory } = session.home;
    writeFileSync(`${imagesDirectory}/.DS_Store`, 'x');
    writeFileSync(`${imagesDirectory}/notes.txt`, 'x');
    plantVm(`${imagesDirectory}/bad%ZZ/a/${A}`);
    plantVm(`${imagesDirectory}/registry.old:5000/a/${A}`);
    symlinkSync('/nowhere', `${imagesDirectory}/dangling`);
    expect((await listVms(session)).map((row) => row.name)).toEqual([`${REPOSITORY}:latest`, `${REPOSITORY}@${A}`]);
    expect(session.images.walk().foreign.toSorted()).toEqual([
      `${imagesDirectory}/bad%ZZ/a/${A}`,
      `${imagesDirectory}/dangling`,
      `${imagesDirectory}/registry.old:5000/a/${A}`,
    ]);
  });
});

describe('a tag', () => {
  it('is an absolute symlink with the text that Tart would write', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A);
    const name = RemoteName.parse(`${REPOSITORY}:15`);
    await session.images.link(name, Digest.parse(A));
    expect(readlinkSync(session.images.pathOf(name))).toBe(directory);
    expect(await session.images.isLinked(name, Digest.parse(A))).toBe(true);
  });

  it('moves to another image in one step and leaves the old image', async () => {
    const session = freshSession();
    const old = plantImage(session, REPOSITORY, A, '15');
    plantImage(session, REPOSITORY, B);
    const name = RemoteName.parse(`${REPOSITORY}:15`);
    await session.images.link(name, Digest.parse(B));
    expect((await session.images.find(name))?.digest.toString()).toBe(B);
    expect(existsSync(`${old}/disk.img`)).toBe(true);
  });
});

describe('two names that need one path', () => {
  it('a tag is refused where a repository lies, with both names', async () => {
    const session = freshSession();
    plantImage(session, 'host/a/b', A, 'latest');
    await expect(session.images.refuseCollision(RemoteName.parse('host/a:b'))).rejects.toMatchObject({
      code: 'NAME_COLLISION',
      message: expect.stringMatching(/host\/a:b .*host\/a\/b/) as unknown,
    });
  });

  it('a repository is refused where a tag lies, with both names', async () => {
    const session = freshSession();
    plantImage(session, 'host/a', A, 'b');
    await expect(session.images.refuseCollision(RemoteName.parse('host/a/b/c:latest'))).rejects.toMatchObject({
      code: 'NAME_COLLISION',
      message: expect.stringMatching(/host\/a\/b\/c:latest .*host\/a:b/) as unknown,
    });
  });

  it('neighbours are no collision', async () => {
    const session = freshSession();
    plantImage(session, 'host/a', A, 'b');
    await expect(session.images.refuseCollision(RemoteName.parse('host/a:c'))).resolves.toBe('free');
    await expect(session.images.refuseCollision(RemoteName.parse('host/a:b'))).resolves.toBe('linked');
    await expect(session.images.refuseCollision(RemoteName.parse('host/c/b'))).resolves.toBe('free');
  });
});

describe('what is left of a repository does not keep its path from a tag (D33)', () => {
  const TAG = RemoteName.parse('host/a:b');

  it('directories without anything in them take no place, and go when the tag comes', async () => {
    const session = freshSession();
    plantImage(session, 'host/a', A);
    mkdirSync(`${session.home.imagesDirectory}/host/a/b/c/d`, { recursive: true });
    await session.images.refuseCollision(TAG);
    await session.images.link(TAG, Digest.parse(A));
    expect((await session.images.find(TAG))?.digest.toString()).toBe(A);
  });

  it('the directories of a repository go with its last image, up to what others need', async () => {
    const session = freshSession();
    plantImage(session, 'host/a/b/c', A, 'x');
    plantImage(session, 'host/a/b/c', B, 'y');
    plantImage(session, 'host/a', C, 'z');
    await session.images.delete(RemoteName.parse('host/a/b/c:x'));
    expect(readdirSync(`${session.home.imagesDirectory}/host/a/b/c`).sort()).toEqual([B, 'y']);
    await session.images.delete(RemoteName.parse(`host/a/b/c@${B}`));
    expect(readdirSync(`${session.home.imagesDirectory}/host/a`).sort()).toEqual([C, 'z']);
  });

  it('a stray file in it is named, and what to do about it', async () => {
    const session = freshSession();
    const file = `${session.home.imagesDirectory}/host/a/b/c/.DS_Store`;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '');
    await expect(session.images.refuseCollision(TAG)).rejects.toMatchObject({
      code: 'NAME_COLLISION',
      message: `host/a:b cannot be cached: the foreign file ${file} is in its place`,
      facts: { next: { kind: 'move-or-remove', path: file } },
    });
  });

  it('a stray file where a repository would be is named', async () => {
    const session = freshSession();
    const file = `${session.home.imagesDirectory}/host/a`;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '');
    await expect(session.images.refuseCollision(RemoteName.parse('host/a/b:c'))).rejects.toMatchObject({
      facts: { next: { kind: 'move-or-remove', path: file } },
    });
  });

  it('of an image in the way the next step has the very name', async () => {
    const session = freshSession();
    plantImage(session, 'host/a/b', A, 'latest');
    await expect(session.images.refuseCollision(TAG)).rejects.toMatchObject({
      facts: {
        next: {
          kind: 'delete-or-use-another-home',
          image: expect.stringMatching(/^host\/a\/b(:latest|@sha256:a{64})$/) as string,
          others: true,
        },
      },
    });
  });
});

describe('deleting', () => {
  it('one of two tags keeps the image, the last one takes it along', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A, 'one', 'two');
    await session.images.delete(RemoteName.parse(`${REPOSITORY}:one`));
    expect(existsSync(directory)).toBe(true);
    await session.images.delete(RemoteName.parse(`${REPOSITORY}:two`));
    expect(existsSync(directory)).toBe(false);
    expect(session.images.walk()).toEqual({ entries: [], foreign: [], unreadable: [] });
  });

  it('takes the symlinks along that a killed command left aside, and no hidden symlink of the user', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A, 'one');
    const ours = `${path.dirname(directory)}/.link.123e4567-e89b-12d3-a456-426614174000`;
    const theirs = `${path.dirname(directory)}/.link.mine`;
    for (const link of [ours, theirs]) symlinkSync(directory, link);
    await session.images.delete(RemoteName.parse(`${REPOSITORY}@${A}`));
    expect(readdirSync(path.dirname(directory))).toEqual(['.link.mine']);
  });

  it('the last tag of an image that was pulled by digest leaves the image', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A, 'one');
    await session.images.markExplicitlyPulled(RemoteName.parse(REPOSITORY), Digest.parse(A));
    await session.images.delete(RemoteName.parse(`${REPOSITORY}:one`));
    expect(existsSync(directory)).toBe(true);
  });

  it('the last tag in a repository takes its image along, although another repository has one of the same digest', async () => {
    const session = freshSession();
    const dev = plantImage(session, 'registry.corp:8221/dev/vm', A, 'one');
    const prod = plantImage(session, 'registry.corp:8221/prod/vm', A, 'one');
    await session.images.delete(RemoteName.parse('registry.corp:8221/dev/vm:one'));
    expect([existsSync(dev), existsSync(prod)]).toEqual([false, true]);
    await session.images.delete(RemoteName.parse('registry.corp:8221/prod/vm:one'));
    expect(existsSync(prod)).toBe(false);
  });

  it('a tag of another repository whose own image is gone protects nothing here', async () => {
    const session = freshSession();
    const here = plantImage(session, 'upstream.corp/vm', A, 'one');
    const mirror = plantImage(session, 'mirror.corp:8221/vm', A, 'one');
    rmSync(mirror, { recursive: true });
    await session.images.delete(RemoteName.parse('upstream.corp/vm:one'));
    expect(existsSync(here)).toBe(false);
  });

  it('a tag of another repository that leads to the image keeps it, also in a home that was moved since', async () => {
    const session = freshSession();
    const image = plantImage(session, 'registry.corp/vm', A, 'one');
    const other = `${session.home.imagesDirectory}/registry.corp%3A8221/vm`;
    mkdirSync(other, { recursive: true });
    symlinkSync(`/old/home/cache/OCIs/registry.corp/vm/${A}`, `${other}/two`);
    await session.images.delete(RemoteName.parse('registry.corp/vm:one'));
    expect(existsSync(image)).toBe(true);
    rmSync(`${other}/two`);
    symlinkSync(image, `${other}/three`);
    symlinkSync(image, `${image.slice(0, -A.length)}one`);
    await session.images.delete(RemoteName.parse('registry.corp/vm:one'));
    expect(existsSync(image)).toBe(true);
  });

  it('a tag goes that leads into the home which this one was copied from, and nothing there is touched', async () => {
    const [original, copy] = [freshSession(), freshSession()];
    const theirs = plantImage(original, REPOSITORY, A, 'one');
    const ours = plantImage(copy, REPOSITORY, A);
    symlinkSync(theirs, `${ours.slice(0, -A.length)}one`);
    await copy.images.delete(RemoteName.parse(`${REPOSITORY}:one`));
    expect(copy.images.walk()).toEqual({ entries: [], foreign: [], unreadable: [] });
    expect((await listVms(original)).map((row) => row.name)).toEqual([`${REPOSITORY}:one`, `${REPOSITORY}@${A}`]);
  });

  it('a digest takes its tags along', async () => {
    const session = freshSession();
    plantImage(session, REPOSITORY, A, 'one', 'two');
    plantImage(session, REPOSITORY, B, 'other');
    await session.images.delete(RemoteName.parse(`${REPOSITORY}@${A}`));
    expect((await listVms(session)).map((row) => row.name)).toEqual([`${REPOSITORY}:other`, `${REPOSITORY}@${B}`]);
  });

  it('what is not there is an error, and a second time too', async () => {
    const session = freshSession();
    plantImage(session, REPOSITORY, A, 'one');
    await session.images.delete(RemoteName.parse(`${REPOSITORY}:one`));
    await expect(session.images.delete(RemoteName.parse(`${REPOSITORY}:one`))).rejects.toMatchObject({
      code: 'VM_NOT_FOUND',
    });
  });

  it('an image that is being read is left alone (tart-cli §7 #13, P16)', async () => {
    const session = freshSession();
    const directory = plantImage(session, REPOSITORY, A, 'one');
    const reader = await session.images.lock(Digest.parse(A), { mode: 'shared', wait: false });
    await expect(session.images.delete(RemoteName.parse(`${REPOSITORY}:one`))).rejects.toMatchObject({ code: 'BUSY' });
    expect(existsSync(`${directory}/disk.img`)).toBe(true);
    await reader?.release();
  });

  it('a repository is not deleted by a tag of its name', async () => {
    const session = freshSession();
    const directory = plantImage(session, 'host/a/b', A, 'latest');
    await expect(session.images.delete(RemoteName.parse('host/a:b'))).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
    expect(existsSync(directory)).toBe(true);
  });
});

describe('publishing', () => {
  it('puts aside a broken directory of the same digest and keeps its mark (D23)', async () => {
    const session = freshSession();
    const name = RemoteName.parse(`${REPOSITORY}@${A}`);
    const broken = plantImage(session, REPOSITORY, A);
    rmSync(`${broken}/nvram.bin`);
    writeFileSync(`${broken}/.explicitly-pulled`, '');
    const staging = `${session.home.stagingDirectory}/x`;
    plantVm(staging);
    await session.images.publish(staging, name, Digest.parse(A));
    expect(await session.images.find(name)).toBeDefined();
    expect(existsSync(`${broken}/.explicitly-pulled`)).toBe(true);
    expect(existsSync(staging)).toBe(false);
  });
});

it('a cache that is a dangling symlink gets its target, as Tart’s own tests expect', async () => {
  const session = freshSession();
  mkdirSync(session.home.root, { recursive: true });
  symlinkSync(`${session.home.root}-elsewhere/cache`, session.home.cacheDirectory);
  await session.home.prepare();
  expect(lstatSync(`${session.home.root}-elsewhere/cache`).isDirectory()).toBe(true);
  expect(lstatSync(session.home.cacheDirectory).isSymbolicLink()).toBe(true);
});

describe('the directory of a repository', () => {
  it('is made although another command takes it away because it is empty (P15)', async () => {
    const session = freshSession();
    await session.home.prepare();
    const name = RemoteName.parse(REPOSITORY);
    const directory = path.dirname(session.images.directoryOf(name, Digest.parse(A)));
    await makeRepository(session.home, name);
    for (let round = 0; round < 300; round += 1)
      await Promise.all([makeRepository(session.home, name), tidyRepository(session.home, directory)]);
    await makeRepository(session.home, name);
    expect(existsSync(directory)).toBe(true);
  });
});
