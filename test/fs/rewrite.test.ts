import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { rewriteJson } from '../../src/fs/rewrite.ts';
import { temporaryDirectory } from '../support/directory.ts';

const LONG = JSON.stringify({ key: 'x'.repeat(300) });
const SHORT = '{}';

it.each([
  ['longer', SHORT, LONG],
  ['shorter', LONG, SHORT],
  ['equal', LONG, LONG],
])('a %s text takes the place of the old one in the same file', async (_, before, after) => {
  const file = `${temporaryDirectory()}/config.json`;
  writeFileSync(file, before, { mode: 0o600 });
  const { ino } = statSync(file);
  await rewriteJson(file, Buffer.from(after));
  expect(readFileSync(file, 'utf8')).toBe(after);
  expect(statSync(file)).toMatchObject({ ino, mode: 0o100600 });
});

it('a file that is not there is not created', async () => {
  const file = `${temporaryDirectory()}/config.json`;
  await expect(rewriteJson(file, Buffer.from(SHORT))).rejects.toMatchObject({ code: 'DISK_IO' });
  expect(() => statSync(file)).toThrow('ENOENT');
});

it('where there is no room, the old text stays (D4)', () => {
  const directory = temporaryDirectory();
  const file = `${directory}/config.json`;
  writeFileSync(file, SHORT);
  const limited = `
import { rewriteJson } from ${JSON.stringify(`file://${process.cwd()}/dist/fs/rewrite.js`)};
await rewriteJson(process.argv[2], Buffer.alloc(4096, 32)).catch((error) => console.log(error.code));`;
  writeFileSync(`${directory}/limited.mjs`, limited);
  // Files of at most 1024 bytes: the first write is cut short, and the next one fails.
  const said = execFileSync('bash', ['-c', `ulimit -f 1; exec node ${directory}/limited.mjs ${file}`], {
    encoding: 'utf8',
  });
  expect(said).toBe('DISK_UNSUPPORTED\n');
  expect(readFileSync(file, 'utf8')).toBe(SHORT);
});
