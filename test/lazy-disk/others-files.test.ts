import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { openArrival } from '../../src/lazy-disk/open-arrival.ts';
import { LocalName } from '../../src/names/local-name.ts';
import type { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession } from '../support/home.ts';
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
