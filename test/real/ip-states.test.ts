import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { plantVm } from '../support/home.ts';
import { pretendRun } from '../support/pretend-run.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

/*
 * R6: what programs see that ask for the address of a VM, whatever it does: one address alone on stdout with 0, or
 * nothing there and the exit code that says why.
 */

const NONE = { exitCode: 1, stdout: '' } as const;

interface Row {
  readonly make: (directory: string) => Promise<unknown> | void;
  /** Without a guest that answers there is none by any resolver. */
  readonly dhcp: { readonly exitCode: number; readonly stdout: string };
  readonly agent?: { readonly exitCode: number; readonly stdout: string };
  /** Empty where it succeeds. */
  readonly stderr: RegExp;
}

async function changeRecord(directory: string, change: (record: Record<string, unknown>) => object): Promise<void> {
  await pretendRun(directory, 'SSH-2.0-dropbear\r\n');
  const file = `${directory}/run.json`;
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)));
}

describe('R6: ip', () => {
  it.each<[string, Row]>([
    ['of a VM that is not there', { make: () => undefined, dhcp: { exitCode: 2, stdout: '' }, stderr: /VM_NOT_FOUND/ }],
    ['of a stopped VM', { make: plantVm, dhcp: NONE, stderr: /has no address: it does not run/ }],
    [
      'of a suspended VM',
      {
        make: (directory) => {
          plantVm(directory);
          for (const name of ['state.qemu', 'state.json']) writeFileSync(`${directory}/${name}`, '');
        },
        dhcp: NONE,
        stderr: /has no address: it does not run/,
      },
    ],
    [
      'of a VM that another program runs',
      {
        make: async (directory) => {
          plantVm(directory);
          await runVm(directory);
        },
        dhcp: NONE,
        stderr: /is run by another program, which tells no address/,
      },
    ],
    [
      'of a VM whose guest has not started, though its port takes connections',
      {
        make: async (directory) => {
          plantVm(directory);
          await pretendRun(directory);
        },
        dhcp: NONE,
        stderr: /does not answer yet/,
      },
    ],
    [
      'of a VM whose guest answers by SSH',
      {
        make: async (directory) => {
          plantVm(directory);
          await pretendRun(directory, 'SSH-2.0-dropbear\r\n');
        },
        dhcp: { exitCode: 0, stdout: '127.0.0.1\n' },
        agent: NONE,
        stderr: /does not answer yet/,
      },
    ],
    [
      'of a VM on a bridge whose guest answers nowhere',
      {
        make: async (directory) => {
          plantVm(directory);
          await changeRecord(directory, (record) => ({
            ...record,
            network: { kind: 'bridged', mac: '02:00:00:00:00:01' },
          }));
        },
        dhcp: NONE,
        stderr: /does not answer yet/,
      },
    ],
    [
      'of a VM whose run was killed, and left its record and the lock to QEMU',
      {
        make: async (directory) => {
          plantVm(directory);
          await changeRecord(directory, (record) => ({ ...record, began: '1' }));
        },
        dhcp: NONE,
        stderr: /is run by another program/,
      },
    ],
    [
      'of a VM whose record is damaged',
      {
        make: async (directory) => {
          plantVm(directory);
          await changeRecord(directory, () => ({ version: 1, network: [] }));
        },
        dhcp: NONE,
        stderr: /is run by another program/,
      },
    ],
  ])('%s', async (_, { make, dhcp, agent = dhcp, stderr }) => {
    const cleanup = new Cleanup();
    onTestFinished(async () => cleanup.run());
    const workplace = new Workplace(cleanup);
    await workplace.run('create', '--linux', 'another');
    await make(workplace.vmDirectory('ci'));
    const expected = { dhcp, arp: dhcp, agent };
    const asked = Object.entries(expected).map(async ([resolver, want]) => {
      const ran = await workplace.run('ip', 'ci', '--resolver', resolver);
      expect(ran, resolver).toMatchObject(want);
      expect(ran.stderr, resolver).toMatch(want.exitCode === 0 ? /^$/ : stderr);
    });
    await Promise.all(asked);
  });

  it.each([
    ['another resolver', ['--resolver', 'dns']],
    ['a time that is none', ['--wait', 'soon']],
    ['a time that is too long', ['--wait', '65536']],
    ['two names', ['other']],
  ])('with %s is refused', async (_, words) => {
    const cleanup = new Cleanup();
    onTestFinished(async () => cleanup.run());
    expect(await new Workplace(cleanup).run('ip', 'ci', ...words)).toMatchObject({ exitCode: 64, stdout: '' });
  });

  it('waits for a VM that is started meanwhile, and then tells its address alone', async () => {
    const cleanup = new Cleanup();
    onTestFinished(async () => cleanup.run());
    const workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('ci'));
    const waiting = workplace.run('ip', '--wait', '60', 'ci');
    await workplace.run('list');
    await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-dropbear\r\n');
    expect(await waiting).toEqual({ exitCode: 0, stdout: '127.0.0.1\n', stderr: '' });
  });
});
