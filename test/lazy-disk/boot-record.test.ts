import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { BootRecord } from '../../src/lazy-disk/boot-record.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { ArrivingVm, MACHINE_THAT_WROTE_NOTHING, sessionWithQemuImg } from '../support/arriving-vm.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson } from '../support/home.ts';
import { MemoryDevice, patternBytes } from '../support/memory-device.ts';
import type { NbdClient } from '../support/nbd-client.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;
const image = tinyImage({
  chunks: [0, 1, 2, 3, 4].map((at) => patternBytes(MIB, `chunk ${at}`)),
  config: Buffer.from(configJson()),
});

function touchedIn(file: string): unknown {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { touched: unknown }).touched : undefined;
}

/** Reads a sector of each MiB, one after the other. */
async function readAt(guest: NbdClient, ...units: readonly number[]): Promise<void> {
  for (const unit of units) {
    guest.send(0, 1n, { offset: unit * MIB + 4096, length: 512 });
    expect(await guest.answer(512)).toMatchObject({ errno: 0 });
  }
}

async function recordOf(device: MemoryDevice): Promise<{ record: BootRecord; file: string }> {
  const directory = temporaryDirectory();
  const record = await BootRecord.begin(device, directory);
  return { record, file: `${directory}/.lazy-touched.json` };
}

it('keeps beside the image in which order the guest touched it, and nothing of that in the VM', async () => {
  const registry = await startStaticRegistry({ latest: image });
  const session = sessionWithQemuImg();
  const name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
  const vm = await ArrivingVm.clone(session, name.toString());
  const arrival = await vm.begin();
  const guest = await vm.guest();
  await readAt(guest, 3, 1, 3, 0, 4);
  arrival.begun(MACHINE_THAT_WROTE_NOTHING);
  await eventually(() => vm.notes.at(-1)).toContain('the disk has arrived');
  const { directory } = await session.images.require(name, 'read');
  expect(touchedIn(`${directory.path}/.boot-order.json`)).toStrictEqual([
    [3, 1],
    [1, 1],
    [0, 1],
    [4, 1],
  ]);
  for (const file of ['.lazy-touched.json', '.lazy-touched.json.new']) {
    expect(existsSync(`${vm.directory}/${file}`)).toBe(false);
  }
});

it('goes on with what an earlier run saw that ended before the image was here', async () => {
  const registry = await startStaticRegistry({ latest: image });
  let isAway = true;
  const last = [...image.blobs.keys()].slice(5);
  // They are not answered.
  registry.intercept = (request) => isAway && last.some((digest) => request.url?.endsWith(digest) === true);
  const session = sessionWithQemuImg();
  const name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
  const vm = await ArrivingVm.clone(session, name.toString());
  const first = await vm.begin();
  await readAt(await vm.guest(), 1, 0);
  await first.close();
  expect(touchedIn(`${vm.directory}/.lazy-touched.json`)).toStrictEqual([
    [1, 1],
    [0, 1],
  ]);
  isAway = false;
  const second = await vm.begin();
  await readAt(await vm.guest(), 0, 1, 4);
  second.begun(MACHINE_THAT_WROTE_NOTHING);
  await eventually(() => vm.notes.at(-1)).toContain('the disk has arrived');
  const { directory } = await session.images.require(name, 'read');
  expect(touchedIn(`${directory.path}/.boot-order.json`)).toStrictEqual([
    [1, 1],
    [0, 1],
    [4, 1],
  ]);
});

it('is on the disk soon after the first touch, for a run that is killed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { record, file } = await recordOf(new MemoryDevice(patternBytes(3 * MIB, 'disk')));
  await record.ready({ offset: 2 * MIB, length: 1 }, SIGNAL);
  await record.ready({ offset: MIB - 1, length: 2 }, SIGNAL);
  vi.advanceTimersByTime(2000);
  vi.useRealTimers();
  await eventually(() => existsSync(file)).toBe(true);
  expect(touchedIn(file)).toStrictEqual([
    [2, 1],
    [0, 2],
  ]);
});

it('notes no holes, nothing after ten minutes, and nothing of what is read when it has ended', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const disk = Buffer.concat([patternBytes(MIB, 'one'), Buffer.alloc(MIB), patternBytes(2 * MIB, 'two')]);
  const { record, file } = await recordOf(new MemoryDevice(disk, MIB));
  await record.ready({ offset: MIB - 1, length: MIB + 1 }, SIGNAL);
  vi.advanceTimersByTime(600_000);
  vi.useRealTimers();
  await record.ready({ offset: 2 * MIB, length: 1 }, SIGNAL);
  await record.end();
  await record.ready({ offset: 3 * MIB, length: 1 }, SIGNAL);
  await record.end();
  expect(touchedIn(file)).toStrictEqual([[0, 1]]);
});

it.each([
  [
    'stays where it knows more',
    [
      [4, 1],
      [0, 3],
    ],
    [
      [4, 1],
      [0, 3],
    ],
  ],
  ['gives way to one that knows more', [[4, 1]], [[2, 2]]],
  ['gives way where it is of no disk', 'damaged', [[2, 2]]],
])('an earlier record of the image %s', async (_, earlier, expected) => {
  const registry = await startStaticRegistry({ latest: image });
  const session = sessionWithQemuImg();
  const name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
  await pull(session, name);
  const { directory } = await session.images.require(name, 'read');
  const file = `${directory.path}/.boot-order.json`;
  writeFileSync(file, JSON.stringify({ version: 1, touched: earlier }));
  const { record } = await recordOf(new MemoryDevice(Buffer.from(image.disk)));
  await record.ready({ offset: 2 * MIB, length: 2 * MIB }, SIGNAL);
  await record.keep(session, name);
  expect(touchedIn(file)).toStrictEqual(expected);
});

it('neither fails nor keeps anything where there is no image, and no directory', async () => {
  const session = sessionWithQemuImg();
  const record = await BootRecord.begin(new MemoryDevice(patternBytes(MIB, 'disk')), '/nowhere');
  await record.ready({ offset: 0, length: 1 }, SIGNAL);
  await expect(record.keep(session, RemoteName.parse(`127.0.0.1:1/org/vm@${image.digest}`))).resolves.toBeUndefined();
  await expect(record.end()).resolves.toBeUndefined();
});
