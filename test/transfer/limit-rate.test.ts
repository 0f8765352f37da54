import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const MIB = 1024 ** 2;
const BYTES = 3 * MIB;
/** Three seconds' worth at 1 MiB per second, but for what may be caught up with. */
const LEAST_MS = 2700;

/*
 * How exact the rate is, `npm run acceptance f9` measures. Here it is only that there is one budget for all threads of a
 * command, in both directions.
 */
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

  it.each([
    ['pull', ['--limit-rate', '1M', '--concurrency', '3']],
    ['push', ['--limit-rate', '1MiB/s', '--layer-size', '1']],
    ['copy', ['--limit-rate', '1m']],
  ] as const)('slows %s down as a whole', async (command, options) => {
    // A registry that has nothing of the image yet.
    const other = await startRealRegistry(cleanup, 'embedded');
    const target = `127.0.0.1:${other.port}/team/base:latest`;
    const names = { pull: [image], push: ['publisher', target], copy: [image, target] }[command];
    const own = command === 'push' ? user : new Workplace(cleanup);
    const began = performance.now();
    const { exitCode, stderr } = await own.run(command, ...options, ...names);
    const took = performance.now() - began;
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(took).toBeGreaterThan(LEAST_MS);
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
