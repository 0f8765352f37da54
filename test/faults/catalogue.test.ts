import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';

const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/faults-doc.mjs');

it('docs/maintainers/faults.md is what the tests cover, and no row is without a test or a reason', () => {
  // Its complaints are on stderr, which is part of the failure.
  const said = execFileSync(process.execPath, [SCRIPT, '--check'], { encoding: 'utf8' });
  expect(said).toMatch(/^(\d+) rows, \1 of them covered or out of reach\n$/);
});
