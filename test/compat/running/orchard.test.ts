import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressBy, endAfterwards, LONG_MS, PARTS_OF_DRIVERS, publishGuest } from '../../support/driven-vm.ts';
import { GuestShell } from '../../support/guest-shell.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import type { Running } from '../../support/real-command.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { TartInPath } from '../../support/tart-in-path.ts';

/*
 * What Orchard's worker does on Linux, from its start to the end of a VM, word for word and in its order
 * (run-fleet-demand §4.1). It ends what it started by SIGKILL, and reports the first line of stderr, else of stdout.
 */

const ID = 'orchard-linux-5b8fd1a4-6c1c-4d2b-9a3e-2f0d4c9d7e11-0';
/**
 * Startup scripts go to a login shell after what stops them at the first failure, and the variables (run-fleet-demand
 * §4.1).
 */
const SCRIPT = 'set -e\nexport KEY="a value"\nseq 1 1000\nuname -s\necho "$KEY"\nexit 123\nexit\n';

describeWithParts("Orchard's worker on Linux", PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let image: string;
  let worker: TartInPath;
  let shell: GuestShell;
  let run: Running;
  const vetu = async (...words: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await worker.call('vetu', ...words);
    expect(exitCode, `vetu ${words.join(' ')}\n${stderr}`).toBe(0);
    return stdout.trim();
  };

  beforeAll(async () => {
    image = await publishGuest(cleanup);
    worker = new TartInPath(cleanup);
    shell = new GuestShell(cleanup);
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  async function states(): Promise<unknown> {
    const rows = JSON.parse(await vetu('list', '--format', 'json')) as Record<string, unknown>[];
    return rows.filter((row) => row['Source'] === 'local').map((row) => [row['Name'], row['State'], row['Running']]);
  }

  it('finds nothing that was left, pulls, clones, and configures what was asked for', async () => {
    expect(await states()).toEqual([]);
    await vetu('pull', image);
    await vetu('clone', image, ID);
    expect(await vetu('fqn', image)).toMatch(/^127\.0\.0\.1:\d+\/team\/guest@sha256:[0-9a-f]{64}$/);
    await vetu('set', '--memory', '320', ID);
    await vetu('set', '--cpu', '1', ID);
    await vetu('set', '--disk-size', '1', ID);
    expect(await states()).toEqual([[ID, 'stopped', false]]);
  });

  it(
    'M1: runs a VM under the name vetu without any option, and its startup script by SSH',
    async () => {
      run = endAfterwards(cleanup, worker.startCalled('vetu', 'run', ID));
      const address = await addressBy(worker, 'vetu', '--wait', '60', ID);
      expect(await states()).toEqual([[ID, 'running', true]]);
      const { exitCode, stdout } = await shell.login(address, SCRIPT);
      const lines = stdout.trim().split('\n');
      expect({ exitCode, lines: lines.length, end: lines.slice(-3) }).toEqual({
        exitCode: 123,
        lines: 1002,
        end: ['1000', 'Linux', 'a value'],
      });
      // Of 320 MiB, what the kernel leaves to others.
      expect((await shell.command(address, 'free -m | grep Mem: ')).stdout).toMatch(/^Mem: +2[6-9]\d /);
    },
    LONG_MS,
  );

  it('M21: is seen by ps as it was called, and refuses a second run', async () => {
    const words = readFileSync(`/proc/${run.child.pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    expect(words.slice(-2)).toEqual(['run', ID]);
    expect(words.join(' ')).toMatch(new RegExp(`/vetu run ${ID}$`));
    expect(readFileSync(`/proc/${run.child.pid}/comm`, 'utf8')).toBe('vetu\n');
    expect(await worker.call('vetu', 'run', ID)).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await worker.tart('run', ID)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error\[VM_RUNNING\]: /),
    });
  });

  it(
    'M12: stops it within its 5 seconds, kills what is left, and deletes it at once; run has said next to nothing',
    async () => {
      expect({ stdout: run.stdout, stderr: run.stderr }).toEqual({ stdout: '', stderr: '' });
      await vetu('stop', '--timeout', '5', ID);
      run.kill('SIGKILL');
      await vetu('delete', ID);
      const { stdout } = await run.ended;
      expect(stdout).toBe('Stopping VM...\nguest has stopped the virtual machine\n');
      expect(await states()).toEqual([]);
    },
    LONG_MS,
  );
});
