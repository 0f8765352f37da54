import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readIso } from '../../src/cloud-image/iso.ts';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { startRealRegistry } from '../support/real-registry.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 400_000;

const SECRET = 'plain-text-password';

/** A VM that is run in the background of a test. */
async function boot(workplace: Workplace, cleanup: Cleanup, name: string, ...flags: readonly string[]) {
  const run = workplace.start('run', name, ...flags);
  cleanup.add(async () => {
    run.kill('SIGKILL');
    await run.ended.catch(() => undefined);
  });
  const ip = await workplace.run('ip', name, '--wait', BOOTED_WITHIN_S);
  expect({ exitCode: ip.exitCode, stderr: ip.stderr }, run.stderr).toEqual({ exitCode: 0, stderr: '' });
  return run;
}

describeWithParts(
  'a VM from a cloud image with a seed for cloud-init',
  ['qemu-system-x86_64', 'ovmf', 'qemu-img', 'mformat', 'depmod'],
  () => {
    const cleanup = new Cleanup();
    let workplace: Workplace;
    const seedOf = (name: string): Record<string, string> =>
      Object.fromEntries(
        (readIso(readFileSync(`${workplace.vmDirectory(name)}/cloud-init.iso`)) ?? []).map((file) => [
          file.name,
          Buffer.from(file.content).toString(),
        ]),
      );

    beforeAll(async () => {
      workplace = new Workplace(cleanup);
      plantGuest(`${workplace.directory}/guest`);
      const qcow2 = `${workplace.directory}/guest.qcow2`;
      execFileSync('qemu-img', ['convert', '-O', 'qcow2', '-c', `${workplace.directory}/guest/disk.img`, qcow2]);
      writeFileSync(`${workplace.directory}/user-data`, `#cloud-config\npassword: ${SECRET}\n`);
      writeFileSync(`${workplace.directory}/network`, 'version: 2\n');
      const seed = [
        '--cloud-init',
        `${workplace.directory}/user-data`,
        '--network-config',
        `${workplace.directory}/network`,
      ];
      const created = await workplace.run(
        'create',
        '--linux',
        '--from-image',
        qcow2,
        ...seed,
        '--disk-size',
        '1',
        'web',
      );
      expect(created).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      await workplace.run('set', 'web', '--memory', '256', '--cpu', '1');
    }, LONG_MS);
    afterAll(async () => cleanup.run());

    it(
      'starts, and reads the seed as a disk by its label, which it cannot write',
      async () => {
        const run = await boot(workplace, cleanup, 'web');
        const script =
          'mount -t iso9660 -o ro /dev/vdb /mnt && cat /mnt/user-data /mnt/meta-data /mnt/network-config; ' +
          'cat /sys/block/vda/size /sys/block/vdb/ro';
        const read = await workplace.run('exec', 'web', 'sh', '-c', script);
        expect(read.stdout).toMatch(
          /^#cloud-config\npassword: .*\ninstance-id: "[0-9a-f-]{36}"\nlocal-hostname: "web"\nversion: 2\n1953125\n1\n$/,
        );
        // A clone that goes on from the memory is the guest that it was: cloud-init has done its work.
        await workplace.run('suspend', 'web');
        expect(await run.ended).toMatchObject({ exitCode: 0, stdout: 'Suspending VM...\n' });
        expect(await workplace.run('clone', 'web', 'warm')).toMatchObject({ exitCode: 0 });
        expect(seedOf('warm')).toEqual(seedOf('web'));
        const warm = await boot(workplace, cleanup, 'warm');
        expect((await workplace.run('exec', 'warm', 'cat', '/mnt/meta-data')).stdout).toBe(seedOf('web')['meta-data']);
        for (const name of ['warm', 'web']) {
          expect(await workplace.run('stop', name)).toMatchObject({ exitCode: 0, stdout: '' });
        }
        expect(await warm.ended).toMatchObject({ exitCode: 0 });
      },
      LONG_MS,
    );

    it('is for this user alone, and a clone has one of its own', async () => {
      expect(statSync(`${workplace.vmDirectory('web')}/cloud-init.iso`).mode & 0o777).toBe(0o600);
      expect(await workplace.run('clone', 'web', 'Job_7')).toMatchObject({ exitCode: 0 });
      expect(statSync(`${workplace.vmDirectory('Job_7')}/cloud-init.iso`).mode & 0o777).toBe(0o600);
      const [web, job] = [seedOf('web'), seedOf('Job_7')];
      expect(job['user-data']).toBe(web['user-data']);
      expect(job['network-config']).toBe('version: 2\n');
      expect(job['meta-data']).toMatch(/^instance-id: "[0-9a-f-]{36}"\nlocal-hostname: "job-7"\n$/);
      expect(job['meta-data']?.split('\n')[0]).not.toBe(web['meta-data']?.split('\n')[0]);
    });

    it('goes to no registry and into no archive, and stays with a VM that is renamed', async () => {
      const { port, data } = await startRealRegistry(cleanup, 'embedded');
      const image = `127.0.0.1:${port}/web:1`;
      expect(await workplace.run('push', 'web', image)).toMatchObject({ exitCode: 0 });
      expect(await workplace.run('clone', image, 'pulled')).toMatchObject({ exitCode: 0 });
      expect(readdirSync(workplace.vmDirectory('pulled'))).not.toContain('cloud-init.iso');
      expect(await workplace.run('export', 'web', `${workplace.directory}/web.tar`)).toMatchObject({ exitCode: 0 });
      for (const place of [data, `${workplace.directory}/web.tar`]) {
        expect(() => execFileSync('grep', ['-rqF', SECRET, place])).toThrow('grep');
      }
      expect(await workplace.run('rename', 'Job_7', 'job')).toMatchObject({ exitCode: 0 });
      expect(seedOf('job')['meta-data']).toContain('job-7');
    });
  },
);

