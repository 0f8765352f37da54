import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ERROR_KINDS } from '../../src/cli/render/error-kind.ts';

const run = promisify(execFile);
const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/errors-doc.mjs');

it('docs/guide/errors.md says what the code says, of every code that is thrown', async () => {
  await expect(run(process.execPath, [SCRIPT, '--check'])).resolves.toMatchObject({ stderr: '' });
});

it.each(Object.entries(ERROR_KINDS))(
  '%s: a sentence of what happened, and an imperative without a full stop',
  (_code, kind) => {
    expect(kind.meaning).toMatch(/^[A-Z][^|\n]+\.$/);
    expect(kind.next).toMatch(/^[a-z][^|\n]+[^.]$/);
  },
);
