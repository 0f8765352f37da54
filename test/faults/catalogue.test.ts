import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';

const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/faults-doc.mjs');

test('docs/faults.md is what the tests prove', () => {
  // Its complaints are on stderr, which is part of the failure.
  expect(execFileSync(process.execPath, [SCRIPT, '--check'], { encoding: 'utf8' })).toMatch(/^237 rows, /);
});
