import { expect, it } from 'vitest';
import { DEFAULT_DISK_OPTIONS } from '../../../src/hypervisor/machine.ts';
import { blockNode } from '../../../src/hypervisor/qemu/disk-node.ts';
import type { Qmp } from '../../../src/hypervisor/qemu/qmp.ts';
import { replaceDisk } from '../../../src/hypervisor/qemu/replace-disk.ts';

/** A QEMU that does what it is told, and writes it down. @param refused commands that it refuses */
function playedQemu(...refused: readonly string[]): {
  readonly qmp: Qmp;
  readonly said: string[];
  readonly parameters: Record<string, unknown>;
} {
  const said: string[] = [];
  const parameters: Record<string, unknown> = {};
  const statuses: Record<string, string> = {
    'blockdev-mirror': 'ready',
    'job-complete': 'pending',
    'job-finalize': 'concluded',
    'job-cancel': 'concluded',
  };
  let status = 'created';
  const execute = async (command: string, given?: unknown): Promise<unknown> => {
    if (command === 'query-jobs') return [{ id: 'replace-disk', status }];
    said.push(command);
    parameters[command] = given;
    if (refused.includes(command)) throw new Error(`${command} is refused`);
    status = statuses[command] ?? status;
    return {};
  };
  return { qmp: { execute } as unknown as Qmp, said, parameters };
}

function replacement(said: string[], commit = async (): Promise<void> => undefined): Parameters<typeof replaceDisk>[1] {
  return {
    node: 'disk0',
    file: 'whole.img',
    options: DEFAULT_DISK_OPTIONS,
    onStill: (isStill) => void said.push(isStill ? 'STILL' : 'FREE'),
    onLost: (reason) => void said.push(`LOST: ${reason}`),
    commit: async () => {
      said.push('COMMIT');
      await commit();
    },
  };
}

it('commits while the guest stands still and both disks are the same, and lets it go on with the whole one', async () => {
  const { qmp, said } = playedQemu();
  await replaceDisk(qmp, replacement(said));
  expect(said).toStrictEqual([
    'blockdev-add',
    'blockdev-mirror',
    'STILL',
    'stop',
    'job-complete',
    'COMMIT',
    'job-finalize',
    'job-dismiss',
    'FREE',
    'cont',
    'blockdev-del',
  ]);
});

it('lets the guest go on with the lazy disk when the whole one cannot be committed', async () => {
  const { qmp, said } = playedQemu();
  const failing = replacement(said, async () => Promise.reject(new Error('the disk is full')));
  await expect(replaceDisk(qmp, failing)).rejects.toThrow('the disk is full');
  expect(said.slice(said.indexOf('COMMIT'))).toStrictEqual([
    'COMMIT',
    'job-cancel',
    'job-dismiss',
    'blockdev-del',
    'cont',
    'FREE',
  ]);
});

it('does not let the guest write to the lazy disk any more once the whole one counts', async () => {
  const { qmp, said } = playedQemu('job-finalize');
  await expect(replaceDisk(qmp, replacement(said))).rejects.toThrow('job-finalize is refused');
  expect(said.slice(said.indexOf('COMMIT'))).toStrictEqual([
    'COMMIT',
    'job-finalize',
    'quit',
    'LOST: the guest did not go over to its own disk: job-finalize is refused',
  ]);
});

it('says nothing of a guest that was lost when QEMU had ended by itself', async () => {
  const { qmp, said } = playedQemu('job-finalize', 'quit');
  await expect(replaceDisk(qmp, replacement(said))).rejects.toThrow('job-finalize is refused');
  expect(said.at(-1)).toBe('quit');
});

it('copies what the guest writes meanwhile at once, or a guest that writes fast would never get its disk (P40)', async () => {
  const { qmp, said, parameters } = playedQemu();
  await replaceDisk(qmp, replacement(said));
  expect(parameters['blockdev-mirror']).toMatchObject({ sync: 'top', 'copy-mode': 'write-blocking' });
});

it('can write to the whole disk of a guest that may only read it', async () => {
  const { qmp, said, parameters } = playedQemu();
  await replaceDisk(qmp, { ...replacement(said), options: { ...DEFAULT_DISK_OPTIONS, readOnly: true } });
  expect(parameters['blockdev-add']).toMatchObject({ 'read-only': false, file: { 'read-only': false } });
});

it('commits nothing when QEMU cannot copy', async () => {
  const { qmp, said } = playedQemu('blockdev-mirror');
  await expect(replaceDisk(qmp, replacement(said))).rejects.toThrow('blockdev-mirror is refused');
  expect(said).not.toContain('COMMIT');
  expect(said.slice(-2)).toStrictEqual(['cont', 'FREE']);
});

it('says that the disk is full when there is no room for the copy, and lets the guest go on (D39)', async () => {
  const { qmp, said } = playedQemu();
  const { execute } = qmp;
  const full = async (command: string, given?: Readonly<Record<string, unknown>>): Promise<unknown> =>
    command === 'query-jobs'
      ? [{ id: 'replace-disk', status: 'concluded', error: 'No space left on device' }]
      : execute(command, given);
  const playing = replaceDisk({ execute: full } as unknown as Qmp, replacement(said));
  await expect(playing).rejects.toMatchObject({
    code: 'DISK_FULL',
    message: 'QEMU cannot copy the disk: No space left on device',
  });
  expect(said).not.toContain('COMMIT');
  expect(said.slice(-3)).toStrictEqual(['blockdev-del', 'cont', 'FREE']);
});

it('reads what the guest has not written by NBD, read-only, and takes the options of the disk', () => {
  const disk = {
    ...DEFAULT_DISK_OPTIONS,
    kind: 'lazy',
    overlay: 'lazy.qcow2',
    socket: 'lazy.sock',
    sync: 'none',
  } as const;
  expect(blockNode(disk, 'disk0')).toStrictEqual({
    driver: 'qcow2',
    'node-name': 'disk0',
    'read-only': false,
    cache: { direct: false, 'no-flush': true },
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    file: {
      driver: 'file',
      filename: 'lazy.qcow2',
      locking: 'on',
      'read-only': false,
      cache: { direct: false, 'no-flush': true },
      discard: 'unmap',
    },
    backing: {
      driver: 'raw',
      'read-only': true,
      file: { driver: 'nbd', 'reconnect-delay': 30, server: { type: 'unix', path: 'lazy.sock' }, 'read-only': true },
    },
  });
});
