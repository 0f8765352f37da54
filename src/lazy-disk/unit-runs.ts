import type { ByteRange } from '../fs/disk/read-range.ts';
import type { DiskUnits } from '../transfer/fill/disk-units.ts';

/** As many units are a GiB at the most: a request of NBD has 32 bits for its length. */
const MOST_IN_RUN = 1024;

/** Numbers of units that follow each other, together, as far as one request can name them. @param numbers ascending. */
export function runsOf(numbers: readonly number[]): readonly (readonly number[])[] {
  const runs: number[][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.at(-1) === number - 1 && run.length < MOST_IN_RUN) run.push(number);
    else runs.push([number]);
  }
  return runs;
}

/** Where a run of {@link runsOf} lies on the disk. */
export function rangeOf(units: DiskUnits, run: readonly number[]): ByteRange {
  const [first, last] = [units.unit(run[0] ?? 0), units.unit(run.at(-1) ?? 0)];
  return { offset: first.offset, length: last.offset + last.length - first.offset };
}
