import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { endAfterwards, LONG_MS, PARTS_OF_DRIVERS } from '../../support/driven-vm.ts';
import { plantGuest } from '../../support/guest.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import type { Running } from '../../support/real-command.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { eventually } from '../../support/real-process.ts';
import { TartInPath } from '../../support/tart-in-path.ts';

/*
 * What drivers taught about the process that runs a VM (run-fleet-demand §8): signals, streams, and what is left when
 * it is killed. No guest has to be up for any of it: most of it happens in the first second.
 */

describeWithParts('the process that runs a VM', PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let user: TartInPath;
  let run: Running;

  beforeAll(() => {
    user = new TartInPath(cleanup);
    plantGuest(user.vmDirectory('base'));
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  beforeEach(async () => {
    await user.succeed('clone', 'base', 'ci');
    run = endAfterwards(cleanup, user.startTart('run', 'ci'));
  }, LONG_MS);

  async function isListedAs(state: string): Promise<boolean> {
    return (await user.rows()).some((row) => row['name'] === 'ci' && row['state'] === state);
  }

  /** Until it counts as running, which is before QEMU has started. */
  async function untilListed(): Promise<void> {
    await eventually('the VM counts as running', async () => isListedAs('running'));
  }

  /** QEMU, once it works for the VM. */
  async function qemu(): Promise<number> {
    await eventually('QEMU runs', () => programsOfVm().length > 0);
    return programsOfVm()[0] ?? 0;
  }

  function programsOfVm(): number[] {
    return processesIn(user.vmDirectory('ci'));
  }

  it(
    'M4: takes QEMU with it when it is killed, and the VM is deleted a tenth of a second later',
    async () => {
      await qemu();
      run.kill('SIGKILL');
      await delay(100);
      expect(await user.tart('delete', 'ci')).toMatchObject({ exitCode: 0 });
      expect(programsOfVm()).toEqual([]);
    },
    LONG_MS,
  );

  it(
    'M5: lets nothing that it starts hold its streams',
    async () => {
      const pid = await qemu();
      const ours = new Set<string | undefined>(
        [1, 2].map((descriptor) => readlinkSync(`/proc/${run.child.pid}/fd/${descriptor}`)),
      );
      const theirs = readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(`/proc/${pid}/fd/${name}`));
      expect(theirs.length).toBeGreaterThan(3);
      expect(theirs.filter((file) => ours.has(file))).toEqual([]);
      run.kill('SIGKILL');
      // Its pipes are closed, too.
      expect((await run.ended).exitCode).toBeUndefined();
    },
    LONG_MS,
  );

  it(
    'M6: counts as running until QEMU has gone, which holds the lock as well',
    async () => {
      const pid = await qemu();
      const files = readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(`/proc/${pid}/fd/${name}`));
      expect(files).toContain(`${user.vmDirectory('ci')}/config.json`);
      run.kill('SIGKILL');
      await eventually('the VM counts as stopped', async () => isListedAs('stopped'));
      expect(programsOfVm()).toEqual([]);
    },
    LONG_MS,
  );

  it(
    'M7: ends with 0 when it is stopped as soon as it counts as running',
    async () => {
      await untilListed();
      expect(await user.tart('stop', '--timeout', '5', 'ci')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      expect(await run.ended).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^Stopping VM\.\.\.\n/) });
    },
    LONG_MS,
  );

  it(
    'M8: ends within the 5 seconds of stop --timeout 5, though no guest hears the button; by signals alone with the second',
    async () => {
      await qemu();
      // At 5 seconds it would be killed, and have no exit code. All drivers that have a deadline stop so; Packer, which
      // sends SIGINT itself, waits without one (run-fleet-demand §8, 8), and leaves the guest its 30 seconds.
      expect(await user.tart('stop', '--timeout', '5', 'ci')).toMatchObject({ exitCode: 0 });
      expect(await run.ended).toMatchObject({ exitCode: 0 });
      run = endAfterwards(cleanup, user.startTart('run', 'ci'));
      await qemu();
      run.kill('SIGTERM');
      await eventually('it says that it stops', () => run.stdout.startsWith('Stopping VM...\n'));
      run.kill('SIGTERM');
      expect(await run.ended).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/has stopped the virtual machine\n$/),
      });
    },
    LONG_MS,
  );

  it(
    'M9: goes on when a terminal hangs up that it does not have',
    async () => {
      await qemu();
      run.kill('SIGHUP');
      run.kill('SIGUSR2');
      expect(await user.tart('ip', '--wait', '1', 'ci')).toMatchObject({ stdout: '' });
      expect({ exitCode: run.child.exitCode, stdout: run.stdout }).toEqual({ exitCode: null, stdout: '' });
      expect(await isListedAs('running')).toBe(true);
      await user.succeed('stop', '--timeout', '2', 'ci');
      expect(await run.ended).toMatchObject({ exitCode: 0 });
    },
    LONG_MS,
  );

  it(
    'M10: goes on when its driver has died, and the next one stops and deletes the VM',
    async () => {
      await untilListed();
      run.child.stdout?.destroy();
      run.child.stderr?.destroy();
      await qemu();
      await user.succeed('stop', '--timeout', '3', 'ci');
      await user.succeed('delete', 'ci');
      expect((await run.ended).exitCode).toBe(0);
    },
    LONG_MS,
  );

  it(
    'M11: ends with 1 when QEMU dies, and its first line on stderr is the reason',
    async () => {
      const pid = await qemu();
      // Where KVM does not work there is a second QEMU: it is the one that stays, and whose firmware writes.
      const log = `${user.vmDirectory('ci')}/serial.log`;
      await eventually('the firmware runs', () => existsSync(log) && statSync(log).size > 0);
      for (const each of new Set([pid, ...programsOfVm()])) kill(each);
      const { exitCode, stdout, stderr } = await run.ended;
      expect({ exitCode, stdout }).toEqual({
        exitCode: 1,
        stdout: expect.stringMatching(/^guest has stopped the virtual machine due to error: /),
      });
      expect(stderr.split('\n')[0]).toMatch(/^error: the VM ended by an accident: /);
    },
    LONG_MS,
  );
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone.
  }
}

function processesIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && linkOf(`/proc/${name}/cwd`) === directory)
    .map(Number);
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // Gone, or dead and not yet buried.
  }
}
