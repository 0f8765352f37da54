import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';

/* Looking into the disk of an image that is not here. */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const MIB = 1024 * 1024;
let user: Workplace;
let image: string;
let disk: Buffer;

beforeAll(async () => {
  const { port } = await startRealRegistry(cleanup, 'embedded');
  image = `127.0.0.1:${port}/team/vm:1`;
  user = new Workplace(cleanup);
  await createVm(user, 'vm', 8);
  const file = `${user.vmDirectory('vm')}/disk.img`;
  execFileSync('sfdisk', ['-q', file], { input: 'label: gpt\nstart=2048, size=4096, type=linux, name="root"\n' });
  disk = readFileSync(file);
  const { exitCode, stderr } = await user.run('push', '--pieces', 'vm', image);
  expect(exitCode, stderr).toBe(0);
});

/** The bytes that a command writes to stdout. */
async function bytesOf(...words: readonly string[]): Promise<Buffer> {
  const options = { env: user.environment, maxBuffer: 64 * MIB, encoding: 'buffer' } as const;
  return (await promisify(execFile)(process.execPath, [COMMAND, ...words], options)).stdout;
}

describe('cat', () => {
  it('writes the bytes that are asked for, of a VM and of an image in its registry', async () => {
    for (const name of ['vm', image]) {
      expect((await bytesOf('cat', name)).equals(disk)).toBe(true);
      const part = await bytesOf('cat', '--offset', String(MIB - 100), '--length', '300', name);
      expect(part.equals(disk.subarray(MIB - 100, MIB + 200))).toBe(true);
      expect(await bytesOf('cat', '--offset', String(disk.length), name)).toHaveLength(0);
    }
    expect((await user.run('list', '--source', 'oci', '--quiet')).stdout.trim()).toBe('');
  });

  it('refuses what is not on the disk, before a byte', async () => {
    const { exitCode, stdout, stderr } = await user.run('cat', '--offset', String(disk.length), '--length', '1', image);
    expect([exitCode, stdout]).toEqual([64, '']);
    expect(stderr).toContain(`a disk of ${disk.length} bytes has no 1 bytes at ${disk.length}`);
  });
});

describe('inspect --disk', () => {
  it('shows how a disk is divided, here and in its registry', async () => {
    for (const name of ['vm', image]) {
      const { stdout } = await user.run('inspect', '--disk', name);
      expect(stdout).toContain(`(${disk.length} bytes), GPT\n`);
      expect(stdout).toMatch(/^1 +1048576 +2 MB +Linux +root/m);
    }
    const { stdout } = await user.run('inspect', '--disk', '--format', 'json', '--remote', image);
    expect(JSON.parse(stdout)).toEqual({
      schema: 'tartlet.disk/v1',
      name: image,
      bytes: disk.length,
      table: 'gpt',
      partitions: [
        {
          number: 1,
          type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
          typeName: 'Linux',
          label: 'root',
          offset: MIB,
          size: 2 * MIB,
        },
      ],
    });
  });
});
