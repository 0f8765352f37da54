import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runHere } from '../../support/here.ts';
import { plantVm } from '../../support/home.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import { Workplace } from '../../support/real-command.ts';

/*
 * Commands that take something away, or find nothing, say so: on stderr, so that programs read what Tart prints.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const REPOSITORY = 'registry.corp:8221/macos/base';
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** Three files of less than a block each: 12,288 bytes on a disk with blocks of 4 KiB. */
function plantImage(workplace: Workplace, repository: string, ...tags: readonly string[]): string {
  const directory = path.join(workplace.home, 'cache/OCIs', repository.replace(':', '%3A'), DIGEST);
  plantVm(directory);
  for (const tag of tags) symlinkSync(directory, path.join(path.dirname(directory), tag));
  return directory;
}

describe('a VM that takes the place of one that did not run', () => {
  it('is told by create, clone and import, and one that takes no place is not', async () => {
    const workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('source'));
    const archive = path.join(workplace.directory, 'vm.oci.tar');
    expect((await workplace.run('export', 'source', archive)).exitCode).toBe(0);
    for (const words of [
      ['create', '--linux', '--disk-size', '1', 'vm'],
      ['clone', 'source', 'vm'],
      ['import', archive, 'vm'],
    ]) {
      const first = await workplace.run(...words);
      expect([first.exitCode, first.stdout]).toEqual([0, '']);
      expect(first.stderr).not.toContain('replaced');
      const second = await workplace.run(...words);
      expect([second.exitCode, second.stdout]).toEqual([0, '']);
      expect(second.stderr.split('\n')).toContain('note: replaced the VM vm, which did not run');
      expect((await workplace.run('delete', 'vm')).exitCode).toBe(0);
    }
  });

  it.each(['create', 'clone', 'import'])('is announced by %s --help', async (command) => {
    const { stdout } = await runHere(new Workplace(cleanup), [command, '--help'], 80);
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/(that|of the new name that) does not run is replaced/);
  });
});

describe('delete', () => {
  it('says what became free', async () => {
    const workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('ci'));
    writeFileSync(`${workplace.vmDirectory('ci')}/disk.img`, Buffer.alloc(3_000_000, 1));
    const directory = plantImage(workplace, REPOSITORY, '15', '26');
    plantImage(workplace, 'mirror.corp/macos/base', '15');
    const { exitCode, stdout, stderr } = await runHere(workplace, [
      'delete',
      'ci',
      `${REPOSITORY}:15`,
      `${REPOSITORY}:26`,
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
    const lines = stderr.split('\n');
    expect(lines[0]).toMatch(/^deleted ci: 3\.0 MB (freed|allocated, how much of it is shared cannot be told here)$/);
    expect(lines[1]).toBe(`removed the tag ${REPOSITORY}:15: its image stays, because another tag leads to it`);
    expect(lines[2]).toMatch(/^deleted registry\.corp:8221\/macos\/base:26: \d+\.\d KB (freed|allocated)/);
    expect(existsSync(directory)).toBe(false);
  });

  it.each([
    ['.explicitly-pulled', 'it was pulled by its digest'],
    ['.pinned', 'it is pinned'],
  ])('of the last tag of an image with %s says that the image stays, and why', async (mark, why) => {
    const workplace = new Workplace(cleanup);
    writeFileSync(`${plantImage(workplace, REPOSITORY, '15')}/${mark}`, '');
    expect((await runHere(workplace, ['delete', `${REPOSITORY}:15`])).stderr).toBe(
      `removed the tag ${REPOSITORY}:15: its image stays, because ${why}\n`,
    );
  });

  it('of a tag that leads to nothing says only that it went', async () => {
    const workplace = new Workplace(cleanup);
    const place = path.join(workplace.home, 'cache/OCIs/registry.corp/vm');
    mkdirSync(place, { recursive: true });
    symlinkSync(`${place}/${DIGEST}`, `${place}/1`);
    expect((await runHere(workplace, ['delete', 'registry.corp/vm:1'])).stderr).toBe(
      'removed the tag registry.corp/vm:1\n',
    );
  });
});

describe('prune', () => {
  it('says when nothing had to go', async () => {
    const workplace = new Workplace(cleanup);
    plantImage(workplace, REPOSITORY, '15');
    expect(await runHere(workplace, ['prune', '--older-than', '1'])).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'nothing was deleted\n',
    });
  });
});

describe('a list of nothing', () => {
  it.each([
    [[], 'no local VM and no cached image'],
    [['--source', 'local'], 'no local VM'],
    [['--source', 'oci'], 'no cached image'],
  ])('%j says so on a terminal', async (options, what) => {
    const workplace = new Workplace(cleanup);
    expect(await runHere(workplace, ['list', ...options], 80)).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: `there is ${what} in ${workplace.home}\n`,
    });
  });

  it('is the empty line of Tart for programs, and nothing with -q or as JSON', async () => {
    const workplace = new Workplace(cleanup);
    expect(await runHere(workplace, ['list'])).toMatchObject({
      stdout: '\n',
      stderr: '',
    });
    expect(await runHere(workplace, ['list', '-q'], 80)).toMatchObject({ stdout: '', stderr: '' });
    expect(await runHere(workplace, ['list', '--format', 'json'], 80)).toMatchObject({ stdout: '[]\n', stderr: '' });
  });
});

it('inspect --remote of a local VM is wrong usage, and changes nothing', async () => {
  const workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('ci'));
  const before = workplace.snapshot();
  const { exitCode, stdout, stderr } = await runHere(workplace, ['inspect', '--remote', 'ci']);
  expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
  expect(stderr).toMatch(
    /^error\[USAGE\]: --remote asks a registry, and "ci" names a local VM\.\nnext: leave out --remote, or write the image as /,
  );
  expect(workplace.snapshot()).toEqual(before);
});
