import { expect, it } from 'vitest';
import { DEFAULT_DISK_OPTIONS, type Disk, type Machine } from '../../../src/hypervisor/machine.ts';
import { diskFailureOf } from '../../../src/hypervisor/qemu/disk-failure.ts';

const DISKS: readonly Disk[] = [
  { kind: 'lazy', overlay: 'lazy.qcow2', socket: 'lazy.sock', ...DEFAULT_DISK_OPTIONS },
  { kind: 'file', path: 'disk.img', ...DEFAULT_DISK_OPTIONS },
  { kind: 'file', path: '/srv/data.img', ...DEFAULT_DISK_OPTIONS },
  { kind: 'block-device', path: '/dev/sdz', ...DEFAULT_DISK_OPTIONS },
];
const machine = { directory: '/home/vms/ci', disks: DISKS } as unknown as Machine;

function failed(data: Record<string, unknown>): ReturnType<typeof diskFailureOf> {
  return diskFailureOf({ name: 'BLOCK_IO_ERROR', data }, machine);
}

it.each([
  ['disk0', '/home/vms/ci/lazy.qcow2'],
  ['disk1', '/home/vms/ci/disk.img'],
  ['disk2', '/srv/data.img'],
])('a full disk is told with the file of %s, the same for a lazy one and a plain one (D39)', (node, file) => {
  const reason = 'No space left on device';
  expect(failed({ 'node-name': node, nospace: true, reason })).toStrictEqual({ reason, isFull: true, file });
});

it('a quota that is used up is a full disk, and one that can only be read is not (D39)', () => {
  expect(failed({ 'node-name': 'disk3', nospace: false, reason: 'Disk quota exceeded' })).toStrictEqual({
    reason: 'Disk quota exceeded',
    isFull: true,
  });
  expect(failed({ 'node-name': 'disk1', nospace: false, reason: 'Read-only file system' })).toMatchObject({
    reason: 'Read-only file system',
    isFull: false,
  });
});

it('a failure of no disk by name, and without a reason, is told all the same', () => {
  expect(failed({ 'node-name': '#block123' })).toStrictEqual({
    reason: 'a disk cannot be read or written',
    isFull: false,
  });
});
