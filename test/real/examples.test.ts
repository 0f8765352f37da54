import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRegistry, type Registry } from '../../src/entry/server.ts';
import { openTartlet, type Tartlet } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directory.ts';

/* The programs of examples/, compiled in strict mode against the built declarations and run as their users run them. */

const root = path.resolve(import.meta.dirname, '../..');
const SECTOR = 512;
const DISK_BYTES = 8 * 1024 ** 2;

beforeAll(() => {
  const compiler = path.join(root, 'node_modules/typescript7/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', 'examples'], { cwd: root });
});

let registry: Registry;

afterAll(async () => registry.close());

/** A registry with one image, whose disk has one partition of 1 MiB that is called `root`. */
async function image(): Promise<{ readonly name: string; readonly home: string; readonly tartlet: Tartlet }> {
  registry = createRegistry({ dataDirectory: `${temporaryDirectory()}/data` });
  const { address, port } = await registry.listen();
  const home = `${temporaryDirectory()}/home`;
  const tartlet = openTartlet({ home, environment: {} });
  await tartlet.create('made', { diskBytes: DISK_BYTES, arch: 'amd64' });
  writeFileSync(`${home}/vms/made/disk.img`, partitionedDisk());
  const name = `${address}:${port}/linux/example`;
  await tartlet.push('made', [`${name}:1`, `${name}:2`]);
  return { name, home, tartlet };
}

function partitionedDisk(): Buffer {
  const disk = Buffer.concat([Buffer.alloc(DISK_BYTES - 4096), randomBytes(4096)]);
  disk.write('EFI PART', SECTOR, 'latin1');
  disk.writeBigUInt64LE(2n, SECTOR + 72);
  disk.writeUInt32LE(128, SECTOR + 80);
  disk.writeUInt32LE(128, SECTOR + 84);
  const entry = 2 * SECTOR;
  disk.writeBigUInt64LE(2048n, entry + 32);
  disk.writeBigUInt64LE(4095n, entry + 40);
  disk.write('root', entry + 56, 'utf16le');
  return disk;
}

async function run(example: string, home: string, ...argv: string[]): Promise<{ stdout: string; stderr: string }> {
  const program = path.join(root, '.examples', `${example}.js`);
  const { PATH } = process.env;
  return promisify(execFile)(process.execPath, [program, ...argv], { env: { PATH, HOME: home, TART_HOME: home } });
}

it('does what each example says', async () => {
  const { name, home, tartlet } = await image();

  expect((await run('registry-in-a-test', home)).stdout).toMatch(/^pushed and pulled sha256:[0-9a-f]{64}\n$/);

  const elsewhere = `${temporaryDirectory()}/elsewhere`;
  const pulled = await run('pull-and-clone', elsewhere, `${name}:1`, 'job');
  expect(pulled.stdout).toMatch(/^\npulled sha256:[0-9a-f]{64}; job is a (copy|clone) of it\n$/);
  expect(pulled.stderr).toContain(`${'#'.repeat(40)} 100 % at`);
  expect(existsSync(`${elsewhere}/vms/job/disk.img`)).toBe(true);

  const copied = await run('copy-between-registries', home, name, `${name}-copy`);
  expect(copied.stdout).toMatch(/^1: sha256:[0-9a-f]{64}, \d+ bytes sent\n2: sha256:[0-9a-f]{64}, 0 bytes sent\n$/);

  expect((await run('partition-table', home, `${name}:1`)).stdout).toBe('root: 1048576 bytes at 1048576\n');

  const report = await run('doctor-report', home, '--deep');
  expect(JSON.parse(report.stdout)).toEqual({ home, problems: [] });
  await tartlet.close();
});
