import { createHash } from 'node:crypto';
import { renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DiskChunk } from '../../../src/oci/tart-image.ts';
import { verifyChunk } from '../../../src/chunks/chunk-fetch.ts';
import type { ChunkJob, ResultOf, VerifyJob } from '../../../src/chunks/chunk-job.ts';
import { beforeCloning, verifySeed } from '../../../src/transfer/pull/cloned-seed.ts';
import { temporaryDirectory } from '../../support/directory.ts';

const CONTENT = 'what was promised';

let directory: string;
let seed: string;
beforeEach(() => {
  directory = temporaryDirectory();
  seed = path.join(directory, 'disk.img');
  writeFileSync(seed, CONTENT);
});

/** The time of the file system, in nanoseconds. */
function fileSystemTime(): bigint {
  const file = path.join(directory, 'clock');
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

/** Whether the seed proves its chunk, when `happens` after it was cloned. */
async function proves(happens: () => void, onFound = async (): Promise<void> => {}): Promise<boolean> {
  const cloned = await beforeCloning({ path: seed, kind: 'image', name: 'image', size: CONTENT.length });
  if (cloned === undefined || cloned === 'gone') throw new Error('it can be cloned');
  const chunk = { index: 0 } as DiskChunk;
  const job: VerifyJob = {
    kind: 'verify',
    contentDigest: `sha256:${createHash('sha256').update(CONTENT).digest('hex')}`,
    contentSize: CONTENT.length,
    disk: seed,
    offset: 0,
  };
  const found: DiskChunk[] = [];
  await verifySeed(poolAfter(happens), cloned, new Map([[job, [chunk]]]), async (chunks) => {
    await onFound();
    found.push(...chunks);
  });
  return found.includes(chunk);
}

describe('the seed of a clone', () => {
  it('that is what was cloned proves what is in the clone', async () => {
    expect(await proves(() => undefined)).toBe(true);
  });

  it.each([
    ['was damaged when it was cloned, and repaired since', () => writeFileSync(seed, CONTENT)],
    [
      'was repaired, and its date set back',
      () => {
        writeFileSync(seed, CONTENT);
        utimesSync(seed, 1, 1);
      },
    ],
    [
      'is another file by now, of the same date',
      () => {
        const other = path.join(directory, 'other');
        writeFileSync(other, CONTENT);
        utimesSync(other, 1, 1);
        renameSync(other, seed);
      },
    ],
    ['is damaged', () => writeFileSync(seed, CONTENT.replace('p', 'P'))],
    ['became shorter', () => writeFileSync(seed, '')],
    ['is gone', () => rmSync(seed)],
  ])('that %s proves nothing, and is no error', async (_, happens) => {
    utimesSync(seed, 1, 1);
    // Clocks of file systems are coarse: two changes in one tick of them look like one.
    const { ctimeNs } = statSync(seed, { bigint: true });
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
    rmSync(seed);
    expect(await beforeCloning({ path: seed, kind: 'image', name: 'image', size: 1 })).toBe('gone');
  });

  it('that is a VM is not asked: it may be started at any time', async () => {
    expect(await beforeCloning({ path: seed, kind: 'vm', name: 'vm', size: 1 })).toBeUndefined();
  });
});
