import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** As many as fit; `npm run acceptance f1` has the others. */
const CASES = '10';

describeWithParts('registries.conf', ['skopeo', 'openssl'], () => {
  it('leads to the same hosts in the same order as for skopeo, with the same logins', async () => {
    const args = ['scripts/acceptance.mjs', 'f1', '--count', CASES, '--seed', '6'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
    expect(stdout).toContain(`${CASES} generated registries.conf and names (seed 6) against skopeo: 0 differences`);
  }, 120_000);
});
