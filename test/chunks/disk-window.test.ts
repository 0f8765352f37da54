import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PIECE_BYTES, readWindow } from '../../src/chunks/disk-window.ts';
import { temporaryDirectory } from '../support/directory.ts';

const MODULE = path.resolve(import.meta.dirname, '../../dist/chunks/disk-window.js');
const KIB = 1024;

/**
 * Writes into a disk of `total` KiB where files may not grow beyond `limit`: the system takes the write that crosses it
 * in part.
 */
async function writeWithin(limit: number, total: number): Promise<string> {
  const disk = `${temporaryDirectory()}/disk.img`;
  writeFileSync(disk, Buffer.alloc(total * KIB));
  const script = `
    import { DiskWindow } from ${JSON.stringify(MODULE)};
    const window = new DiskWindow(${JSON.stringify(disk)}, [0], ${total * KIB}, true);
    try {
      window.write(Buffer.alloc(${total * KIB}, 7), false);
      console.log('written');
    } catch (error) {
      console.log(error.code);
    }`;
  const command = `ulimit -f ${limit}; exec "$0" --input-type=module --eval "$1"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', command, process.execPath, script]);
  return stdout.trim();
}

it('a write that the disk takes in part is not taken for a whole one (D6)', async () => {
  // The very last write crosses the limit, so that no later one could tell.
  expect(await writeWithin(300, 512)).toBe('DISK_UNSUPPORTED');
  expect(await writeWithin(512, 512)).toBe('written');
});

it('between two pieces of a disk that is read the thread does what else there is', async () => {
  const disk = `${temporaryDirectory()}/disk.img`;
  writeFileSync(disk, Buffer.alloc(8 * PIECE_BYTES));
  const reading = { turns: 0, isOver: false };
  const beside = async (): Promise<void> => {
    for (; !reading.isOver; reading.turns += 1) await setImmediate();
  };
  const turns = beside();
  let pieces = 0;
  for await (const _ of readWindow(disk, 0, 8 * PIECE_BYTES, new AbortController().signal)) pieces += 1;
  reading.isOver = true;
  await turns;
  expect(pieces).toBe(8);
  expect(reading.turns).toBeGreaterThanOrEqual(8);
});
