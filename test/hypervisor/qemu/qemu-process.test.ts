import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { QemuProcess } from '../../../src/hypervisor/qemu/qemu-process.ts';
import { temporaryDirectory } from '../../support/directory.ts';

/** A program in the place of QEMU. */
function start(script: string, directory = temporaryDirectory()): QemuProcess {
  return QemuProcess.start(['/bin/sh', '-c', script], directory, {
    inherited: [],
    dieWithUs: undefined,
    ourPid: process.pid,
  });
}

describe('what is told of a QEMU that ended', () => {
  it.each([
    [
      'a port that is taken',
      `echo "qemu-system-x86_64: -netdev user,id=net0: Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'" >&2`,
      'port 8080 of 127.0.0.1 is taken, or not allowed to this user',
    ],
    [
      'the words of its helper, without warnings',
      'echo "qemu-system-x86_64: warning: TCG lacks a feature" >&2; echo "access denied by acl file" >&2;' +
        'echo "qemu-system-x86_64: -netdev bridge,id=net0,br=br7: bridge helper failed" >&2',
      'QEMU ended: access denied by acl file; bridge helper failed',
    ],
    ['nothing', ':', 'QEMU ended without a word'],
  ])('%s', async (_, script, message) => {
    const qemu = start(`${script}; exit 1`);
    expect(await qemu.ended).toEqual({ code: 1, signal: null });
    expect(qemu.failure()).toMatchObject({ code: 'GUEST_FAILED', message });
  });

  it('a program that is not there', async () => {
    const qemu = QemuProcess.start(['qemu'], temporaryDirectory(), {
      inherited: [],
      dieWithUs: '/nowhere/setpriv',
      ourPid: process.pid,
    });
    await qemu.ended;
    expect(qemu.failure().message).toContain('ENOENT');
  });
});

it('what QEMU makes is for this user alone: by its monitor any file of this user can be read', async () => {
  const directory = temporaryDirectory();
  expect(await start('echo >made', directory).ended).toEqual({ code: 0, signal: null });
  expect(statSync(`${directory}/made`).mode & 0o777).toBe(0o600);
});
