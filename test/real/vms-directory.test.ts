import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { configJson, plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

describe('VMs on another disk', () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  it('every way of making one makes the directory that a dangling vms leads to', async () => {
    const maker = new Workplace(cleanup);
    plantVm(maker.vmDirectory('vm'));
    const archive = `${maker.directory}/vm.tar`;
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
      symlinkSync(`${user.directory}/disk/vms`, `${user.home}/vms`);
      const { exitCode, stderr } = await user.run(...command);
      expect(exitCode, stderr).toBe(0);
      expect(readdirSync(`${user.directory}/disk/vms`)).toContain('new');
    }
  });

  describe('a disk.img that is a symlink', () => {
    /** A VM `vm` whose disk lies elsewhere. */
    function withLinkedDisk(): { user: Workplace; disk: string } {
      const user = new Workplace(cleanup);
      plantVm(user.vmDirectory('vm'), 'contents of the disk');
      const disk = `${user.directory}/elsewhere.img`;
      renameSync(`${user.vmDirectory('vm')}/disk.img`, disk);
      symlinkSync(disk, `${user.vmDirectory('vm')}/disk.img`);
      return { user, disk };
    }

    it('to a file elsewhere: it is listed, shown, examined, exported and cloned, as in Tart', async () => {
      const { user } = withLinkedDisk();
      expect(await user.names()).toEqual(['vm']);
      expect(await user.run('get', 'vm')).toMatchObject({ exitCode: 0 });
      expect(await user.run('doctor')).toMatchObject({ exitCode: 0 });
      const archive = `${user.directory}/vm.tar`;
      for (const command of [
        ['export', 'vm', archive],
        ['import', archive, 'imported'],
        ['clone', 'vm', 'copy'],
      ]) {
        const { exitCode, stderr } = await user.run(...command);
        expect(exitCode, stderr).toBe(0);
      }
      for (const made of ['imported', 'copy']) {
        expect(lstatSync(`${user.vmDirectory(made)}/disk.img`).isFile()).toBe(true);
        expect(readFileSync(`${user.vmDirectory(made)}/disk.img`, 'utf8')).toBe('contents of the disk');
      }
    });

    it('deleting the VM leaves the file elsewhere, and what it frees is told so', async () => {
      const { user, disk } = withLinkedDisk();
      const { stdout } = await user.run('inspect', 'vm', '--format', 'json');
      const { logicalBytes, allocatedBytes, reclaimableBytes } = JSON.parse(stdout) as Record<string, number>;
      expect(logicalBytes).toBe(configJson().length + 'nvram'.length + 'contents of the disk'.length);
      expect(reclaimableBytes).toBeLessThan(allocatedBytes ?? 0);
      expect(await user.run('delete', 'vm')).toMatchObject({ exitCode: 0 });
      expect(readFileSync(disk, 'utf8')).toBe('contents of the disk');
    });

    it('to nothing: it is said what is wrong with it', async () => {
      const { user, disk } = withLinkedDisk();
      rmSync(disk);
      const { exitCode, stderr } = await user.run('get', 'vm');
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`the VM "vm" cannot be used: disk.img is a symlink to ${disk}, where no file is.\n`);
    });

    it('in an image: it is no image (C29)', async () => {
      const user = new Workplace(cleanup);
      const directory = `${user.home}/cache/OCIs/registry.corp/team/base/sha256:${'a'.repeat(64)}`;
      plantVm(directory);
      renameSync(`${directory}/disk.img`, `${user.directory}/elsewhere.img`);
      symlinkSync(`${user.directory}/elsewhere.img`, `${directory}/disk.img`);
      expect(await user.names()).toEqual([]);
    });
  });
});
