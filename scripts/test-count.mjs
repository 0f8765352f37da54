/**
 * Counts what vitest wrote with `--reporter=json` and prints `N passed, N failed` as the last line, with the names of
 * what failed and was left out before it: the end of a log is what is read of it. Every test that was left out says
 * why, in its title or by `leaveOut` of test/support/left-out.ts; one that does not is counted as a failure. A file that
 * could not even be loaded has no tests to count, and is counted as one failure; so is a report that is not there.
 *
 *     node scripts/test-count.mjs REPORT [AGAIN]   counts; AGAIN is of a second run of the files that failed
 *     node scripts/test-count.mjs --failed REPORT  prints those files, a line each
 *
 * A test that failed in the first run and passed in the second is counted as passed, and named: it is unsteady.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

if (process.argv[2] === '--failed') {
  for (const file of testsOf(process.argv[3] ?? ''))
    if (file.status === 'failed') console.log(path.relative('', file.name));
} else process.exitCode = count(process.argv[2] ?? '', process.argv[3] ?? '');

/** The files of a report. */
function testsOf(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch (error) {
    console.log(`There is no report of the tests: ${error instanceof Error ? error.message : String(error)}`);
    return [{ name: 'the test run', status: 'failed', assertionResults: [] }];
  }
}

/** @returns the exit code. */
function count(report, again) {
  const second = new Map((existsSync(again) ? testsOf(again) : []).map((file) => [file.name, file]));
  const lists = { passed: [], left: [], unsteady: [], failed: [] };
  for (const file of testsOf(report)) sort(file, second.get(file.name), lists);
  printList('Left out', lists.left);
  printList('Unsteady, passed only in a second run, alone', lists.unsteady);
  printList('Failed', lists.failed);
  console.log(`${lists.passed.length} passed, ${lists.failed.length} failed`);
  return lists.failed.length === 0 && lists.passed.length > 0 ? 0 : 1;
}

function printList(what, list) {
  if (list.length > 0) console.log(`${what}: ${list.length}`);
  for (const line of list) console.log(`  ${line}`);
}

/** Puts the tests of a file into lists. @param then the same file in the second run, if it ran again. */
function sort(file, then, { passed, left, unsteady, failed }) {
  const name = path.relative('', file.name);
  // Of a file that could not be loaded, or whose hooks failed.
  if (file.status === 'failed' && !file.assertionResults.some((one) => one.status === 'failed')) {
    const line = `${name}: ${firstLine(file.message)}`;
    (then?.status === 'passed' ? unsteady : failed).push(line);
    if (file.assertionResults.length === 0) passed.push(...(then?.assertionResults ?? []).filter(isPassed));
  }
  for (const one of file.assertionResults) {
    const title = `${name} > ${one.fullName}`;
    if (isPassed(one)) passed.push(one);
    else if (one.status !== 'failed') {
      left.push(titleOf(one));
      if (!titleOf(one).includes('left out: ')) failed.push(`${title}: left out without a reason`);
    } else {
      const isUnsteady = then?.assertionResults.some((other) => other.fullName === one.fullName && isPassed(other));
      (isUnsteady ? unsteady : failed).push(`${title}: ${firstLine(one.failureMessages?.[0])}`);
      if (isUnsteady) passed.push(one);
    }
  }
}

function isPassed({ status }) {
  return status === 'passed';
}

/** With its reason. */
function titleOf({ fullName, meta }) {
  return meta?.leftOut === undefined ? fullName : `${fullName} (left out: ${meta.leftOut})`;
}

function firstLine(message) {
  return String(message ?? '')
    .split('\n', 1)[0]
    .slice(0, 300);
}
