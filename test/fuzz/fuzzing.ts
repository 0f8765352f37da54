import { appendFileSync } from 'node:fs';
import { fc } from '@fast-check/vitest';
import { expect, it } from 'vitest';

/** How long `npm run fuzz` wants it, by way of the environment; in the test suite nothing of it is set. */
const { FUZZ_SEED, FUZZ_RUNS, FUZZ_SECONDS, FUZZ_REPORT } = process.env;
const SECONDS = FUZZ_SECONDS === undefined ? undefined : Number(FUZZ_SECONDS);

/**
 * A test with inputs that nobody thought of: `runs` of them, or as `npm run fuzz` says. Every run has another seed
 * unless one is given; a failure prints it, with the smallest input that fails, and `npm run fuzz -- --seed N` finds it
 * again.
 */
export function fuzz<T extends [unknown, ...unknown[]]>(
  title: string,
  inputs: { [K in keyof T]: fc.Arbitrary<T[K]> },
  check: (...input: T) => Promise<void> | void,
  runs = 300,
): void {
  let count = 0;
  const property = fc.asyncProperty(...inputs, async (...input) => {
    count += 1;
    await check(...input);
  });
  const limits =
    SECONDS === undefined
      ? { numRuns: FUZZ_RUNS === undefined ? runs : Number(FUZZ_RUNS) }
      : { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SECONDS * 1000 };
  it(
    `fuzzed: ${title}`,
    async () => {
      const seed = FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) };
      await expect(fc.assert(property, { ...limits, ...seed })).resolves.toBeUndefined();
      if (FUZZ_REPORT !== undefined) appendFileSync(FUZZ_REPORT, `${JSON.stringify([title, count])}\n`);
    },
    (SECONDS ?? 0) * 1000 + 60_000,
  );
}

/**
 * Any text, and texts that are nearly right: a good one with pieces of it lost, repeated, exchanged or replaced by
 * others.
 */
export function nearly(good: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      '/',
      ':',
      '@',
      '..',
      '%3A',
      '%2f',
      '\0',
      '"',
      '\\',
      ',',
      '=',
      '[',
      ']',
      '{',
      '}',
      '\r\n',
      '\u202e',
      'é',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
  );
  const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(4), piece);
  const changed = fc.tuple(good, fc.array(change, { maxLength: 4 })).map(([text, changes]) =>
    changes.reduce((sofar, [where, lost, put]) => {
      const at = Math.floor(where * sofar.length);
      return `${sofar.slice(0, at)}${put}${sofar.slice(at + lost)}`;
    }, text),
  );
  return fc.oneof({ weight: 4, arbitrary: changed }, { weight: 1, arbitrary: fc.string({ unit: 'binary' }) });
}

/** The same for bytes. */
export function nearlyBytes(good: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const change = fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.constantFrom('set', 'cut', 'insert', 'repeat'),
    fc.uint8Array({ minLength: 1, maxLength: 4 }),
  );
  return fc.tuple(good, fc.array(change, { maxLength: 4 })).map(([bytes, changes]) =>
    changes.reduce<Buffer>((sofar, [where, how, put]) => {
      const at = Math.floor(where * sofar.length);
      const [before, after] = [sofar.subarray(0, at), sofar.subarray(at)];
      if (how === 'cut') return before;
      if (how === 'insert') return Buffer.concat([before, put, after]);
      if (how === 'repeat') return Buffer.concat([before, after.subarray(0, 512), after]);
      return Buffer.concat([before, put, after.subarray(put.length)]);
    }, Buffer.from(bytes)),
  );
}
