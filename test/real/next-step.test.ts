import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

/*
 * What an error tells to do must be possible, and help.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

describe('a TART_HOME that is a file', () => {
  it.each([
    [['list']],
    [['list', '--format', 'json']],
    [['get', 'vm']],
    [['delete', 'vm']],
    [['prune', '--gc']],
    [['create', '--linux', 'vm']],
    [['pull', 'registry.invalid/team/base:1']],
  ])('%j says so', async (words) => {
    const workplace = new Workplace(cleanup);
    writeFileSync(workplace.home, '');
    expect(await workplace.run(...words)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        `error[CONFIG_INVALID]: ${workplace.home} is a file, where images and VMs need a directory.\n` +
        'next: move the file away, or set TART_HOME to a directory\n',
    });
  });

  it('doctor names it as what is wrong, and what to do', async () => {
    const workplace = new Workplace(cleanup);
    writeFileSync(workplace.home, '');
    const { exitCode, stdout } = await workplace.run('doctor');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('it cannot be read: it is no directory');
    expect(stdout).toContain('next: move it away: a directory belongs there');
  });

  it('a link to a directory is none, and a symlink to nothing becomes one', async () => {
    const workplace = new Workplace(cleanup);
    symlinkSync(path.join(workplace.directory, 'elsewhere'), workplace.home);
    expect(await workplace.run('list', '-q')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect((await workplace.run('create', '--linux', '--disk-size', '1', 'vm')).exitCode).toBe(0);
    expect(await workplace.names()).toEqual(['vm']);
  });
});

it.each(['vms', 'cache', 'cache/OCIs'])('a file in the place of %s is no empty list', async (place) => {
  const workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('vm'));
  mkdirSync(path.join(workplace.home, 'cache'));
  rmSync(path.join(workplace.home, place), { recursive: true, force: true });
  writeFileSync(path.join(workplace.home, place), '');
  const { exitCode, stdout, stderr } = await workplace.run('list', '-q');
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toMatch(
    /^error\[DISK_IO\]: cannot read the directory \S+\/(vms|OCIs): .*\nnext: move away the file that is in the place of a directory/,
  );
});

it('a VM that runs is to be stopped, whichever program runs it', async () => {
  const workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('vm'));
  await runVm(workplace.vmDirectory('vm'));
  const { exitCode, stderr } = await workplace.run('delete', 'vm');
  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    'error[VM_RUNNING]: the VM "vm" is running.\nkept: it was left alone\n' +
      'next: stop it first, and run the same command again\n',
  );
});

it('a damaged record of a VM does not send anybody to delete an image', async () => {
  const workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('vm'));
  writeFileSync(`${workplace.vmDirectory('vm')}/.origin.json`, 'no JSON');
  const { exitCode, stderr } = await workplace.run('inspect', 'vm');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('next: move the record away: what it lies beside is used without it\n');
  rmSync(`${workplace.vmDirectory('vm')}/.origin.json`);
  expect((await workplace.run('inspect', 'vm')).exitCode).toBe(0);
});

it('the hint for a full disk without images is not to delete some', async () => {
  const workplace = new Workplace(cleanup);
  const { exitCode, stderr } = await workplace.shell('$TARTLET --help > /dev/full');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('next: free some space on that disk and run the same command again\n');
});
