import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'vitest';
import { sealDisk, sealedState } from '../../src/home/disk-seal.ts';
import { OurFile } from '../../src/home/home-entry.ts';
import { Digest } from '../../src/names/digest.ts';
import { leaveOut } from './left-out.ts';

/** Names in the folder of an image, without the seal of its disk: whether there is one, the file system decides. */
export function namesBesideSeal(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== OurFile.seal)
    .sort();
}

let known: Promise<boolean> | undefined;

/** Leaves a test out, with a word, where the times of files prove nothing: elsewhere than on Linux, or with temporary files in memory. */
export async function needsSeals(context: TestContext): Promise<void> {
  known ??= canSeal();
  leaveOut(context, !(await known), `no disk can be sealed in ${os.tmpdir()}`);
}

async function canSeal(): Promise<boolean> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tartlet-test-'));
  try {
    writeFileSync(`${folder}/disk.img`, 'disk');
    const manifest = Digest.sha256('0'.repeat(64));
    await sealDisk(folder, manifest, process.platform);
    return (await sealedState(folder, manifest, process.platform)) !== undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
