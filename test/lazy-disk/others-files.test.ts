import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Staging } from '../../src/home/staging.ts';
import type { RunningMachine } from '../../src/hypervisor/hypervisor.ts';
import { understandLazyVm, whyByTls } from '../../src/lazy-disk/arrival/lazy-vm.ts';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { ImageDevice } from '../../src/lazy-disk/image-device.ts';
import { openArrival } from '../../src/lazy-disk/open-arrival.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { NbdServer } from '../../src/nbd/nbd-server.ts';
import type { RunEvent } from '../../src/run/run-request.ts';
import type { Session } from '../../src/session/session.ts';
import { ArrivingVm, sessionWithQemuImg } from '../support/arriving-vm.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson, freshSession } from '../support/home.ts';
import { leaveOut } from '../support/left-out.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const image = tinyImage({ config: Buffer.from(configJson()) });
const ci = LocalName.parse('ci');

/** Makes the file that it is asked for, with what a qcow2 file begins with. */
const QEMU_IMG = `#!/bin/sh
printf 'QFI\\373' >"$5"
`;

async function lazyVm(): Promise<{ readonly session: Session; readonly at: (file: string) => string }> {
  const registry = await startStaticRegistry({ latest: image });
  const programs = `${temporaryDirectory()}/programs`;
  mkdirSync(programs);
  writeFileSync(`${programs}/qemu-img`, QEMU_IMG);
  chmodSync(`${programs}/qemu-img`, 0o755);
  const session = freshSession({ environment: { PATH: programs }, platform: 'linux' });
  await cloneOnDemand(session, `${registry.address}/org/vm:latest`, ci, { lazy: 'always' });
  return { session, at: (file) => `${session.vms.pathOf(ci)}/${file}` };
}

async function begin(session: Session): Promise<void> {
  const arrival = await openArrival(session, { name: 'ci', directory: session.vms.pathOf(ci) }, () => undefined);
  onTestFinished(async () => arrival?.close());
}

