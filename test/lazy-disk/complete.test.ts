import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { FileLock } from '../../src/fs/lock/lock.ts';
import { Home } from '../../src/home/home.ts';
import { makeOverlay, overlayBytes } from '../../src/lazy-disk/arrival/overlay.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { Session } from '../../src/session/session.ts';
import { cloneVm } from '../../src/vm/clone.ts';
import { setVm } from '../../src/vm/set.ts';
import { LAZY_IMAGE, LazyVm } from '../support/lazy-vm.ts';
import { pretendRun } from '../support/pretend-run.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { startRealRegistry } from '../support/real-registry.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const MIB = 1024 * 1024;
const KIB = 1024;

const WHOLE = ['.base-manifest.json', '.origin.json', 'config.json', 'disk.img', 'nvram.bin'];

/** What is there once the disk is. */
function expectWhole(vm: LazyVm, disk: Uint8Array, name = 'ci'): void {
  const directory = vm.workplace.vmDirectory(name);
  const names = readdirSync(directory).filter((entry) => entry !== '.last-used' && entry !== '.disk-seal.json');
  expect(names.sort()).toStrictEqual(WHOLE);
  const found = readFileSync(`${directory}/disk.img`);
  expect(found.length).toBe(disk.length);
  expect(found.equals(disk)).toBe(true);
}

/** What a guest writes, discards and zeroes, and the disk that this makes. */
const WRITES = [
  'write -P 0xab 0 64k',
  'write -P 0xcd 700k 4k',
  'discard 128k 64k',
  'write -z 256k 64k',
  'write -P 0x11 513k 1000',
];

function written(bytes = LAZY_IMAGE.disk.length): Buffer {
  const disk = Buffer.alloc(bytes);
  disk.set(LAZY_IMAGE.disk);
  disk.fill(0xab, 0, 64 * KIB);
  disk.fill(0xcd, 700 * KIB, 704 * KIB);
  disk.fill(0, 128 * KIB, 192 * KIB);
  disk.fill(0, 256 * KIB, 320 * KIB);
  disk.fill(0x11, 513 * KIB, 513 * KIB + 1000);
  return disk;
}

/** Of the parts of the disk, in their order. */
function chunkDigests(): string[] {
  const { layers } = JSON.parse(Buffer.from(LAZY_IMAGE.manifest).toString()) as {
    readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
  };
  return layers.filter(({ mediaType }) => mediaType.includes('disk')).map(({ digest }) => digest);
}

function sessionOf({ workplace }: LazyVm): Session {
  return new Session({ home: new Home(workplace.home), environment: workplace.environment, platform: 'linux' });
}

