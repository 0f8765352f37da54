import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Running, Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

/** Measures with more time, and less slack, by `npm run acceptance f9`. */
const ACCEPTANCE = path.resolve(import.meta.dirname, '../../scripts/acceptance.mjs');
const BYTES = 1024 ** 2;

describe('--limit-rate', () => {
  let user: Workplace;
  let image: string;

  beforeAll(async () => {
    const { port } = await startRealRegistry(cleanup, 'embedded');
    image = `127.0.0.1:${port}/team/base:latest`;
    user = new Workplace(cleanup);
    await user.run('list');
    plantVm(user.vmDirectory('publisher'), randomBytes(BYTES));
    const { exitCode, stderr } = await user.run('push', '--layer-size', '1', 'publisher', image);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  });

  it('is kept by pull, push and copy, by all threads of a command together', async () => {
    const words = ['f9', '--rate-only', '--seconds', '2', '--over', '35', '--slack', '80'];
    const { exitCode, stdout, stderr } = await new Running(process.execPath, [ACCEPTANCE, ...words], {
      PATH: process.env['PATH'] ?? '',
    }).ended;
    expect({ exitCode, stdout, stderr }).toMatchObject({ exitCode: 0 });
    expect(stdout).toMatch(/^rates of what was asked for: pull [\d.]+ %, push [\d.]+ %, copy [\d.]+ %\n$/);
  });

  it('comes from the environment as well, and 0 takes the limit away', async () => {
    const slow = { TARTLET_LIMIT_RATE: '1' };
    const own = new Workplace(cleanup);
    Object.assign(own.environment, slow);
    expect(await own.run('pull', '--limit-rate', '0', image)).toMatchObject({ exitCode: 0 });
  });

  it('that is none is refused before anything is done', async () => {
    const own = new Workplace(cleanup);
    expect(await own.run('pull', '--limit-rate', '20Mbit', image)).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('It must be bytes per second, like 500K, 20M or 2.5MB/s.') as unknown,
    });
    Object.assign(own.environment, { TARTLET_LIMIT_RATE: 'fast' });
    expect(await own.run('pull', image)).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining(
        'TARTLET_LIMIT_RATE is "fast", which is no number of bytes per second',
      ) as unknown,
    });
    expect(own.visibleFiles()).toEqual([]);
  });
});
