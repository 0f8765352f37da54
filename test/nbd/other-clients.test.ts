import { execFile } from 'node:child_process';
import { chmodSync, lstatSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { NbdServer } from '../../src/nbd/nbd-server.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { MemoryDevice } from '../support/memory-device.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

it('gives nbdinfo, nbdcopy, qemu-img, qemu-io and libnbd what is in the file, also after hostile clients (S98)', async () => {
  const { stdout } = await run(process.execPath, ['scripts/acceptance.mjs', 'l1', '500', '2000'], { cwd: ROOT });
  expect(stdout).toContain('| 8/8 |');
});

it('listens where no other user can connect, whatever the length of the path, and removes the socket', async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  const place = path.join(directory, 'x'.repeat(120));
  const server = await NbdServer.listen(place, [{ name: '', device: new MemoryDevice(Buffer.alloc(512)) }]);
  onTestFinished(async () => server.close());
  expect((lstatSync(place).mode & 0o777).toString(8)).toBe('600');
  await server.close();
  expect(() => lstatSync(place)).toThrow('ENOENT');
});
