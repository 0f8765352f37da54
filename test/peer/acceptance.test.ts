import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** A small share of `npm run acceptance f8`, which also measures what a bad peer costs. */
it('real commands take an image from a peer, whatever other peers do, and nothing without the token (F8)', async () => {
  const args = ['scripts/acceptance.mjs', 'f8', '1', '16', '64', 'bytes'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  expect(stdout).toContain('100.0 % of the bytes from the peer');
  expect(stdout).toContain('bytes without the token: 0');
}, 120_000);
