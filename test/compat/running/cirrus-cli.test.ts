import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressBy, endAfterwards, LONG_MS, PARTS_OF_DRIVERS, publishGuest } from '../../support/driven-vm.ts';
import { GuestShell } from '../../support/guest-shell.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { lowerCaseKeys, TartInPath } from '../../support/tart-in-path.ts';

/*
 * What Cirrus CLI does with `vetu` on Linux, and with `tart`, word for word and in its order (run-fleet-demand §5.3).
 */

const ID = 'cirrus-cli-worker1-0f8fad5b-d9cb-469f-a165-70867728950e';
const TRACE = { TRACEPARENT: '', CIRRUS_SENTRY_TAGS: 'task_id=4711' };

describeWithParts('Cirrus CLI', PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let image: string;
  let shell: GuestShell;

  beforeAll(async () => {
    image = await publishGuest(cleanup);
    shell = new GuestShell(cleanup);
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  it(
    'M2: runs a VM by vetu on the network of the host, with the packet size of its cloud',
    async () => {
      const user = new TartInPath(cleanup, {}, TRACE);
      const vetu: TartInPath['tart'] = async (...words) => user.call('vetu', ...words);
      // What a worker before it left is deleted without being stopped.
      await vetu('create', ID);
      for (const name of (await vetu('list', '--quiet')).stdout
        .split('\n')
        .filter((each) => each.startsWith('cirrus-cli-')))
        expect(await vetu('delete', name)).toMatchObject({ exitCode: 0 });
      for (const words of [
        ['pull', image],
        ['clone', image, ID],
        ['set', ID, '--cpu', '1'],
        ['set', ID, '--memory', '256'],
        ['set', ID, '--disk-size', '1'],
      ])
        expect(await vetu(...words)).toMatchObject({ exitCode: 0, stdout: '' });
      const run = endAfterwards(cleanup, user.startCalled('vetu', 'run', '--net-host', '--net-host-mtu', '1400', ID));
      const address = await addressBy(user, 'vetu', '--wait', '30', ID);
      expect(
        (await shell.command(address, 'cat /sys/class/net/eth0/mtu; ping -c 1 -w 2 10.0.2.2 >/dev/null; echo $?'))
          .stdout,
      ).toBe('1400\n0\n');
      expect(await vetu('stop', '--timeout', '5', ID)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      run.kill('SIGKILL');
      expect(await vetu('delete', ID)).toMatchObject({ exitCode: 0, stdout: '' });
    },
    LONG_MS,
  );

  it(
    'M2: runs a VM by tart for a disk that is thrown away',
    async () => {
      const user = new TartInPath(cleanup, {}, { ...TRACE, TART_NO_AUTO_PRUNE: '' });
      for (const words of [
        ['pull', image],
        ['clone', image, ID],
        ['set', ID, '--random-mac'],
        ['set', ID, '--cpu', '1'],
        ['set', ID, '--memory', '256'],
        ['set', ID, '--disk-size', '1'],
        ['set', ID, '--display', '1024x768'],
      ])
        expect(await user.tart(...words)).toMatchObject({ exitCode: 0, stdout: '' });
      const isolated = await user.tart(
        'run',
        '--no-graphics',
        '--net-softnet',
        '--net-softnet-allow',
        '10.0.0.0/8',
        ID,
      );
      expect(isolated.exitCode).toBe(64);
      expect(isolated.stderr.split('\n')[0]).toBe('error[USAGE]: Softnet isolates guests on macOS only.');
      const flags = ['--no-graphics', '--no-clipboard', '--no-audio', '--root-disk-opts', 'sync=none', '--nested'];
      const run = endAfterwards(cleanup, user.startTart('run', ...flags, ID));
      const address = await addressBy(user, 'tart', '--wait', '30', ID);
      const got = JSON.parse((await user.tart('get', '--format', 'json', ID)).stdout) as Record<string, unknown>;
      expect(lowerCaseKeys(got)).toMatchObject({ os: 'linux', cpu: 1, memory: 256, running: true, state: 'running' });
      expect((await shell.login(address, 'set -e\necho "$((6 * 7))"\nexit\n')).stdout).toContain('42\n');
      expect(await user.tart('stop', '--timeout', '5', ID)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      run.kill('SIGKILL');
      await user.succeed('delete', ID);
      expect(await run.ended).toMatchObject({ stdout: 'Stopping VM...\nguest has stopped the virtual machine\n' });
    },
    LONG_MS,
  );
});
