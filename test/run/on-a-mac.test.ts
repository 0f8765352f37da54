import { readFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { PretendedMac } from '../support/pretend-tart.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

/** Notes its words, and ends with 6. */
const SSH = `#!/bin/sh
printf '%s\\n' "$@" >"$NOTES/words"
exit 6
`;

describe('what Tart does not have, on a Mac where Tart runs the VMs', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let mac: PretendedMac;

  beforeEach(() => {
    workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('ci'));
    mac = new PretendedMac(workplace);
    mac.plant('ssh', SSH);
  });
  afterAll(async () => cleanup.run());

  it('logs in by SSH at the address that Tart tells', async () => {
    await runVm(workplace.vmDirectory('ci'));
    mac.setAddress('192.168.64.7');
    expect(await mac.run('ssh', '--wait', '30', 'ci', '--', 'true')).toEqual({ exitCode: 6, stdout: '', stderr: '' });
    expect(mac.calls()).toEqual([['ip', 'ci', '--wait', '30']]);
    expect(readFileSync(`${workplace.directory}/words`, 'utf8')).toMatch(
      /-p\n22\n-l\nadmin\n-E\nssh\.log\.[\w-]+\n--\n192\.168\.64\.7\ntrue\n/,
    );
    expect((await mac.run('ssh-config', 'ci')).stdout).toContain('Host ci\n  HostName 192.168.64.7\n  Port 22\n');
  });

  it('says what Tart says of a guest without an address, and that a VM does not run', async () => {
    expect(await mac.run('ssh', 'ci')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('VM_NOT_RUNNING'),
    });
    await runVm(workplace.vmDirectory('ci'));
    expect(await mac.run('ssh', 'ci')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        /^error\[GUEST_UNREACHABLE\]: Tart tells no address of the VM "ci": no address\.\n/,
      ),
    });
  });

  it('ends a run in the foreground whose guest does not come in time, with 4', async () => {
    const late = await mac.run('run', 'ci', '--wait-for', 'ip', '--timeout', '1', '--no-graphics');
    expect(late).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(
        /^error\[GUEST_LATE\]: the guest of the VM "ci" had no address after 1 s: it was started/,
      ),
    });
    expect(mac.calls().find(([command]) => command === 'run')).toEqual(['run', 'ci', '--no-graphics']);
    // Nothing of it runs any more.
    expect(await mac.run('ssh', 'ci')).toMatchObject({ exitCode: 2 });
  });
});
