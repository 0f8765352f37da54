import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { FINDINGS } from '../../src/doctor/finding-kind.ts';

const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/doctor-doc.mjs');

it('docs/guide/cache.md lists every kind of finding as the code has it', async () => {
  await expect(promisify(execFile)(process.execPath, [SCRIPT, '--check'])).resolves.toMatchObject({ stderr: '' });
});

it.each(Object.entries(FINDINGS))('%s: a clause that fits into the table', (_id, { meaning, fix }) => {
  expect(meaning).toMatch(/^[^A-Z|\n][^|\n]+[^.]$/);
  expect(fix ?? 'nothing').toMatch(/^[^A-Z|\n][^|\n]+[^.]$/);
});
