import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

describeWithParts(
  'a guest that begins before its image is here',
  ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'],
  () => {
    it('is ready over a slow link long before the image could have come', { timeout: 400_000 }, async () => {
      const words = ['l3', '--guest', 'tiny', '--padding', '280', '--quick', '100'];
      const { stdout } = await run(process.execPath, ['scripts/acceptance.mjs', ...words], { cwd: ROOT });
      expect(stdout).toContain('| met |');
    });
  },
);
