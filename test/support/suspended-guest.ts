import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { builtGuest } from './guest.ts';
import { Cleanup } from './real-cleanup.ts';
import { Workplace } from './real-command.ts';

const DIST = path.resolve(import.meta.dirname, '../../dist');
/** Seconds. Emulated, and on a busy machine. */
const BOOTED_WITHIN = '300';

/**
 * The little guest, up and then suspended: what begins here is up within a second. Made once for each build of the
 * command, since another build may make another machine, and kept in the system's temporary directory.
 *
 * @returns the directory of the VM. Nothing may change it.
 */
async function suspendedGuest(): Promise<string> {
  const hash = createHash('sha256').update(builtGuest('amd64'));
  for (const file of readdirSync(DIST, { recursive: true, encoding: 'utf8' }).toSorted()) {
    if (file.endsWith('.js')) hash.update(readFileSync(path.join(DIST, file)));
  }
  const directory = path.join(os.tmpdir(), `tartlet-suspended-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(directory)) return directory;
  const cleanup = new Cleanup();
  try {
    const workplace = new Workplace(cleanup);
    copyVm(builtGuest('amd64'), workplace.vmDirectory('guest'));
    const run = workplace.start('run', 'guest');
    const up = await workplace.run('ip', 'guest', '--wait', BOOTED_WITHIN);
    if (up.exitCode !== 0) throw new Error(`the guest does not start: ${run.stderr}${up.stderr}`);
    await workplace.run('suspend', 'guest');
    const ended = await run.ended;
    if (ended.exitCode !== 0) throw new Error(`the guest cannot be suspended: ${ended.stderr}`);
    copyVm(workplace.vmDirectory('guest'), `${directory}.${process.pid}`);
    renameSync(`${directory}.${process.pid}`, directory);
  } catch (error) {
    // Another worker was first.
    if (!existsSync(directory)) throw error;
    rmSync(`${directory}.${process.pid}`, { recursive: true, force: true });
  } finally {
    await cleanup.run();
  }
  return directory;
}

/** Puts the little guest where a VM belongs, suspended when it was up. */
export async function plantSuspendedGuest(vmDirectory: string): Promise<void> {
  copyVm(await suspendedGuest(), vmDirectory);
}

/** With the times to the last digit: by them it is told whether a disk was written to. */
function copyVm(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  execFileSync('cp', ['-a', '--sparse=always', '--reflink=auto', from, to]);
}