/** The first bytes of a qcow2 file, of a disk of 12 KiB (docs/interop/qcow2.txt of QEMU). */
function header(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(65536);
  bytes.write('QFI\u00fb', 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(BigInt(image.disk.length), 24);
  bytes.writeUInt32BE(112, 100);
  change(bytes);
  return bytes;
}

it('takes up what the guest wrote in an earlier run', async () => {
  const { session, at } = await lazyVm();
  const written = header(() => undefined);
  writeFileSync(at('lazy.qcow2'), written);
  await begin(session);
  expect(readFileSync(at('lazy.qcow2')).equals(written)).toBe(true);
});

it.each([
  ['a backing file', (bytes: Buffer) => void bytes.writeBigUInt64BE(200n, 8), 'it is a difference to another file'],
  ['a data file', (bytes: Buffer) => void bytes.writeBigUInt64BE(4n, 72), 'its data is in another file'],
  [
    'features of the future',
    (bytes: Buffer) => void bytes.writeBigUInt64BE(1n << 40n, 72),
    'features that are not known',
  ],
])('lets QEMU open nothing that names %s (P45)', async (_, change, why) => {
  const { session, at } = await lazyVm();
  writeFileSync(at('lazy.qcow2'), header(change));
  await expect(begin(session)).rejects.toMatchObject({
    code: 'VM_INVALID',
    message: expect.stringContaining(why) as string,
  });
});

it.each(['a symlink', 'a pipe'])('lets QEMU open no %s in the place of what the guest wrote (P45)', async (kind) => {
  const { session, at } = await lazyVm();
  const victim = `${temporaryDirectory()}/victim`;
  writeFileSync(
    victim,
    header(() => undefined),
  );
  if (kind === 'a pipe') execFileSync('mkfifo', [at('lazy.qcow2')]);
  else symlinkSync(victim, at('lazy.qcow2'));
  await expect(begin(session)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
});

it.each(['lazy.qcow2.new', '.lazy-disk.img'])('writes nothing through a symlink called %s (P45)', async (name) => {
  const { session, at } = await lazyVm();
  const victim = `${temporaryDirectory()}/victim`;
  writeFileSync(victim, 'precious');
  symlinkSync(victim, at(name));
  await begin(session);
  expect(readFileSync(victim, 'utf8')).toBe('precious');
  expect(readFileSync(at('lazy.qcow2'), 'latin1')).toBe('QFI\u00fb');
});

it('takes the half of a disk away that a run left which was killed: the guest may need the room (P42)', async () => {
  const { session, at } = await lazyVm();
  writeFileSync(at('.lazy-disk.img'), 'half');
  await begin(session);
  expect(existsSync(at('.lazy-disk.img'))).toBe(false);
});

it.each([-5, 0, 1.5, 2 ** 60, Number.MAX_VALUE, '12288', null])(
  'takes a size of %s for no VM (P45)',
  async (diskBytes) => {
    const { session, at } = await lazyVm();
    const record = JSON.parse(readFileSync(at('.lazy.json'), 'utf8')) as object;
    writeFileSync(at('.lazy.json'), JSON.stringify({ ...record, diskBytes }));
    expect(session.vms.list()).toStrictEqual([]);
    await expect(begin(session)).rejects.toMatchObject({ code: 'VM_INVALID' });
  },
);

it('gives no guest a disk that is smaller than its image (P45)', async () => {
  const { session, at } = await lazyVm();
  const record = JSON.parse(readFileSync(at('.lazy.json'), 'utf8')) as object;
  writeFileSync(at('.lazy.json'), JSON.stringify({ ...record, diskBytes: image.disk.length - 512 }));
  await expect(begin(session)).rejects.toMatchObject({ code: 'VM_INVALID' });
});

it('begins as no other image than the manifest that lies there is of (P45)', async () => {
  const { session, at } = await lazyVm();
  writeFileSync(at('.lazy-manifest.json'), tinyImage({ chunks: [Buffer.alloc(4096, 'other')] }).manifest);
  await expect(begin(session)).rejects.toMatchObject({ code: 'VM_INVALID' });
});

it('lets QEMU open nothing that is named in a header cut short, behind which QEMU reads zeros (S101)', async () => {
  const { session, at } = await lazyVm();
  const victim = `${temporaryDirectory()}/victim`;
  // The 72 bytes of version 2, and the name behind them.
  const cut = header((bytes) => {
    bytes.writeUInt32BE(2, 4);
    bytes.writeBigUInt64BE(72n, 8);
    bytes.writeUInt32BE(victim.length, 16);
  }).subarray(0, 72);
  writeFileSync(at('lazy.qcow2'), Buffer.concat([cut, Buffer.from(victim)]));
  await expect(begin(session)).rejects.toMatchObject({ code: 'VM_INVALID' });
});

it('speaks plain HTTP only where no other user can have written so (S101)', async () => {
  const { session, at } = await lazyVm();
  const vm = { name: 'ci', directory: session.vms.pathOf(ci) };
  const record = JSON.parse(readFileSync(at('.lazy.json'), 'utf8')) as object;
  writeFileSync(at('.lazy.json'), JSON.stringify({ ...record, insecure: true }));
  const own = await understandLazyVm(vm);
  expect([own.insecure, whyByTls(own)]).toEqual([true, undefined]);
  chmodSync(at('.lazy.json'), 0o666);
  const written = await understandLazyVm(vm);
  expect([written.insecure, whyByTls(written)]).toEqual([false, expect.stringContaining('by TLS')]);
  chmodSync(at('.lazy.json'), 0o644);
  chmodSync(vm.directory, 0o777);
  expect((await understandLazyVm(vm)).insecure).toBe(false);
});

it('says that it asks by TLS, and does so, where another user may have written that there is none (S101)', async () => {
  const { session, at } = await lazyVm();
  const record = JSON.parse(readFileSync(at('.lazy.json'), 'utf8')) as object;
  writeFileSync(at('.lazy.json'), JSON.stringify({ ...record, insecure: true }));
  chmodSync(at('.lazy.json'), 0o666);
  const notes: string[] = [];
  const tell = (event: RunEvent): void => void (event.kind === 'note' && notes.push(event.text));
  const arrival = await openArrival(session, { name: 'ci', directory: session.vms.pathOf(ci) }, tell);
  onTestFinished(async () => arrival?.close());
  expect(notes).toEqual([expect.stringContaining('the registry is asked by TLS')]);
});

it('takes the word of no other user for what is verified (S101)', async (context) => {
  leaveOut(context, process.geteuid?.() !== 0 || process.platform !== 'linux', 'only root of Linux can be other users');
  const { session } = await lazyVm();
  const vm = await understandLazyVm({ name: 'ci', directory: session.vms.pathOf(ci) });
  const staging = await Staging.open(session.home, vm.image.manifest.digest);
  writeFileSync(staging.pathOf('disk.img'), Buffer.alloc(vm.image.base.size, 'unverified'));
  const believing = new MemoryDevice(Buffer.alloc(vm.image.base.size));
  const server = await NbdServer.listen(staging.pathOf('.fill.sock'), [{ name: '', device: believing }]);
  onTestFinished(async () => server.close());
  chownSync(staging.pathOf('.fill.sock'), 5001, 5001);
  const device = new ImageDevice(session, vm.imageName, vm.image, { zeros: new Set(), onLate: () => undefined });
  onTestFinished(async () => device.close());
  const signal = AbortSignal.timeout(300);
  await expect(device.ready({ offset: 0, length: 1 }, signal)).rejects.toThrow(/timeout|aborted/);
  expect(believing.waitedFor).toEqual([]);
  chownSync(staging.pathOf('.fill.sock'), 0, 0);
  await device.ready({ offset: 0, length: 1 }, new AbortController().signal);
});

it.each(['a symlink', 'another file', 'nothing'])(
  'writes to the disk that it has made, with %s in its place before QEMU opens it (S101)',
  async (what) => {
    const vm = await ArrivingVm.clone(sessionWithQemuImg(), `${await registryOf()}/org/vm:latest`);
    const victim = `${temporaryDirectory()}/victim`;
    writeFileSync(victim, 'precious');
    const at = (file: string): string => `${vm.directory}/${file}`;
    const machine = {
      replaceDisk: async (file: string, commit: () => Promise<void>): Promise<'replaced'> => {
        rmSync(at('.lazy-disk.img'));
        if (what === 'a symlink') symlinkSync(victim, at('.lazy-disk.img'));
        if (what === 'another file') writeFileSync(at('.lazy-disk.img'), 'precious');
        const disk = openSync(path.resolve(vm.directory, file), 'r+');
        writeSync(disk, 'what the guest wrote');
        closeSync(disk);
        await commit();
        return 'replaced';
      },
    } as unknown as RunningMachine;
    const arrival = await vm.begin();
    arrival.begun(machine);
    await eventually(() => vm.notes.join()).toContain('something else into the place of');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(existsSync(at('disk.img'))).toBe(false);
  },
);

async function registryOf(): Promise<string> {
  return (await startStaticRegistry({ latest: image })).address;
}
