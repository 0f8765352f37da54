import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { plantBareMachine } from '../support/bare-machine.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

describeWithParts('inspect of a VM that runs', ['qemu-system-x86_64', 'ovmf'], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  it('says by whom and since when, where it is reached, and what of it is saved; get keeps the keys of Tart', async () => {
    const workplace = new Workplace(cleanup);
    const directory = workplace.vmDirectory('ci');
    plantBareMachine(directory);
    const inspect = async (): Promise<Readonly<Record<string, unknown>>> =>
      JSON.parse((await workplace.run('inspect', 'ci', '--format', 'json')).stdout) as Record<string, unknown>;
    expect(Object.keys(await inspect())).not.toContain('run');

    const running = workplace.start('run', 'ci');
    cleanup.add(() => running.kill('SIGKILL'));
    while (!existsSync(`${directory}/requests.sock`) && running.child.exitCode === null) await delay(20);
    expect(await inspect()).toMatchObject({
      state: 'running',
      run: {
        pid: running.child.pid,
        startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        network: 'user',
        address: expect.stringMatching(/^127\./),
        sshPort: expect.any(Number),
      },
    });
    expect((await workplace.run('inspect', 'ci')).stdout).toMatch(
      new RegExp(`\nRun: {7}process ${running.child.pid}, since .*\nAddress: {3}127\\.`),
    );
    const got = JSON.parse((await workplace.run('get', 'ci', '--format', 'json')).stdout) as Record<string, unknown>;
    expect(got).toMatchObject({ Running: true, State: 'running' });
    expect(Object.keys(got).toSorted()).toEqual([
      'CPU',
      'Disk',
      'DiskFormat',
      'Display',
      'Memory',
      'OS',
      'Running',
      'Size',
      'State',
    ]);
    // Programs cut the row at its blanks (run-fleet-demand §8).
    const [heads = '', row = ''] = (await workplace.run('get', 'ci')).stdout.split('\n');
    expect(row.trim().split(/ +/)).toHaveLength(heads.trim().split(/ +/).length);

    expect(await workplace.run('suspend', 'ci')).toMatchObject({ exitCode: 0 });
    expect(await running.ended).toMatchObject({ exitCode: 0 });
    const suspended = await inspect();
    expect(suspended).toMatchObject({ state: 'suspended', savedMemoryBytes: expect.any(Number) });
    expect(Object.keys(suspended)).not.toContain('run');
    expect((await workplace.run('list')).stdout).toContain('suspended');
  }, 120_000);
});
