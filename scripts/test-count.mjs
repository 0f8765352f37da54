/**
 * Counts what vitest wrote with `--reporter=json` and prints `N passed, N failed` as the last line. Every test that was
 * left out says why, in its title or by `leaveOut` of test/support/left-out.ts; one that does not is counted as a
 * failure. A file that could not even be loaded has no tests to count, and is counted as one failure; so is a report
 * that is not there.
 */
import { readFileSync } from 'node:fs';

let report;
try {
  report = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
} catch (error) {
  console.log(`There is no report of the tests: ${error instanceof Error ? error.message : String(error)}`);
  report = { testResults: [{ name: 'the test run', status: 'failed', assertionResults: [] }] };
}

const count = { passed: 0, failed: 0, left: 0 };
const left = [];
for (const file of report.testResults) {
  const states = file.assertionResults.map((one) => one.status);
  count.passed += states.filter((state) => state === 'passed').length;
  const others = file.assertionResults.filter((one) => one.status !== 'passed' && one.status !== 'failed');
  count.left += others.length;
  left.push(...others.map((one) => titleOf(one)));
  count.failed += others.filter((one) => !titleOf(one).includes('left out: ')).length;
  const failed = states.filter((state) => state === 'failed').length;
  count.failed += failed === 0 && file.status === 'failed' ? 1 : failed;
}
/** With its reason. */
function titleOf({ fullName, meta }) {
  return meta?.leftOut === undefined ? fullName : `${fullName} (left out: ${meta.leftOut})`;
}

if (count.left > 0) console.log(`Left out: ${count.left}`);
for (const title of left) console.log(`  ${title}`);
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1;
