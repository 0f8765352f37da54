import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';

const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/faults-doc.mjs');

test('docs/faults.md is what the tests prove, and no row is without a test or a reason', () => {
  // Its complaints are on stderr, which is part of the failure.
  const said = execFileSync(process.execPath, [SCRIPT, '--check'], { encoding: 'utf8' });
  expect(said).toMatch(/^(\d+) rows, \1 of them proved or out of reach\n$/);
});
