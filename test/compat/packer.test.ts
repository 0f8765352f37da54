import { closeSync, existsSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { lowerCaseKeys, TartInPath } from '../support/tart-in-path.ts';

/*
 * What the Packer plugin calls (tart-cli §5.2), word for word, and what it does to a VM directory by itself.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

describe('the Packer plugin', () => {
  let user: TartInPath;
  let base: string;

  beforeAll(async () => {
    const { port } = await startRealRegistry(cleanup, 'embedded');
    base = `127.0.0.1:${port}/team/base:latest`;
    user = new TartInPath(cleanup, {}, { CI: 'true' });
    await createVm(user, 'publisher', 2);
    await user.succeed('push', 'publisher', base);
    await user.succeed('delete', 'publisher');
  });

  it('creates a VM, sets what was configured, and the same disk size again', async () => {
    expect(await user.succeed('create', '--linux', '--disk-size', '2', 'made')).toBe('');
    expect(await user.succeed('set', 'made', '--cpu', '4', '--memory', '4096', '--display', '1024x768')).toBe('');
    expect(await user.succeed('set', '--disk-size', '2', 'made')).toBe('');
    const got = lowerCaseKeys(
      JSON.parse(await user.succeed('get', '--format', 'json', 'made')) as Record<string, unknown>,
    );
    expect(got).toMatchObject({ os: 'linux', cpu: 4, memory: 4096, disk: 2, display: '1024x768' });
  });

  it('pulls and clones with options behind the names', async () => {
    expect(await user.succeed('pull', base, '--insecure', '--concurrency', '8')).toBe('');
    expect(await user.succeed('clone', base, 'cloned', '--insecure', '--concurrency', '8')).toBe('');
    expect(await user.succeed('set', '--disk-size', '5', 'cloned')).toBe('');
  });

  it('edits the partition table of a clone, which reaches neither the image nor later calls', async () => {
    const file = `${user.vmDirectory('cloned')}/disk.img`;
    const disk = openSync(file, 'r+');
    writeSync(disk, 'EFI PART', 512);
    closeSync(disk);
    expect(await user.succeed('set', 'cloned', '--cpu', '2')).toBe('');
    expect(readText(file, 512, 8)).toBe('EFI PART');

    await user.succeed('clone', base, 'another');
    expect(readText(`${user.vmDirectory('another')}/disk.img`, 512, 8)).not.toBe('EFI PART');
  });

  it.each([
    [
      ['run', 'made', '--no-graphics', '--vnc-experimental', '--recovery', '--rosetta=rosetta', '--disk=cloud.iso:ro'],
      'USAGE',
      64,
    ],
    [['run', 'made', '--graphics', '--disk=a.iso:ro', '--disk=b.img', '--net-softnet'], 'USAGE', 64],
    [['ip', '--wait', '1', 'made'], 'GUEST_UNREACHABLE', 1],
    [['ip', '--wait', '1', '--resolver', 'agent', 'made'], 'GUEST_UNREACHABLE', 1],
    [['ip', '--wait', '1', 'made', '--resolver', 'arp'], 'GUEST_UNREACHABLE', 1],
  ])('%j is understood, and ends with %s', async (words, code, expected) => {
    const { exitCode, stdout, stderr } = await user.tart(...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: expected, stdout: '' });
    expect(stderr.startsWith(`error[${code}]: `)).toBe(true);
  });

  it.each([
    [['create', '--from-ipsw', 'latest', '--disk-size', '50', 'mac']],
    [['create', '--linux', '--disk-size', '50', '--disk-format', 'asif', 'mac']],
  ])('%j needs a Mac, and leaves nothing', async (words) => {
    const { exitCode, stdout, stderr } = await user.tart(...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toMatch(/^error\[NEEDS_MACOS\]: /);
    expect(existsSync(user.vmDirectory('mac'))).toBe(false);
  });

  it('deletes on cancellation, or removes the directory of an artifact', async () => {
    expect(await user.succeed('delete', 'made')).toBe('');
    expect(await user.succeed('delete', 'another')).toBe('');
    rmSync(user.vmDirectory('cloned'), { recursive: true });
    expect(await user.succeed('list', '--source', 'local', '-q')).toBe('');
  });
});

function readText(file: string, at: number, bytes: number): string {
  const handle = openSync(file, 'r');
  const text = Buffer.alloc(bytes);
  readSync(handle, text, 0, bytes, at);
  closeSync(handle);
  return text.toString('latin1');
}
