import { spawn } from 'node:child_process';
import { TartletError } from '../errors.ts';
import { findProgram, SYSTEM_ENVIRONMENT } from '../fs/system-program.ts';
import { removeEntry } from '../fs/remove.ts';
import { fsyncDirectory, fsyncFile } from '../fs/fsync.ts';
import { moveEntry } from '../fs/entry.ts';
import { exists } from '../fs/stats.ts';
import { LazyFile } from '../home/home-entry.ts';
import { cleanText } from '../registry/request/redact.ts';

const MAX_WORDS = 1024;

/**
 * Makes the file for what a guest writes, empty, unless it is there: a qcow2 image of the size of the disk. What it
 * lies above is told to QEMU at each start, and stands nowhere in it.
 *
 * @param directory of the VM.
 * @param searchPath the environment's `PATH`.
 * @throws TartletError `HOST_LACKS` without `qemu-img`, `DISK_IO`
 */
export async function makeOverlay(directory: string, diskBytes: number, searchPath: string): Promise<void> {
  const overlay = `${directory}/${LazyFile.overlay}`;
  if (await exists(overlay)) return;
  const program = await findProgram(searchPath, 'qemu-img');
  if (program === undefined) {
    throw new TartletError('HOST_LACKS', 'a VM begins before its disk is here by qemu-img, which is not installed', {
      next: { kind: 'install-qemu-img' },
    });
  }
  // Under another name until it is whole: half of one would be taken for what the guest wrote.
  const making = LazyFile.newOverlay;
  await removeEntry(`${directory}/${making}`);
  const argv = ['create', '-q', '-f', 'qcow2', making, String(diskBytes)];
  const child = spawn(program, argv, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'], env: SYSTEM_ENVIRONMENT });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-MAX_WORDS);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (status !== 0) {
    const said = cleanText(words.trim().split('\n').at(-1) ?? '');
    throw new TartletError('DISK_IO', `qemu-img cannot make ${overlay}: ${said}`, { subject: overlay });
  }
  await fsyncFile(`${directory}/${making}`);
  await moveEntry(`${directory}/${making}`, overlay);
  await fsyncDirectory(directory);
}