describeWithParts(
  'a VM for arm64 from a cloud image',
  ['qemu-system-aarch64', 'qemu-efi-aarch64', 'mformat', 'depmod', 'xz'],
  () => {
    const cleanup = new Cleanup();
    afterAll(async () => cleanup.run());

    it(
      'M20: is refused in one line or emulated where that is asked for, has an address, runs commands, goes on from its memory, and stops',
      async () => {
        const workplace = new Workplace(cleanup);
        plantGuest(`${workplace.directory}/guest`, 'arm64');
        const packed = `${workplace.directory}/guest.raw.gz`;
        writeFileSync(
          packed,
          execFileSync('gzip', ['-1', '-c', `${workplace.directory}/guest/disk.img`], { maxBuffer: 2 ** 28 }),
        );
        expect(await workplace.run('create', '--from-image', packed, '--disk-size', '1', 'arm')).toMatchObject({
          exitCode: 0,
        });
        await workplace.run('set', 'arm', '--memory', '256', '--cpu', '1');
        // M20: in one line, and what helps in another.
        expect(await workplace.run('run', 'arm')).toMatchObject({
          exitCode: 1,
          stdout: '',
          stderr: expect.stringMatching(
            /^error\[HOST_LACKS\]: the VM "arm" is made for arm64, .*\nnext: .*--allow-emulation.*\n$/,
          ),
        });
        const first = await boot(workplace, cleanup, 'arm', '--allow-emulation');
        const left = await workplace.run('exec', 'arm', 'sh', '-c', 'uname -m; echo kept >/tmp/in-memory; exit 7');
        expect(left).toEqual({ exitCode: 7, stdout: 'aarch64\n', stderr: '' });
        expect(await workplace.run('suspend', 'arm')).toMatchObject({ exitCode: 0 });
        expect(await first.ended).toMatchObject({ exitCode: 0, stdout: 'Suspending VM...\n' });

        const second = await boot(workplace, cleanup, 'arm', '--allow-emulation');
        expect(await workplace.run('exec', 'arm', 'cat', '/tmp/in-memory')).toMatchObject({ stdout: 'kept\n' });
        expect(await workplace.run('stop', 'arm', '--timeout', '60')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
        expect(await second.ended).toMatchObject({
          exitCode: 0,
          stdout: 'Stopping VM...\nguest has stopped the virtual machine\n',
        });
        // The firmware's variables are kept in their own file, as small as it was.
        expect(statSync(`${workplace.vmDirectory('arm')}/nvram.bin`).size).toBe(768 * 1024);
        expect(readdirSync(workplace.vmDirectory('arm')).filter((name) => /\.fd$|sock$|^state/.test(name))).toEqual([]);
      },
      LONG_MS,
    );
  },
);
