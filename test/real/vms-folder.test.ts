import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

describe('VMs on another disk', () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  it('every way of making one makes the folder that a dangling vms leads to', async () => {
    const maker = new Workplace(cleanup);
    plantVm(maker.vmFolder('vm'));
    const archive = `${maker.folder}/vm.tar`;
    expect(await maker.run('export', 'vm', archive)).toMatchObject({ exitCode: 0 });
    const image = `registry.corp/team/base@sha256:${'a'.repeat(64)}`;
    for (const command of [
      ['create', '--linux', 'new'],
      ['import', archive, 'new'],
      ['clone', image, 'new'],
    ]) {
      const user = new Workplace(cleanup);
      mkdirSync(user.home);
      plantVm(`${user.home}/cache/OCIs/registry.corp/team/base/sha256:${'a'.repeat(64)}`);
      symlinkSync(`${user.folder}/disk/vms`, `${user.home}/vms`);
      const { exitCode, stderr } = await user.run(...command);
      expect(exitCode, stderr).toBe(0);
      expect(readdirSync(`${user.folder}/disk/vms`)).toContain('new');
    }
  });
});