describeWithParts('a VM that does not run, and whose disk has not arrived', ['qemu-img'], () => {
  it.each([
    ['clone', ['clone', 'ci', 'other']],
    ['export', ['export', 'ci', 'FILE']],
  ])('has it brought by %s, with what the guest wrote, zeroed and discarded', async (_, words) => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const ran = await vm.run(...words.map((word) => (word === 'FILE' ? `${vm.workplace.directory}/vm.tar` : word)));
    expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
    expect(ran.stderr.split('\n').filter((line) => line.includes('arrive'))).toStrictEqual([
      'ci: the rest of the disk arrives first: 1.1 MB',
    ]);
    expectWhole(vm, written());
    if (words.includes('clone')) expectWhole(vm, written(), 'other');
    expect(await vm.run('doctor', '--deep')).toMatchObject({ exitCode: 0 });
  });

  it('has it brought by push, and what the registry gets is the whole disk', async () => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const { port } = await startRealRegistry(cleanup, 'embedded');
    const pushed = await vm.run('push', 'ci', `127.0.0.1:${port}/team/vm:1`);
    expect(pushed, pushed.stderr).toMatchObject({ exitCode: 0 });
    expect(pushed.stderr).toContain('ci: the rest of the disk arrives first: 1.1 MB\n');
    expect(readFileSync(`${vm.directory}/disk.img`).equals(written())).toBe(true);
    const other = await LazyVm.make(cleanup);
    await other.run('clone', `127.0.0.1:${port}/team/vm:1`, 'again');
    expect(readFileSync(`${other.workplace.vmDirectory('again')}/disk.img`).equals(written())).toBe(true);
  });

  it('has it in the size that set gave it, before its guest wrote and after', async () => {
    const size = 3 * MIB;
    const grow = async (vm: LazyVm, diskBytes: number): Promise<unknown> =>
      setVm(sessionOf(vm), LocalName.parse('ci'), { diskBytes });
    const before = await LazyVm.make(cleanup);
    await grow(before, size);
    expect((await before.run('get', 'ci', '--format', 'json')).stdout).toContain('"Size"');
    before.write([...WRITES, 'write -P 0x77 2M 3k'], size);
    const disk = written(size);
    disk.fill(0x77, 2 * MIB, 2 * MIB + 3 * KIB);
    expect(before.registry.blobRequests()).toHaveLength(2);
    expect(await before.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
    expectWhole(before, disk);

    const after = await LazyVm.make(cleanup);
    after.write(WRITES);
    await grow(after, size);
    await expect(grow(after, 2 * MIB)).rejects.toThrow(
      `the disk of "ci" has ${size} bytes and cannot shrink to ${2 * MIB}`,
    );
    expect(await after.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
    expectWhole(after, written(size));
  });

  it('has room for what it was enlarged by, in the file for what its guest writes', async () => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const { PATH = '' } = vm.workplace.environment;
    await makeOverlay(vm.directory, 3 * MIB, PATH);
    expect(await overlayBytes(vm.directory)).toBe(3 * MIB);
    const before = vm.files();
    await makeOverlay(vm.directory, 2 * MIB, PATH);
    expect(vm.files()).toStrictEqual(before);
    await setVm(sessionOf(vm), LocalName.parse('ci'), { diskBytes: 3 * MIB });
    expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
    expectWhole(vm, written(3 * MIB));
  });

  it('enlarges what its guest wrote, and no other file that comes into its place meanwhile (S101)', async () => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const { PATH = '' } = vm.workplace.environment;
    const [victim, programs] = [`${vm.workplace.directory}/victim`, `${vm.workplace.directory}/programs`];
    copyFileSync(`${vm.directory}/lazy.qcow2`, victim);
    mkdirSync(programs);
    const script = `#!/bin/sh\nln -sf '${victim}' '${vm.directory}/lazy.qcow2'\nPATH='${PATH}' exec qemu-img "$@"\n`;
    writeFileSync(`${programs}/qemu-img`, script, { mode: 0o755 });
    const before = readFileSync(victim);
    await makeOverlay(vm.directory, 3 * MIB, `${programs}:${PATH}`);
    expect(readFileSync(victim).equals(before)).toBe(true);
  });

  it('is as it was when the command is ended while the rest comes', async () => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const before = vm.files();
    const ended = new AbortController();
    vm.registry.intercept = (request) => {
      if (request.url?.endsWith(chunkDigests().at(-1) ?? '') !== true) return false;
      ended.abort(new TartletError('INTERRUPTED', 'ended'));
      return true; // It never answers.
    };
    const { home, environment } = vm.workplace;
    const session = new Session({ home: new Home(home), environment, platform: 'linux', signal: ended.signal });
    await expect(cloneVm(session, 'ci', LocalName.parse('other'))).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(vm.files()).toStrictEqual(before);
    expect((await vm.run('list', '--source', 'local')).stdout).toContain('stopped');
  });

  it('is left as it was when qemu-img is missing, before anything comes', async () => {
    const vm = await LazyVm.make(cleanup);
    vm.write(WRITES);
    const before = vm.files();
    const { exitCode, stderr } = await vm.runWith({ PATH: '' }, 'clone', 'ci', 'other');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('error[HOST_LACKS]: the VM "ci" cannot be cloned: its disk has not arrived yet, and');
    expect(stderr).toContain('next: install qemu-utils (Debian, Ubuntu) or qemu-img (Fedora, Arch, Alpine)');
    expect(vm.files()).toStrictEqual(before);
    expect(vm.registry.blobRequests()).toHaveLength(2);
  });

  it('is left as it was when what the guest wrote cannot be read', async () => {
    const vm = await LazyVm.make(cleanup);
    writeFileSync(`${vm.directory}/lazy.qcow2`, Buffer.from('QFI\xfb\0\0\0\x09', 'latin1'));
    const before = vm.files();
    const { exitCode, stderr } = await vm.run('export', 'ci', `${vm.workplace.directory}/vm.tar`);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      `and the rest does not come (qemu-img cannot merge ${vm.directory}/lazy.qcow2: Could not open: `,
    );
    expect(vm.files()).toStrictEqual(before);
    expect(existsSync(`${vm.workplace.directory}/vm.tar`)).toBe(false);
  });

  it.each([
    ['.lazy-disk.img', 'its disk', 1],
    ['lazy.qcow2', 'what the guest wrote', 0],
  ])(
    'lets qemu-img open no other file in the place of %s, %s, that comes there meanwhile (S101)',
    async (file, _, exitCode) => {
      const vm = await LazyVm.make(cleanup);
      vm.write(WRITES);
      const [victim, programs] = [`${vm.workplace.directory}/victim`, `${vm.workplace.directory}/programs`];
      const precious = Buffer.alloc(LAZY_IMAGE.disk.length, 'precious');
      writeFileSync(victim, precious);
      mkdirSync(programs);
      const { PATH = '' } = vm.workplace.environment;
      const script = `#!/bin/sh\nln -sf '${victim}' '${vm.directory}/${file}'\nPATH='${PATH}' exec qemu-img "$@"\n`;
      writeFileSync(`${programs}/qemu-img`, script, { mode: 0o755 });
      const ran = await vm.runWith({ PATH: `${programs}:${PATH}` }, 'export', 'ci', `${vm.workplace.directory}/vm.tar`);
      expect(ran, ran.stderr).toMatchObject({ exitCode });
      expect(readFileSync(victim).equals(precious)).toBe(true);
      const disk = existsSync(`${vm.directory}/disk.img`) ? readFileSync(`${vm.directory}/disk.img`) : undefined;
      expect(disk?.equals(written())).toBe(exitCode === 0 ? true : undefined);
    },
  );
});

