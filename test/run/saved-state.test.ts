import { utimesSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DEFAULT_DISK_OPTIONS, type Machine } from '../../src/hypervisor/machine.ts';
import { dropSavedState, newMemory, publishSavedState, requireFitting } from '../../src/run/saved-state.ts';
import { temporaryDirectory } from '../support/directory.ts';

const SAVED = { identity: 'identity', accelerator: 'tcg', mac: '52:55:0a:00:02:07' } as const;

/** A machine with a disk in its directory, and one elsewhere. */
function plant(): { readonly machine: Machine; readonly second: string } {
  const directory = temporaryDirectory();
  const second = `${temporaryDirectory()}/second.img`;
  for (const file of [`${directory}/disk.img`, second, newMemory(directory)]) writeFileSync(file, 'content');
  const machine: Machine = {
    name: 'ci',
    directory,
    arch: 'amd64',
    cpuCount: 1,
    memoryBytes: 1,
    mac: '52:55:0a:00:02:01',
    display: { width: 1, height: 1 },
    disks: [
      { kind: 'file', path: 'disk.img', ...DEFAULT_DISK_OPTIONS },
      { kind: 'file', path: second, ...DEFAULT_DISK_OPTIONS },
    ],
    shares: [],
    network: { kind: 'user', forwards: [], isolated: false },
    console: { kind: 'none' },
    screens: [],
    clipboard: true,
    sound: undefined,
    keyboard: false,
    pointer: false,
    nested: false,
    vsock: undefined,
    generation: '',
  };
  return { machine, second };
}

it('a guest goes on from its memory where nothing has changed, and never again once that is dropped', async () => {
  const { machine } = plant();
  await publishSavedState(machine, SAVED);
  expect(await requireFitting(machine, 'identity')).toEqual({
    file: `${machine.directory}/state.qemu`,
    mac: '52:55:0a:00:02:07',
    accelerator: 'tcg',
  });
  await dropSavedState(machine.directory);
  expect(await requireFitting(machine, 'identity')).toBeUndefined();
});

it.each([
  ['its disk', 'its disk was written since', (machine: Machine) => `${machine.directory}/disk.img`],
  ['another disk of it', 'disk 2 of it was written since', (_: Machine, second: string) => second],
])('a guest stays where it is when %s was written meanwhile', async (_, reason, which) => {
  const { machine, second } = plant();
  await publishSavedState(machine, SAVED);
  utimesSync(which(machine, second), 1, 1);
  await expect(requireFitting(machine, 'identity')).rejects.toMatchObject({
    code: 'VM_INVALID',
    message: `the VM "ci" cannot go on from its saved memory: ${reason}`,
  });
});
