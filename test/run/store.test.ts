import { readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { prepareStore } from '../../src/run/store.ts';
import { temporaryDirectory } from '../support/directory.ts';

const KEPT = 768 * 1024;
const FLASH = 64 * 1024 * 1024;

/** A store of edk2 with a word at its end. */
function store(file: string, word: string, size: number): void {
  const bytes = Buffer.alloc(KEPT);
  Buffer.from('8d2bf1ff96768b4ca9852747075b4f50', 'hex').copy(bytes, 0x10);
  bytes.write('_FVH', 0x28);
  bytes.write(word, KEPT - 16);
  writeFileSync(file, bytes);
  truncateSync(file, size);
}

const wordOf = (file: string): string =>
  readFileSync(file)
    .subarray(KEPT - 16, KEPT)
    .toString('latin1')
    .replaceAll('\0', '');

describe('the variables of an arm64 guest whose run was killed', () => {
  /** @returns the word that the guest finds. @param size of what was left. */
  async function found(size: number, isOlder = false): Promise<string> {
    const directory = temporaryDirectory();
    store(`${directory}/nvram.bin`, 'kept', KEPT);
    store(`${directory}/nvram.run.fd`, 'left', size);
    if (isOlder) utimesSync(`${directory}/nvram.run.fd`, 1, 1);
    const firmware = { code: '/nowhere', storeTemplate: `${directory}/nvram.bin` };
    const prepared = await prepareStore(directory, { arch: 'arm64', firmware }, { platform: 'linux' });
    expect(statSync(`${directory}/${prepared.name}`).size).toBe(FLASH);
    expect(statSync(`${directory}/nvram.bin`).size).toBe(KEPT);
    return wordOf(`${directory}/${prepared.name}`);
  }

  it('are what the guest wrote last', async () => {
    expect(await found(FLASH)).toBe('left');
  });

  it('are those of before, where they were not copied to the end, or nvram.bin was written since', async () => {
    expect([await found(KEPT), await found(FLASH, true)]).toEqual(['kept', 'kept']);
  });
});
