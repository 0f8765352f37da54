import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'vitest';
import { markUnmodified, markedState } from '../../src/home/unmodified-marker.ts';
import { OurFile } from '../../src/home/home-entry.ts';
import { Digest } from '../../src/names/digest.ts';
import { leaveOut } from './left-out.ts';

/**
 * Names in the directory of an image, without the unmodified marker of its disk: whether there is one, the file system
 * decides.
 */
export function namesBesideSeal(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name !== OurFile.marker)
    .sort();
}

let known: Promise<boolean> | undefined;

/**
 * Leaves a test out, with a word, where the times of files prove nothing: elsewhere than on Linux, or with temporary
 * files in memory.
 */
export async function needsSeals(context: TestContext): Promise<void> {
  known ??= canSeal();
  leaveOut(context, !(await known), `no disk can be marked in ${os.tmpdir()}`);
}

async function canSeal(): Promise<boolean> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-test-'));
  try {
    writeFileSync(`${directory}/disk.img`, 'disk');
    const manifest = Digest.sha256('0'.repeat(64));
    await markUnmodified(directory, manifest, process.platform);
    return (await markedState(directory, manifest, process.platform)) !== undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