it('needs no qemu-img for a disk to which its guest wrote nothing', async () => {
  const vm = await LazyVm.make(cleanup);
  expect(await vm.runWith({ PATH: '' }, 'clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
  expectWhole(vm, LAZY_IMAGE.disk);
});

it('keeps beside the image what the guest touched of it', async () => {
  const vm = await LazyVm.make(cleanup);
  writeFileSync(`${vm.workplace.vmDirectory('ci')}/.lazy-touched.json`, '{"version":1,"touched":[[0,1]]}');
  const ran = await vm.run('clone', 'ci', 'other');
  expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
  expectWhole(vm, LAZY_IMAGE.disk);
  const shown = await vm.run('boot-order', '--format', 'json', vm.image);
  expect(JSON.parse(shown.stdout)).toMatchObject({ from: 'recorded', order: [0] });
});

it('goes on with what came of the disk when the registry went away, and says why it does not (D36)', async () => {
  const vm = await LazyVm.make(cleanup);
  const before = vm.files();
  const chunks = chunkDigests();
  const last = chunks.at(-1) ?? '';
  const asked = (): string[] =>
    vm.registry.blobRequests().filter((line) => chunks.some((digest) => digest !== last && line.endsWith(digest)));
  let isAway = true;
  vm.registry.intercept = (request, response) => {
    if (!isAway || request.url?.endsWith(last) !== true) return false;
    response.writeHead(404).end();
    return true;
  };
  const { exitCode, stderr } = await vm.run('push', 'ci', '127.0.0.1:9/team/vm');
  expect(exitCode).not.toBe(0);
  expect(stderr).toMatch(
    /error\[NOT_FOUND\]: the VM "ci" cannot be pushed: its disk has not arrived yet, and the rest does not come \(.+\)/,
  );
  expect(vm.files()).toStrictEqual(before);
  isAway = false;
  expect(asked()).toHaveLength(3);
  expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
  expect(asked()).toHaveLength(3);
  expectWhole(vm, LAZY_IMAGE.disk);
});

it.each([
  ['push', ['push', 'ci', '127.0.0.1:9/team/vm'], 'pushed'],
  ['export', ['export', 'ci', 'FILE'], 'exported'],
  ['clone', ['clone', 'ci', 'other'], 'cloned'],
])('refuses %s of one that runs, or that another command completes, and says what to do', async (_, words, what) => {
  const vm = await LazyVm.make(cleanup);
  const argv = words.map((word) => (word === 'FILE' ? `${vm.workplace.directory}/vm.tar` : word));
  const lock = await FileLock.acquireExisting(`${vm.directory}/config.json`);
  const busy = await vm.run(...argv);
  expect(busy.exitCode).toBe(2);
  expect(busy.stderr).toContain('error[VM_RUNNING]: another command is at work on the VM "ci"');
  await lock?.release();
  await pretendRun(vm.directory);
  const runs = await vm.run(...argv);
  expect(runs.exitCode).toBe(2);
  expect(runs.stderr).toContain(
    `error[VM_RUNNING]: the VM "ci" cannot be ${what}: it runs, and its disk has not arrived yet`,
  );
  expect(runs.stderr).toContain('next: stop it, or wait until its disk has arrived, and run the same command again');
  expect(vm.registry.blobRequests()).toHaveLength(2);
});

it('gets another disk by set, for which nothing comes of its own', async () => {
  const vm = await LazyVm.make(cleanup);
  writeFileSync(`${vm.workplace.directory}/other.img`, Buffer.alloc(4096, 7));
  const ran = await vm.run('set', 'ci', '--disk', `${vm.workplace.directory}/other.img`);
  expect(ran, ran.stderr).toMatchObject({ exitCode: 0, stderr: '' });
  expectWhole(vm, Buffer.alloc(4096, 7));
  expect(vm.registry.blobRequests()).toHaveLength(2);
});
