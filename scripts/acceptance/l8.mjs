/**
 * L8: a disk that has arrived is read within 5 % as fast as that of a plain clone, and nothing is left of NBD.
 *
 *     npm run acceptance l8 -- [--count SAMPLES] [--slack PERCENT]
 */
import { parseArgs } from 'node:util';
import { runTests } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main(args) {
  const options = { count: { type: 'string', default: '41' }, slack: { type: 'string', default: '5' } };
  const { values } = parseArgs({ args, options });
  const { isGood, reports } = runTests('real/lazy-afterwards.test.ts', 'a disk that has arrived', {
    TARTLET_LAZY_SAMPLES: values.count,
  });
  const ratios = Object.entries(reports[0]?.ratios ?? {});
  const told = ratios.map(([kind, ratio]) => `${kind} ${ratio.toFixed(3)}`).join(', ');
  console.log(
    `| L8 | time of reads by QEMU, of that of a plain clone, medians of ${values.count} in turns: ${told}; the same nodes in ` +
      `QEMU, no NBD in its command line, no socket |`,
  );
  const isNear = ratios.length > 0 && ratios.every(([, ratio]) => Math.abs(ratio - 1) <= Number(values.slack) / 100);
  return isGood && isNear ? 0 : 1;
}
