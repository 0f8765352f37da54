/**
 * L6: SIGKILL of `run`, of QEMU and of a pull beside them, at every stage of the life of a VM whose disk arrives: the
 * next run goes on, hardly anything is fetched again, nothing that was flushed is lost, no QEMU and nothing that the
 * doctor names is left.
 *
 *     npm run acceptance l6 -- [--count KILLS]
 */
import { parseArgs } from 'node:util';
import { runTests, sumOf } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '60' } } });
  const { isGood, reports } = runTests('real/lazy-kills.test.ts', 'goes on after every kill|says what|can be ended', {
    TARTLET_LAZY_KILLS: values.count,
  });
  const hits = reports.flatMap((life) => life.hits);
  const stages = [...new Set(hits.map(({ name }) => name))].map(
    (name) => `${name} ${hits.filter((hit) => hit.name === name).length}`,
  );
  const worst = Math.max(...hits.map(({ again }) => again));
  console.log(`killed at: ${stages.join(', ')}`);
  console.log(
    `| L6 | ${hits.length} kills in the lives of ${reports.length} VMs: at most ${percent(worst)} of the image fetched ` +
      `again after one, ${sumOf(reports, ({ again }) => again)} bytes after all; of ${sumOf(reports, ({ records }) => records)} ` +
      `flushed records ${sumOf(reports, ({ wrong }) => wrong.length)} lost; no QEMU left, doctor clean |`,
  );
  return isGood && hits.length >= Number(values.count) ? 0 : 1;
}

function percent(share) {
  return `${(share * 100).toFixed(2)} %`;
}
