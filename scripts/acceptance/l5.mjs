/**
 * L5: a guest that writes and flushes all the time while its disk arrives and takes the place of the lazy one has all
 * its records; the disk is that of a plain clone with what the guest wrote, the image that of a plain pull.
 *
 *     npm run acceptance l5 -- [--count PIVOTS]
 */
import { parseArgs } from 'node:util';
import { runTests, sumOf } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '20' } } });
  const { isGood, reports } = runTests('real/lazy-kills.test.ts', 'has all that a guest flushed', {
    TARTLET_LAZY_PIVOTS: values.count,
  });
  const good = reports.filter(({ wrong }) => wrong.length === 0).length;
  const [before, during, after] = ['before', 'during', 'after'].map((when) =>
    sumOf(reports, ({ records }) => records[when]),
  );
  const hit = reports.filter(({ records }) => records.during > 0).length;
  console.log(
    `| L5 | ${good}/${values.count} pivots below writes: records flushed before ${before}, during ${during} (in ` +
      `${hit} of them), after ${after}, none missing; image as pulled, disk as cloned and written to, doctor --deep clean |`,
  );
  return isGood && good === Number(values.count) && hit > 0 ? 0 : 1;
}
