import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PushJob } from '../../src/chunks/chunk-job.ts';
import { pushChunk } from '../../src/chunks/chunk-push.ts';
import { Stopwatch } from '../../src/chunks/time-spent.ts';
import type { BlobFetcher, BlobPusher } from '../../src/registry/contract.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** Zeros are encoded like anything else where they are asked for. */
const EXTENT = 24 * 1024 * 1024;

/** Two extents of a disk as jobs of one thread, and a registry that has nothing; what happens, in its order. */
function twoJobs(change: (first: PushJob) => PushJob = (first) => first) {
  const directory = temporaryDirectory();
  const disk = path.join(directory, 'disk');
  writeFileSync(disk, '');
  truncateSync(disk, 2 * EXTENT);
  const happened: string[] = [];
  const job = (which: string, offset: number): PushJob => ({
    kind: 'push',
    disk,
    offset,
    contentSize: EXTENT,
    spool: path.join(directory, which),
    zeros: 'send',
    uploadChunkBytes: undefined,
    sendAnyway: false,
  });
  const run = async (which: string, each: PushJob) => {
    const client: BlobFetcher & BlobPusher = {
      blob: () => {
        throw new Error('nothing is read');
      },
      blobExists: async () => {
        happened.push(`${which} is encoded`);
        return false;
      },
      mountBlob: async () => false,
      uploadBlob: async ({ size, open }) => {
        let sent = 0;
        const body = open(0, size);
        if (body instanceof Uint8Array) sent = body.length;
        else for await (const bytes of body) sent += bytes.length;
        happened.push(sent === size ? `${which} is sent` : `${sent} of ${size} bytes are sent of ${which}`);
      },
    };
    const onWork = (): void => {
      if (happened.at(-1) !== `${which} is read`) happened.push(`${which} is read`);
    };
    const { signal } = new AbortController();
    return pushChunk(each, { client, signal, onBytes: () => undefined, onWork, stopwatch: new Stopwatch() });
  };
  return {
    happened,
    first: () => run('first', change(job('first', 0))),
    second: () => run('second', job('second', EXTENT)),
  };
}

describe('extents that one thread was given', () => {
  it('are encoded one after the other, so that the first is sent before all are encoded', async () => {
    const { happened, first, second } = twoJobs();
    const results = await Promise.all([first(), second()]);
    expect(results.map((result) => result.outcome)).toEqual(['uploaded', 'uploaded']);
    expect(happened.slice(0, 2)).toEqual(['first is read', 'first is encoded']);
    expect(happened.indexOf('second is read')).toBeGreaterThan(1);
  });

  it('wait for none that failed', async () => {
    const { first, second } = twoJobs((job) => ({ ...job, disk: `${job.disk}-gone` }));
    const [failed, done] = await Promise.allSettled([first(), second()]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: expect.stringMatching(/^DISK_/) } });
    expect(done).toMatchObject({ status: 'fulfilled', value: { outcome: 'uploaded' } });
  });
});
