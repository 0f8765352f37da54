/**
 * L1: what clients of others read by NBD is what lies in the file, and what hostile ones send harms no other. Needs a
 * build, and of Debian libnbd-bin, python3-libnbd and qemu-utils.
 *
 *     npm run acceptance l1 [READS [MALFORMED]]
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { NbdServer } from '../../dist/nbd/nbd-server.js';
import { attack } from './l1/malformed.mjs';

const MIB = 1024 * 1024;
const BLOCK = 65536;
const run = promisify(execFile);

/** @returns the exit code. */
export async function main([reads = '5000', malformed = '10000']) {
  const work = mkdtempSync(`${tmpdir()}/tartlet-l1-`);
  const file = path.join(work, 'disk.raw');
  const socket = path.join(work, 'nbd.sock');
  const uri = `nbd+unix:///disk?socket=${socket}`;
  const options = { maxBuffer: 16 * MIB };
  const device = await makeDevice(file);
  const server = await NbdServer.listen(socket, [{ name: 'disk', device }]);
  /** @type {[string, () => Promise<boolean>][]} */
  const checks = [
    [
      'nbdinfo',
      async () =>
        JSON.parse((await run('nbdinfo', ['--json', uri], options)).stdout).exports[0]['export-size'] === device.size,
    ],
    ['nbdinfo --map', async () => mapSums((await run('nbdinfo', ['--map', '--json', uri], options)).stdout, device)],
    [
      'nbdcopy',
      async () => {
        await run('nbdcopy', [uri, path.join(work, 'copy')], options);
        return hashOf(path.join(work, 'copy')) === hashOf(file);
      },
    ],
    [
      'qemu-img compare',
      async () =>
        (await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', file, uri], options)).stdout.includes('identical'),
    ],
    [
      'qemu-io',
      async () =>
        (
          await run(
            'qemu-io',
            [
              '-r',
              '-f',
              'raw',
              '-c',
              `read -P 0 ${2 * MIB} ${MIB}`,
              '-c',
              'read 0 1',
              '-c',
              `read ${device.size - 512} 512`,
              uri,
            ],
            options,
          )
        ).stdout.match(/read [1-9]\d*\/[1-9]/g)?.length === 3,
    ],
    [
      `libnbd, ${reads} reads`,
      async () =>
        (
          await run(
            '/usr/bin/python3',
            [path.join(import.meta.dirname, 'l1/random-reads.py'), socket, file, reads, 'seed 1'],
            options,
          )
        ).stdout.includes(' 0 wrong'),
    ],
    [`${malformed} malformed cases`, async () => (await attack(socket, Number(malformed), 1)) === 0],
    // Alive after all that.
    [
      'nbdcopy again',
      async () => {
        await run('nbdcopy', [uri, path.join(work, 'copy')], options);
        return hashOf(path.join(work, 'copy')) === hashOf(file);
      },
    ],
  ];
  const failed = [];
  try {
    for (const [name, check] of checks) {
      const began = performance.now();
      const isGood = await check().catch((error) => {
        console.error(error.message);
        return false;
      });
      if (!isGood) failed.push(name);
      console.error(`${name}: ${isGood ? 'ok' : 'FAILED'}, ${Math.round(performance.now() - began)} ms`);
    }
  } finally {
    await server.close();
    await device.close();
    rmSync(work, { recursive: true, force: true });
  }
  const names = checks.map(([name]) => name).join(', ');
  console.log(`| L1 | equal to the file: ${names} | ${checks.length - failed.length}/${checks.length} |`);
  return failed.length === 0 ? 0 : 1;
}

/** A sparse file of 24 MiB and a bit, as a device that knows its holes. */
async function makeDevice(file) {
  const size = 24 * MIB + 512;
  const handle = await open(file, 'w+');
  await handle.truncate(size);
  for (const at of [0, 1, 5, 6, 7, 20]) await handle.write(randomBytes(MIB), 0, MIB, at * MIB);
  await handle.write(randomBytes(512), 0, 512, size - 512);
  const isHole = [];
  for (let at = 0; at < size; at += BLOCK) {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(BLOCK), 0, BLOCK, at);
    isHole.push(buffer.subarray(0, bytesRead).every((byte) => byte === 0));
  }
  return {
    size,
    extents: async ({ offset, length }) => {
      const found = [];
      for (let at = offset; at < offset + length; ) {
        const end = Math.min(offset + length, (Math.floor(at / BLOCK) + 1) * BLOCK);
        found.push({ kind: isHole[Math.floor(at / BLOCK)] ? 'hole' : 'data', offset: at, length: end - at });
        at = end;
      }
      return found;
    },
    ready: async () => undefined,
    read: async ({ offset, length }) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
    close: async () => handle.close(),
  };
}

function mapSums(text, { size }) {
  const extents = JSON.parse(text);
  const holes = extents.filter(({ type }) => type === 3).reduce((sum, { length }) => sum + length, 0);
  return extents.reduce((sum, { length }) => sum + length, 0) === size && holes === 18 * MIB;
}

function hashOf(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
