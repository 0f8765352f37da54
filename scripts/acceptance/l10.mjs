/**
 * L10: two VMs whose disks arrive and a pull of the same image fetch each part once; where the one that fetches is
 * killed, only what was under way comes again.
 *
 *     npm run acceptance l10 -- [--count ROUNDS]
 */
import { parseArgs } from 'node:util';
import { runTests } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '10' } } });
  const { isGood, reports } = runTests('real/lazy-together.test.ts', 'two VMs and a pull', {
    TARTLET_LAZY_ROUNDS: values.count,
  });
  const told = ['none', 'run', 'pull'].map((killed) => {
    const rounds = reports.filter((each) => each.killed === killed);
    const [most, again] = [Math.max(...rounds.map((each) => each.most)), Math.max(...rounds.map((each) => each.again))];
    return `${killed} killed ${rounds.length} times: no part more than ${most} times, at most ${(again * 100).toFixed(2)} % again`;
  });
  console.log(`| L10 | two VMs and a pull, ${told.join('; ')} |`);
  return isGood && reports.length === 3 * Number(values.count) ? 0 : 1;
}
