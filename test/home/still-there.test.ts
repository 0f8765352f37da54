import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readAsOne } from '../../src/home/still-there.ts';
import { lookAtLocalVm } from '../../src/home/vm-directory.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** A VM whose files say which one it is. */
function plant(directory: string, text: string): void {
  mkdirSync(directory);
  for (const file of ['config.json', 'nvram.bin', 'disk.img']) writeFileSync(`${directory}/${file}`, text);
}

function home() {
  const at = `${temporaryDirectory()}/vm`;
  plant(at, 'old');
  plant(`${at}-new`, 'new');
  const find = async () => {
    const directory = lookAtLocalVm(at);
    if (directory === undefined) throw new Error('not there');
    return Promise.resolve({ directory });
  };
  const replace = (): void => {
    rmSync(at, { recursive: true });
    renameSync(`${at}-new`, at);
  };
  const read = (file: string): string => readFileSync(`${at}/${file}`, 'utf8');
  return { at, find, replace, read };
}

describe('several files of one VM', () => {
  it('are read again when another one came in its place between two of them (P34)', async () => {
    const { find, replace, read } = home();
    let replaced = false;
    const both = await readAsOne(find, async () => {
      const first = read('config.json');
      if (!replaced) replace();
      replaced = true;
      return Promise.resolve([first, read('nvram.bin')]);
    });
    expect(both).toEqual(['new', 'new']);
  });

  it('are not there when it goes while they are read, whatever the reading said of it (P34)', async () => {
    const { at, find, read } = home();
    const reading = readAsOne(find, async () => {
      rmSync(at, { recursive: true });
      return Promise.resolve(read('config.json'));
    });
    await expect(reading).rejects.toThrow('not there');
  });

  it('are not there either when it goes and the reading did not notice (P34)', async () => {
    const { at, find, read } = home();
    const reading = readAsOne(find, async () => {
      const text = read('config.json');
      rmSync(at, { recursive: true });
      return Promise.resolve(text);
    });
    await expect(reading).rejects.toThrow('not there');
  });

  it('fail as they fail when it stays', async () => {
    const { find } = home();
    await expect(readAsOne(find, async () => Promise.reject(new Error('damaged')))).rejects.toThrow('damaged');
  });

  it('are given up when others come again and again (P34)', async () => {
    const { at, find } = home();
    let times = 0;
    const reading = readAsOne(find, async () => {
      times += 1;
      rmSync(at, { recursive: true });
      plant(at, String(times));
      return Promise.resolve();
    });
    await expect(reading).rejects.toMatchObject({ code: 'BUSY', facts: { retryable: true } });
    expect(times).toBe(5);
  });
});
