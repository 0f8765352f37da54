import { stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { ignoreMissing } from '../fs/disk-error.ts';
import { listEntries } from '../fs/entry-names.ts';
import type { DataDirectory } from '../server/store/data-directory.ts';

/** What all records together may take, manifests among them: bytes, and files. */
export interface RecordBudget {
  readonly bytes: number;
  readonly files: number;
}

const BUDGET: RecordBudget = { bytes: 2 * 1024 ** 3, files: 500_000 };
/** What is left when they were too many: a share of the budget. */
const LEFT = 0.8;

interface Found {
  readonly file: string;
  readonly bytes: number;
  readonly age: number;
}

/**
 * Removes the oldest records of upstreams where they have become too many. Nothing is lost but time: what is not known
 * is asked for again.
 * @param now epoch milliseconds.
 */
export async function sweepRecords(directory: DataDirectory, now: number, budget = BUDGET): Promise<void> {
  const found: Found[] = [];
  for (const root of [directory.repositories, path.join(directory.root, 'records')]) {
    for await (const file of filesBelow(root)) {
      const stats = await stat(file).catch(ignoreMissing);
      if (stats !== undefined) found.push({ file, bytes: stats.size, age: now - stats.mtimeMs });
    }
  }
  let bytes = found.reduce((sum, each) => sum + each.bytes, 0);
  let files = found.length;
  if (bytes <= budget.bytes && files <= budget.files) return;
  for (const each of found.sort((one, other) => other.age - one.age)) {
    if (bytes <= budget.bytes * LEFT && files <= budget.files * LEFT) return;
    await unlink(each.file).catch(ignoreMissing);
    bytes -= each.bytes;
    files -= 1;
  }
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for (const entry of await listEntries(directory)) {
    const at = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(at);
    else yield at;
  }
}
