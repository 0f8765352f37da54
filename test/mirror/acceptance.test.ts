import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);
/** They start the command a dozen times, on a machine that may do other things. */
const PATIENCE = { timeout: 120_000 };

/** A share of what `npm run acceptance` does in bulk, with the real command. @returns its rows. */
async function acceptance(...words: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, ['scripts/acceptance.mjs', ...words], { cwd: ROOT });
  return stdout;
}

it('cold clients that pull at a time cost the upstream one image (N64)', PATIENCE, async () => {
  const rows = await acceptance('f2', '--count', '5', '--mib', '8', '--rate', '20', '--counts-only');
  expect(rows).toContain('5 cold clients, 8 MiB, 20 MB/s: 1.000 × the image from upstream, 1 GET per blob');
});

it(
  'clients, connections and caches that die cost next to nothing, and nothing wrong is served (N64, P36)',
  PATIENCE,
  async () => {
    const rows = await acceptance('f3', '--count', '3', '--mib', '16', '--rate', '20');
    expect(rows).toContain('0 others disturbed');
    expect(rows).toContain('16 resumed by Range');
    expect(rows).toContain('0 times anything wrong served or stored, 0 finished blobs fetched again');
  },
);

it('wrong bytes are never stored, and the next try heals (Q3, S79)', PATIENCE, async () => {
  const rows = await acceptance('f5', '--count', '2');
  expect(rows).toContain('8/8 failures seen by the client, 0 stored, 8/8 healed by the next try');
  expect(rows).toContain('2/2 resumed within the try');
});

it(
  'a budget that is much less than what is read is held within one blob, and no stream breaks (S80)',
  PATIENCE,
  async () => {
    expect(await acceptance('f10', '--count', '60', '--mib', '16')).toContain('0 streams broken');
  },
);
