import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOUD_DISK_BYTES, digestOfBeginning, makeCloudDisk } from '../support/cloud-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Running, COMMAND, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const GB = 1_000_000_000;

describeWithParts('create --from-image', ['qemu-img', 'sfdisk', 'mformat', 'xz', 'zstd'], () => {
  const cleanup = new Cleanup();
  let images: string;
  let workplace: Workplace;
  let disk: string;
  let digest: string;

  beforeAll(async () => {
    images = cleanup.directory();
    workplace = new Workplace(cleanup);
    disk = `${images}/disk.raw`;
    makeCloudDisk(disk, { loaders: ['BOOTX64.EFI'] });
    digest = await digestOfBeginning(disk, CLOUD_DISK_BYTES);
  });
  afterAll(async () => cleanup.run());

  const create = async (image: string, ...args: readonly string[]): Promise<Ran> =>
    workplace.run('create', '--linux', '--from-image', image, '--disk-size', '1', 'vm', ...args);
  const convert = (to: string, ...args: readonly string[]): string => {
    execFileSync('qemu-img', ['convert', ...args, disk, `${images}/${to}`]);
    return `${images}/${to}`;
  };
  const pack = (program: string, to: string, from = disk): string => {
    writeFileSync(`${images}/${to}`, execFileSync(program, ['-c', from], { maxBuffer: 2 ** 30 }));
    return `${images}/${to}`;
  };
  const configOf = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(`${workplace.vmDirectory(name)}/config.json`, 'utf8')) as Record<string, unknown>;

  it.each([
    ['qcow2', () => convert('plain.qcow2', '-O', 'qcow2')],
    ['qcow2 with clusters of zlib', () => convert('zlib.qcow2', '-O', 'qcow2', '-c')],
    ['qcow2 with clusters of zstd', () => convert('zstd.qcow2', '-O', 'qcow2', '-c', '-o', 'compression_type=zstd')],
    ['qcow2 of version 2', () => convert('old.qcow2', '-O', 'qcow2', '-o', 'compat=0.10')],
    ['a raw disk', () => disk],
    ['a raw disk packed by gzip', () => pack('gzip', 'disk.raw.gz')],
    ['a raw disk packed by xz', () => pack('xz', 'disk.raw.xz')],
    ['a raw disk packed by zstd', () => pack('zstd', 'disk.raw.zst')],
    ['qcow2 packed by gzip', () => pack('gzip', 'again.qcow2.gz', convert('again.qcow2', '-O', 'qcow2'))],
  ])(
    'makes a VM from %s: its bytes, grown to the size that was asked for, and holes where nothing is',
    async (_, make) => {
      expect(await create(make(), '-q')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      const made = `${workplace.vmDirectory('vm')}/disk.img`;
      expect(await digestOfBeginning(made, CLOUD_DISK_BYTES)).toBe(digest);
      expect(statSync(made).size).toBe(GB);
      expect(statSync(made).blocks * 512).toBeLessThan(CLOUD_DISK_BYTES / 2);
      expect(configOf('vm')).toMatchObject({ os: 'linux', arch: 'amd64', diskFormat: 'raw' });
      expect(readdirSync(workplace.vmDirectory('vm')).toSorted()).toEqual([
        '.origin.json',
        'config.json',
        'disk.img',
        'nvram.bin',
      ]);
    },
  );

  it.each([
    ['amd64, in a FAT of 12 bits', { loaders: ['BOOTX64.EFI'], espMib: 2 }, 'amd64'],
    ['arm64, in a FAT of 16 bits', { loaders: ['BOOTAA64.EFI'], espMib: 16 }, 'arm64'],
    ['arm64, in a FAT of 32 bits', { loaders: ['grubaa64.efi', 'BOOTAA64.EFI'], espMib: 40 }, 'arm64'],
    ['arm64, by a table of the old kind', { loaders: ['bootaa64.efi'], table: 'mbr' }, 'arm64'],
  ] as const)('knows by its EFI partition that a disk is for %s', async (title, made, arch) => {
    const file = `${images}/${title.replaceAll(/\W+/g, '-')}.raw`;
    makeCloudDisk(file, made);
    expect(await create(file, '-q')).toMatchObject({ exitCode: 0 });
    expect(configOf('vm')).toMatchObject({ arch });
  });

  it('asks for which processor a disk is that does not say it, and believes no other word than its own', async () => {
    const [none, both] = [`${images}/none.raw`, `${images}/both.raw`];
    makeCloudDisk(none, { loaders: [] });
    makeCloudDisk(both, { loaders: ['BOOTX64.EFI', 'BOOTAA64.EFI'] });
    expect(await create(none)).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('none.raw does not say for which processors it is: UEFI finds nothing to start'),
    });
    expect(await create(none, '--arch', 'arm64')).toMatchObject({ exitCode: 0 });
    expect(configOf('vm')).toMatchObject({ arch: 'arm64' });
    expect(await create(both, '--arch', 'arm64')).toMatchObject({ exitCode: 0 });
    expect(configOf('vm')).toMatchObject({ arch: 'arm64' });
    expect(await create(disk, '--arch', 'arm64')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('disk.raw is for amd64, and not for arm64'),
    });
  });

  const patched = (name: string, at: number, bytes: readonly number[]): string => {
    const file = convert(name, '-O', 'qcow2');
    const handle = openSync(file, 'r+');
    writeSync(handle, Buffer.from(bytes), 0, bytes.length, at);
    closeSync(handle);
    return file;
  };
  const backed = (): string => {
    const file = `${images}/backed.qcow2`;
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', file, '1M']);
    return file;
  };
  const withDataFile = (): string => {
    const file = `${images}/outside.qcow2`;
    const options = `data_file=${images}/outside.data,data_file_raw=on`;
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, file, '1M']);
    return file;
  };
  const written = (name: string, text: string, at = 0): string => {
    const bytes = Buffer.alloc(96 * 1024);
    bytes.write(text, at, 'latin1');
    writeFileSync(`${images}/${name}`, bytes);
    return `${images}/${name}`;
  };
  const bomb = (): string => {
    writeFileSync(`${images}/bomb`, '');
    truncateSync(`${images}/bomb`, 1.2 * GB);
    return pack('zstd', 'bomb.zst', `${images}/bomb`);
  };

  describe('is refused (S76), and nothing is made', () => {
    it.each([
      ['a backing file, which could be any of this machine', backed, 'a difference to another file, its backing file'],
      ['a data file, which could be any of this machine', withDataFile, 'its data is in another file'],
      ['an encrypted image', () => patched('encrypted.qcow2', 32, [0, 0, 0, 2]), 'it is encrypted'],
      ['a damaged one', () => patched('damaged.qcow2', 79, [2]), 'it says of itself that it is damaged'],
      ['one of the future', () => patched('future.qcow2', 72, [1]), 'it has features that are not known'],
      ['tables that lead nowhere', () => patched('nowhere.qcow2', 47, [1]), 'qemu-img cannot read it'],
      ['VMDK', () => convert('disk.vmdk', '-O', 'vmdk'), 'it is in the format VMDK of VMware'],
      ['VDI', () => convert('disk.vdi', '-O', 'vdi'), 'it is in the format VDI of VirtualBox'],
      ['VHDX', () => convert('disk.vhdx', '-O', 'vhdx'), 'it is in the format VHDX of Hyper-V'],
      ['a CD', () => written('cd.iso', '\x01CD001', 0x8000), 'it is a CD image, from which a system is installed'],
      ['a page of a website', () => written('page.img', '<!DOCTYPE html>'), 'it is neither qcow2 nor a raw disk'],
      ['what is packed and damaged', () => written('bad.gz', '\x1f\x8b\x08\x00 no'), 'it is damaged'],
      ['what is packed by xz and damaged', () => written('bad.xz', '\xfd7zXZ\0 no'), 'xz cannot unpack it'],
      ['what is packed twice', () => pack('xz', 'twice.xz', pack('gzip', 'twice.gz')), 'it is packed twice'],
      ['what unpacks to more than its disk may have', bomb, 'the disk of bomb.zst is larger than 1.0 GB'],
    ])('%s', async (_, make, why) => {
      const fresh = new Workplace(cleanup);
      const image = make();
      const ran = await fresh.run('create', '--linux', '--from-image', image, '--disk-size', '1', 'vm');
      expect(ran).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining(why) });
      expect(await fresh.names()).toEqual([]);
      expect(fresh.visibleFiles().filter((file) => file.startsWith('tmp/'))).toEqual([]);
    });
  });

  it('refuses an image that is larger than the disk shall be, and leaves the VM of that name alone', async () => {
    await create(disk);
    const large = `${images}/large.qcow2`;
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', large, '2G']);
    const before = readFileSync(`${workplace.vmDirectory('vm')}/config.json`);
    expect(await create(large)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/the disk of large\.qcow2 is larger than 1\.0 GB[\s\S]*--disk-size GB/),
    });
    expect(readFileSync(`${workplace.vmDirectory('vm')}/config.json`)).toEqual(before);
  });

  it('takes an image only when it is the one of its digest', async () => {
    const bytes = readFileSync(disk);
    const [sha256, sha512] = ['sha256', 'sha512'].map((name) => createHash(name).update(bytes).digest('hex'));
    for (const right of [`sha256:${sha256}`, `sha512:${sha512}`, sha256 ?? '', sha512?.toUpperCase() ?? '']) {
      expect(await create(disk, '--digest', right)).toMatchObject({ exitCode: 0 });
    }
    expect(await create(disk, '--digest', `sha256:${'0'.repeat(64)}`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('is not the image that its digest is of'),
    });
    expect(await create(disk, '--digest', 'md5:1')).toMatchObject({ exitCode: 1 });
    expect(await workplace.run('create', '--linux', '--digest', sha256 ?? '', 'vm')).toMatchObject({ exitCode: 64 });
  });

  it('says what to install where there is no qemu-img', async () => {
    const image = convert('here.qcow2', '-O', 'qcow2');
    const args = [COMMAND, 'create', '--linux', '--from-image', image, 'vm'];
    const ran = await new Running(process.execPath, args, { ...workplace.environment, PATH: '/nowhere' }).ended;
    expect(ran).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('install qemu-utils (Debian, Ubuntu)') });
  });

  it('says of a file that is not there, and of a directory, what they are', async () => {
    expect(await create(`${images}/none`)).toMatchObject({ stderr: expect.stringContaining('none does not exist') });
    expect(await create(images)).toMatchObject({ stderr: expect.stringContaining('is no file') });
    expect(existsSync(workplace.home)).toBe(true);
  });
});
