import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { type GuestRead, guestProgram, MOST_READ_BYTES, startOfDisk, sumOf } from './demo-guest.ts';

const MIB = 1024 ** 2;
/** What the guest reads of each place, and how long it is busy with each read. */
const READS_PER_PLACE = 8;
const PAUSE_US = 10_000;

/** How large the disk of the demo's guest is, and how many of its MiB the guest reads. */
export interface DemoDisk {
  /** Whole MiB. */
  readonly bytes: number;
  /** Places in which the guest reads half a MiB each. */
  readonly places: number;
}

/**
 * Fills a disk: what the firmware starts, and noise, of which the guest reads a little here and there.
 * @returns bytes that the guest reads.
 */
export async function fillDemoDisk(path: string, { bytes, places }: DemoDisk): Promise<number> {
  const reads: GuestRead[] = [];
  let sum = 0n;
  const handle = await open(path, 'r+');
  try {
    const touched = new Set(
      Array.from({ length: places }, (_, each) => 1 + Math.floor((each * (bytes / MIB - 1)) / places)),
    );
    for (let number = 0; number < bytes / MIB; number += 1) {
      const noise = randomBytes(MIB);
      await handle.write(noise, 0, MIB, number * MIB);
      if (!touched.has(number)) continue;
      const half = noise.subarray(0, READS_PER_PLACE * MOST_READ_BYTES);
      sum += sumOf(half);
      for (let read = 0; read < READS_PER_PLACE; read += 1) {
        const offset = number * MIB + read * MOST_READ_BYTES;
        reads.push({ offset, length: MOST_READ_BYTES, pauseUs: PAUSE_US });
      }
    }
    await handle.write(startOfDisk(bytes, guestProgram(reads, sum)), 0, undefined, 0);
  } finally {
    await handle.close();
  }
  return reads.length * MOST_READ_BYTES;
}
