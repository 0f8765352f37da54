import { chmodSync, cpSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import type { Session } from '../../src/session/session.ts';
import { cloneVm } from '../../src/vm/clone.ts';
import { runDoctor } from '../../src/doctor/run-doctor.ts';
import { pushVm } from '../../src/vm/push.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { needsSeals } from '../support/unmodified-marker.ts';
import { noise } from '../support/stacked-image.ts';

const PIECE = 65_536;
const COPY = LocalName.parse('copy');

interface Pulled {
  readonly session: Session;
  readonly at: string;
  readonly name: RemoteName;
  readonly disk: string;
  readonly notes: string[];
}

/** An image of two chunks that was pulled into an empty home. */
async function pulled(): Promise<Pulled> {
  const registry = await startMeddlingRegistry();
  const name = RemoteName.parse(`${registry.at}/org/vm:latest`);
  const maker = freshSession();
  plantVm(`${maker.home.vmsDirectory}/ci`, Buffer.concat([noise(PIECE, 1), noise(PIECE, 2)]));
  await pushVm(maker, 'ci', [name], { diskChunkBytes: PIECE });
  const notes: string[] = [];
  const session = freshSession({
    onEvent: (event) => {
      if (event.kind === 'note') notes.push(event.text);
    },
  });
  await pull(session, name);
  const image = await session.images.find(name);
  return { session, at: registry.at, name, notes, disk: `${image?.directory.path ?? ''}/disk.img` };
}

/** Writes into the second chunk, so that neither the length nor the date tells. */
function edit(disk: string): void {
  const { atime, mtime } = statSync(disk);
  const bytes = readFileSync(disk);
  bytes.write('edited', PIECE + 100);
  writeFileSync(disk, bytes, { flag: 'r+' });
  utimesSync(disk, atime, mtime);
}

async function idsOfDoctor({ session }: Pulled, deep = false): Promise<string[]> {
  return (await runDoctor(session, { deep })).findings.map(({ id }) => id);
}

beforeEach(needsSeals);

it('the doctor finds a cached disk that was edited in place, and hashing tells what became of it (S65)', async () => {
  const image = await pulled();
  expect(await idsOfDoctor(image)).toEqual([]);
  edit(image.disk);
  expect(await idsOfDoctor(image)).toEqual(['disk-touched']);
  expect(await idsOfDoctor(image, true)).toEqual(['chunk-damaged']);
});

it('of a cached disk of which only the mode was changed hashing tells that it is whole (S65)', async () => {
  const image = await pulled();
  chmodSync(image.disk, 0o600);
  expect(await idsOfDoctor(image)).toEqual(['disk-touched']);
  expect(await idsOfDoctor(image, true)).toEqual([]);
});

it('a file that was put into the place of a cached disk is found, and a copy of the whole directory is not (S65)', async () => {
  const image = await pulled();
  cpSync(image.disk, `${image.disk}.new`, { preserveTimestamps: true });
  edit(`${image.disk}.new`);
  renameSync(`${image.disk}.new`, image.disk);
  expect(await idsOfDoctor(image)).toEqual(['disk-touched']);
  await cloneVm(image.session, image.name.toString(), COPY);
  expect(image.notes).toEqual([expect.stringContaining('was changed after it was verified') as string]);

  const copied = await pulled();
  const directory = path.dirname(copied.disk);
  cpSync(directory, `${directory}.copy`, { recursive: true, preserveTimestamps: true });
  rmSync(directory, { recursive: true });
  renameSync(`${directory}.copy`, directory);
  expect(await idsOfDoctor(copied)).toEqual([]);
});

it('the clone of a cached disk that was edited in place says so, and its push has what is there (S65)', async () => {
  const image = await pulled();
  const { session, name, notes } = image;
  edit(image.disk);
  await cloneVm(session, name.toString(), COPY);
  expect(notes).toEqual([expect.stringContaining('was changed after it was verified') as string]);
  const next = RemoteName.parse(`${image.at}/org/vm:edited`);
  await pushVm(session, COPY.text, [next], { diskChunkBytes: PIECE });
  const elsewhere = freshSession();
  await pull(elsewhere, next);
  const there = await elsewhere.images.find(next);
  expect(readFileSync(`${there?.directory.path ?? ''}/disk.img`).equals(readFileSync(image.disk))).toBe(true);
});

it('the push of a cached image whose disk was edited in place sends the image, and says that the edit is not in it (S65)', async () => {
  const image = await pulled();
  edit(image.disk);
  const next = RemoteName.parse(`${image.at}/org/other:latest`);
  await pushVm(image.session, image.name.toString(), [next]);
  expect(image.notes).toEqual([expect.stringContaining('without the changes') as string]);
});

it('a clone of a disk that was not changed says nothing', async () => {
  const image = await pulled();
  await cloneVm(image.session, image.name.toString(), COPY);
  expect(image.notes).toEqual([]);
});
