import { expect, it } from 'vitest';
import { WorkerPool } from '../../src/chunks/worker-pool.ts';

it.each([0, -1, 1.5, Number.NaN])(
  'a pool of %s refuses to be made, and does not look as if it had done its work',
  (concurrency) => {
    const make = (): WorkerPool =>
      new WorkerPool({
        concurrency,
        processors: 1,
        signal: new AbortController().signal,
        onBytes: () => undefined,
        onWait: () => undefined,
      });
    expect(make).toThrow(expect.objectContaining({ code: 'USAGE' }));
  },
);
