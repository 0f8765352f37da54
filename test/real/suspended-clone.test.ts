import { readFileSync, utimesSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { plantSuspendedGuest } from '../support/suspended-guest.ts';

const LONG_MS = 400_000;

describeWithParts('a clone of a suspended VM', ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;

  beforeAll(async () => {
    workplace = new Workplace(cleanup);
    await plantSuspendedGuest(workplace.vmDirectory('golden'));
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  /** What fails leaves nothing running. */
  function run(name: string): Running {
    const running = workplace.start('run', name);
    cleanup.add(async () => {
      running.kill('SIGKILL');
      await running.ended.catch(() => undefined);
    });
    return running;
  }

  const guestMac = async (name: string): Promise<string> =>
    (await workplace.run('exec', name, 'cat', '/sys/class/net/eth0/address')).stdout.trim();
  const configMac = (name: string): unknown =>
    (JSON.parse(readFileSync(`${workplace.vmDirectory(name)}/config.json`, 'utf8')) as Record<string, unknown>)[
      'macAddress'
    ];

  it(
    'goes on where the guest was, beside it, with a network card and an address of its own, and can be suspended again',
    async () => {
      expect(await workplace.run('clone', 'golden', 'copy')).toMatchObject({ exitCode: 0 });
      expect((await workplace.run('list', '--format', 'json')).stdout.match(/"suspended"/g)).toHaveLength(2);
      const runs = [run('copy'), run('golden')];
      const addresses = await Promise.all(
        ['copy', 'golden'].map(async (name) => (await workplace.run('ip', name, '--wait', '120')).stdout),
      );
      expect(new Set(addresses).size).toBe(2);
      for (const name of ['copy', 'golden']) expect([name, await guestMac(name)]).toEqual([name, configMac(name)]);
      expect(configMac('copy')).not.toBe(configMac('golden'));
      await workplace.run('exec', 'copy', 'sh', '-c', 'echo kept >/tmp/file');
      await workplace.run('suspend', 'copy');
      await workplace.run('suspend', 'golden');
      for (const one of runs) expect(await one.ended).toMatchObject({ exitCode: 0, stdout: 'Suspending VM...\n' });
      const again = run('copy');
      await workplace.run('ip', 'copy', '--wait', '120');
      expect((await workplace.run('exec', 'copy', 'cat', '/tmp/file')).stdout).toBe('kept\n');
      expect(await guestMac('copy')).toBe(configMac('copy'));
      await workplace.run('stop', 'copy');
      expect(await again.ended).toMatchObject({ exitCode: 0 });
    },
    LONG_MS,
  );

  it(
    'and every other VM goes on under another name, and ends with 1 and what it said last when its kernel panics',
    async () => {
      await workplace.run('clone', 'golden', 'doomed');
      expect(await workplace.run('rename', 'doomed', 'renamed')).toMatchObject({ exitCode: 0 });
      const doomed = run('renamed');
      await workplace.run('ip', 'renamed', '--wait', '120');
      await workplace.run(
        'exec',
        'renamed',
        'sh',
        '-c',
        'echo 7 >/proc/sys/kernel/printk; echo c >/proc/sysrq-trigger',
      );
      const { exitCode, stdout, stderr } = await doomed.ended;
      expect({ exitCode, stdout }).toEqual({
        exitCode: 1,
        stdout:
          'guest has stopped the virtual machine due to error: the kernel of the guest panicked: sysrq triggered crash\n',
      });
      expect(stderr).toMatch(
        /^error: the VM ended by an accident: the kernel of the guest panicked: sysrq triggered crash\nthe guest said last:\n/m,
      );
      expect(stderr).toContain('</TASK>');
    },
    LONG_MS,
  );

  it('begins anew, and says so, when the disk was written since; the VM itself does not go on', async () => {
    await workplace.run('clone', 'golden', 'other');
    utimesSync(`${workplace.vmDirectory('other')}/disk.img`, 1, 1);
    const { exitCode, stderr } = await workplace.run('clone', 'other', 'anew');
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('begins anew') });
    expect(await workplace.run('run', 'other')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/its disk was written since[\s\S]*tartlet stop other/),
    });
    await workplace.run('set', 'golden', '--cpu', '2');
    expect(await workplace.run('run', 'golden')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('QEMU or the settings of the VM have changed since'),
    });
    expect(await workplace.run('delete', 'other', 'anew', 'golden')).toMatchObject({ exitCode: 0 });
  });
});
