import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const SCRIPTS = path.resolve(import.meta.dirname, '../../scripts');
const SOURCES = ['guest.mjs', 'guest/packages.mjs', 'guest/init.mjs', 'guest/padding.mjs'];

/**
 * The little guest of the tests (scripts/guest.mjs), built once for each version of the script and kept in the system's
 * temporary directory, since building it fetches packages.
 *
 * @returns a directory with config.json, disk.img and nvram.bin. Nothing may change it.
 */
export function builtGuest(architecture: 'amd64' | 'arm64'): string {
  const hash = createHash('sha256').update(architecture);
  for (const file of SOURCES) hash.update(readFileSync(path.join(SCRIPTS, file)));
  const directory = path.join(os.tmpdir(), `tartlet-guest-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(directory)) return directory;
  const making = `${directory}.${process.pid}`;
  execFileSync(process.execPath, [path.join(SCRIPTS, 'guest.mjs'), making, architecture], { stdio: 'pipe' });
  try {
    renameSync(making, directory);
  } catch (error) {
    // Another worker was first.
    if (!existsSync(directory)) throw error;
    rmSync(making, { recursive: true });
  }
  return directory;
}

/** Puts the little guest where a VM belongs. */
export function plantGuest(vmDirectory: string, architecture: 'amd64' | 'arm64' = 'amd64'): void {
  mkdirSync(path.dirname(vmDirectory), { recursive: true });
  cpSync(builtGuest(architecture), vmDirectory, { recursive: true });
}
