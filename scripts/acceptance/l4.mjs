/**
 * L4: a byte of each unit is changed on its way: a guest that reads all of them gets none of it, stands still with the
 * digests named while what is right goes on coming, and gets all when that is mended. A piece index that is changed, or
 * that the manifest does not name, is not used.
 *
 *     npm run acceptance l4 -- [--count UNITS]
 */
import { parseArgs } from 'node:util';
import { runTests, sumOf } from './lazy/by-tests.mjs';

/** Of layers as `push --layer-size 16` makes them, and of small ones. */
const UNITS_KIB = [16 * 1024, 1024];
/** Of pieces, and of indices of them that are not what the manifest names: one of each. */
const OF_PIECES =
  'whole where the index|registry has lost the index|a piece whose digest is wrong|a mirror has damaged';

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '30' } } });
  let isMet = true;
  const rows = [];
  for (const kib of UNITS_KIB) {
    const { isGood, reports } = runTests('lazy-disk/flipped-bytes.test.ts', 'no byte of what was changed', {
      TARTLET_LAZY_FLIPS: values.count,
      TARTLET_LAZY_UNIT_KIB: String(kib),
    });
    const units = sumOf(reports, (report) => report.units);
    isMet &&= isGood && units === Number(values.count);
    rows.push(`${units} units of ${kib / 1024} MiB, ${sumOf(reports, (report) => report.right)} right in the end`);
  }
  const pieces = runTests('transfer/fill/pieces.test.ts', OF_PIECES, {});
  isMet &&= pieces.isGood;
  rows.push(`a piece and an index, changed each: ${pieces.isGood ? 'not used' : 'USED'}`);
  console.log(
    `| L4 | a changed byte in each of ${rows.join('; ')}; no changed byte was read | ${isMet ? 'met' : 'MISSED'} |`,
  );
  return isMet ? 0 : 1;
}
