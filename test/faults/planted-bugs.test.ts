import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';

const SCRIPT = path.resolve(import.meta.dirname, '../../scripts/planted-bugs.mjs');

it('each of the bugs can still be planted where `npm run planted-bugs` wants to', () => {
  expect(execFileSync(process.execPath, [SCRIPT, '--check'], { encoding: 'utf8' })).toBe(
    'All 19 bugs can be planted.\n',
  );
});
