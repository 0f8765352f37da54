import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import type { Ran, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { startSeededRegistry } from '../support/real-seed.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 400_000;
const MIB = 1024 * 1024;

describeWithParts(
  'disks of a VM that runs on Linux',
  ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'],
  () => {
    const cleanup = new Cleanup();
    let workplace: Workplace;
    let run: Running;
    let image: string;
    const at = (name: string): string => `${workplace.directory}/${name}`;

    beforeAll(async () => {
      const seeded = await startSeededRegistry(cleanup);
      workplace = seeded.sender;
      image = seeded.name;
      expect(await workplace.run('pull', image)).toMatchObject({ exitCode: 0 });
      plantGuest(workplace.vmDirectory('ci'));
      for (const name of ['extra.img', 'records.img', 'nbd.img']) {
        writeFileSync(at(name), '');
        truncateSync(at(name), 16 * MIB);
      }
      execFileSync('mkfs.ext4', ['-q', '-F', at('extra.img')], { stdio: 'ignore' });
      await serveByNbd(at('nbd.img'), at('nbd.sock'));
    }, LONG_MS);
    afterAll(async () => cleanup.run());

    async function serveByNbd(file: string, socket: string): Promise<void> {
      const server: ChildProcess = spawn('qemu-nbd', ['-t', '-f', 'raw', '-k', socket, file], { stdio: 'ignore' });
      cleanup.add(async () => {
        server.kill('SIGKILL');
      });
      while (!existsSync(socket)) await delay(20);
    }

    async function inGuest(script: string): Promise<Ran> {
      return workplace.run('exec', 'ci', 'sh', '-c', script);
    }

    it(
      'M2: a guest gets files, an NBD server and a copy of a cached image as disks, and its own read-only',
      async () => {
        run = workplace.start(
          'run',
          'ci',
          '--no-graphics',
          '--root-disk-opts',
          'ro',
          `--disk=${at('extra.img')}`,
          '--disk',
          image,
          '--disk',
          `nbd+unix:///?socket=${at('nbd.sock')}`,
          '--disk',
          `${at('records.img')}:sync=full`,
        );
        const { ended, child } = run;
        cleanup.add(async () => {
          child.kill('SIGKILL');
          await ended.catch(() => undefined);
        });
        expect(await workplace.run('ip', 'ci', '--wait', BOOTED_WITHIN_S), run.stderr).toMatchObject({ exitCode: 0 });
        expect(await inGuest('cd /sys/block; cat vda/ro vdb/ro vdc/ro vdd/ro vde/ro')).toMatchObject({
          stdout: '1\n0\n0\n0\n0\n',
        });
        expect(await inGuest('echo served >/dev/vdd && sync && head -c 6 /dev/vdd')).toMatchObject({
          stdout: 'served',
        });
        expect(readFileSync(at('nbd.img')).subarray(0, 6).toString()).toBe('served');
      },
      LONG_MS,
    );

    it('what the guest writes to the copy of an image stays in the copy, which a running VM keeps', async () => {
      expect(await inGuest('echo changed >/dev/vdc && sync && head -c 7 /dev/vdc')).toMatchObject({
        stdout: 'changed',
      });
      expect(await workplace.run('delete', image)).toMatchObject({ exitCode: 0 });
      expect(await inGuest('echo 3 >/proc/sys/vm/drop_caches; head -c 7 /dev/vdc')).toMatchObject({
        stdout: 'changed',
      });
      expect(readdirSync(`${workplace.home}/tmp`)).toHaveLength(1);
      expect(await workplace.run('suspend', 'ci')).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('a disk of it is a copy of an image, which is thrown away with this run'),
      });
    });

    it('what the guest discards is given back to the file system of this machine', async () => {
      const before = statSync(at('extra.img')).blocks;
      const fill =
        'mkdir -p /x && mount -t ext4 /dev/vdb /x && dd if=/dev/urandom of=/x/f bs=1M count=8 2>/dev/null && sync';
      expect(await inGuest(fill)).toMatchObject({ exitCode: 0 });
      const full = statSync(at('extra.img')).blocks;
      expect((full - before) * 512).toBeGreaterThanOrEqual(8 * MIB);
      expect(await inGuest('rm /x/f && sync && fstrim /x && umount /x')).toMatchObject({ exitCode: 0 });
      expect((full - statSync(at('extra.img')).blocks) * 512).toBeGreaterThanOrEqual(7 * MIB);
    });

    it('a disk that a VM uses is not given to another one', async () => {
      plantGuest(workplace.vmDirectory('other'));
      expect(await workplace.run('run', 'other', '--disk', at('extra.img'))).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/another program uses the disk|extra\.img/),
      });
    });

    it(
      'records that the guest had on the disk are there when QEMU is killed, and nothing else is left',
      async () => {
        const written = await inGuest(
          'echo record >/r; dd if=/r of=/dev/vde bs=512 seek=7 conv=fsync 2>/dev/null; echo $?',
        );
        expect(written).toMatchObject({ stdout: '0\n' });
        process.kill(qemuIn(workplace.vmDirectory('ci')), 'SIGKILL');
        expect(await run.ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ended by SIGKILL') });
        expect(
          readFileSync(at('records.img'))
            .subarray(7 * 512, 7 * 512 + 6)
            .toString(),
        ).toBe('record');
        expect(readdirSync(`${workplace.home}/tmp`)).toEqual([]);
      },
      LONG_MS,
    );
  },
);

/** The QEMU that works in a directory. */
function qemuIn(directory: string): number {
  const found = readdirSync('/proc').find((pid) => {
    try {
      const isThere = /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === directory;
      return isThere && readlinkSync(`/proc/${pid}/exe`).includes('qemu-system');
    } catch {
      return false; // Gone, or dead and not yet buried.
    }
  });
  return Number(found);
}
