import { createHash } from 'node:crypto';
import { renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DiskChunk } from '../../../src/oci/tart-image.ts';
import { verifyChunk } from '../../../src/chunks/chunk-fetch.ts';
import type { ChunkJob, ResultOf, VerifyJob } from '../../../src/chunks/chunk-job.ts';
import { beforeCloning, verifyDonor } from '../../../src/transfer/pull/cloned-donor.ts';
import { temporaryFolder } from '../../support/folder.ts';

const CONTENT = 'what was promised';

let folder: string;
let donor: string;
beforeEach(() => {
  folder = temporaryFolder();
  donor = path.join(folder, 'disk.img');
  writeFileSync(donor, CONTENT);
});

/** The time of the file system, in nanoseconds. */
function fileSystemTime(): bigint {
  const file = path.join(folder, 'clock');
  writeFileSync(file, '');
  return statSync(file, { bigint: true }).ctimeNs;
}

/** Hashes in this thread, after something has happened. */
function poolAfter(happens: () => void) {
  return {
    async runAll<J extends ChunkJob>(
      jobs: readonly J[],
      onDone: (job: J, result: ResultOf<J>, add: (more: J) => void) => Promise<void> | void,
      { survives = () => false }: { survives?: ((job: J, error: unknown) => boolean) | undefined } = {},
    ): Promise<J[]> {
      happens();
      for (const job of jobs) {
        try {
          const result = await verifyChunk(job as VerifyJob, new AbortController().signal);
          await onDone(job, result as ResultOf<J>, () => undefined);
        } catch (error) {
          if (!survives(job, error)) throw error;
        }
      }
      return [];
    },
  };
}

/** Whether the donor proves its chunk, when `happens` after it was cloned. */
async function proves(happens: () => void, onFound = async (): Promise<void> => {}): Promise<boolean> {
  const cloned = await beforeCloning({ path: donor, kind: 'image', name: 'image', size: CONTENT.length });
  if (cloned === undefined || cloned === 'gone') throw new Error('it can be cloned');
  const chunk = { index: 0 } as DiskChunk;
  const job: VerifyJob = {
    kind: 'verify',
    contentDigest: `sha256:${createHash('sha256').update(CONTENT).digest('hex')}`,
    contentSize: CONTENT.length,
    disk: donor,
    offset: 0,
  };
  const found: DiskChunk[] = [];
  await verifyDonor(poolAfter(happens), cloned, new Map([[job, [chunk]]]), async (chunks) => {
    await onFound();
    found.push(...chunks);
  });
  return found.includes(chunk);
}

describe('the donor of a clone', () => {
  it('that is what was cloned proves what is in the clone', async () => {
    expect(await proves(() => undefined)).toBe(true);
  });

  it.each([
    ['was damaged when it was cloned, and mended since', () => writeFileSync(donor, CONTENT)],
    [
      'was mended, and its date set back',
      () => {
        writeFileSync(donor, CONTENT);
        utimesSync(donor, 1, 1);
      },
    ],
    [
      'is another file by now, of the same date',
      () => {
        const other = path.join(folder, 'other');
        writeFileSync(other, CONTENT);
        utimesSync(other, 1, 1);
        renameSync(other, donor);
      },
    ],
    ['is damaged', () => writeFileSync(donor, CONTENT.replace('p', 'P'))],
    ['became shorter', () => writeFileSync(donor, '')],
    ['is gone', () => rmSync(donor)],
  ])('that %s proves nothing, and is no error', async (_, happens) => {
    utimesSync(donor, 1, 1);
    // Clocks of file systems are coarse: two changes in one tick of them look like one.
    const { ctimeNs } = statSync(donor, { bigint: true });
    while (fileSystemTime() <= ctimeNs) await setImmediate();
    expect(await proves(happens)).toBe(false);
  });

  it('is one thing, and what becomes of the proof another: that is an error', async () => {
    const full = new Error('the journal cannot be written');
    await expect(
      proves(
        () => undefined,
        async () => Promise.reject(full),
      ),
    ).rejects.toBe(full);
  });

  it('cannot be cloned when it is gone', async () => {
    rmSync(donor);
    expect(await beforeCloning({ path: donor, kind: 'image', name: 'image', size: 1 })).toBe('gone');
  });

  it('that is a VM is not asked: it may be started at any time', async () => {
    expect(await beforeCloning({ path: donor, kind: 'vm', name: 'vm', size: 1 })).toBeUndefined();
  });
});
