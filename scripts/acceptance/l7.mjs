/**
 * L7: the network goes away for 10 s and for 60 s, silently and with resets, while a guest boots and while it runs: no
 * error in the guest, which goes on within 2 s of the return.
 *
 *     npm run acceptance l7 -- [--seconds LIST]
 */
import { parseArgs } from 'node:util';
import { runTests } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { seconds: { type: 'string', default: '10,60' } } });
  let isMet = true;
  const rows = [];
  for (const seconds of values.seconds.split(',').map(Number)) {
    const { isGood, reports } = runTests('real/lazy-cuts.test.ts', 'the guest sees no error', {
      TARTLET_LAZY_CUT_MS: String(seconds * 1000),
    });
    isMet &&= isGood && reports.length === 2;
    for (const { how, booting, running } of reports)
      rows.push(`${seconds} s ${how}: on after ${Math.round(booting)} ms booting, ${Math.round(running)} ms running`);
  }
  console.log(`| L7 | ${rows.join('; ')}; no error in the guest | ${isMet ? 'met' : 'MISSED'} |`);
  return isMet ? 0 : 1;
}
