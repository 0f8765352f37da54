import { chmodSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { runQemuImg } from '../../src/lazy-disk/arrival/qemu-img.ts';
import { temporaryDirectory } from '../support/directory.ts';

it.each([
  ['No space left on device', 'DISK_FULL', { kind: 'free-space' }],
  ['Disk quota exceeded', 'DISK_FULL', { kind: 'free-space' }],
  ['Read-only file system', 'DISK_READONLY', { kind: 'make-file-system-writable' }],
  ['Permission denied', 'DISK_DENIED', { kind: 'check-owner' }],
  ['Input/output error', 'DISK_IO', undefined],
])('what qemu-img says is told by its code, with what to do: %s (D39)', async (words, code, next) => {
  const directory = temporaryDirectory();
  const program = `${directory}/qemu-img`;
  writeFileSync(program, `#!/bin/sh\necho "qemu-img: error while writing at byte 0: ${words}" >&2\nexit 1\n`);
  chmodSync(program, 0o755);
  const error: unknown = await runQemuImg(['commit'], { program, directory, verb: 'merge', file: '/vms/ci/lazy.qcow2' })
    .then(() => undefined)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code,
    message: `qemu-img cannot merge /vms/ci/lazy.qcow2: error while writing at byte 0: ${words}`,
  });
  expect((error as { facts: { next?: unknown } }).facts.next).toEqual(next);
});
