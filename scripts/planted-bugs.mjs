/**
 * Proves that the tests would notice the ten bugs that matter most (reliability §4.9): plants one at a time in a copy
 * of the tree, builds it, and runs the tests that must turn red. First each of those tests must be green without a bug.
 * `npm run planted-bugs [number …]` plants only some.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { keepMeasured } from './measured.mjs';
import { BUGS } from './planted-bugs-list.mjs';
import { PlantedTree } from './planted-tree.mjs';

const root = path.resolve(import.meta.dirname, '..');
const BUILD_MS = 120_000;
const TEST_MS = 900_000;

if (process.argv[2] === '--check') checkTexts();
else plant(process.argv.slice(2).map(Number));

/** Whether each bug can still be planted. */
function checkTexts() {
  const lost = BUGS.filter(
    ({ file, edit: [text] }) => readFileSync(path.join(root, file), 'utf8').split(text).length !== 2,
  );
  for (const { bug, file } of lost) console.log(`FAIL adapt the bug to ${file}: ${bug}`);
  if (lost.length === 0) console.log(`All ${BUGS.length} bugs can be planted.`);
  process.exitCode = lost.length === 0 ? 0 : 1;
}

function plant(wanted) {
  const tree = new PlantedTree();
  const chosen = BUGS.filter((_, index) => wanted.length === 0 || wanted.includes(index + 1));
  try {
    const { status: built, output: complaints } = build(tree);
    tree.report(built === 0, 'builds without a bug', complaints);
    const gates = new Map(chosen.map((one) => [`${one.gate} ${one.only ?? ''}`, one]));
    const green = new Set();
    for (const [key, one] of gates) {
      const { status, output } = test(tree, one);
      tree.report(status === 0, `green without a bug: ${key.trim()}`, output);
      if (status === 0) green.add(key);
    }
    // A test that is red anyway proves nothing.
    for (const one of chosen) if (green.has(`${one.gate} ${one.only ?? ''}`)) check(tree, one);
  } finally {
    tree.remove();
  }
  console.log(
    tree.wrong === 0 ? `All ${chosen.length} planted bugs were noticed.` : `${tree.wrong} of the proofs failed.`,
  );
  process.exitCode = tree.wrong === 0 ? 0 : 1;
  if (wanted.length > 0 || tree.wrong > 0) return;
  keepMeasured('planted-bugs', 'Planted bugs', 'npm run planted-bugs', [
    ['bugs planted', BUGS.length],
    ['noticed by the test that must notice', BUGS.length],
  ]);
}

/** The command and the worker threads run what was built. */
function build(tree) {
  return tree.npm(['run', '--silent', 'build'], BUILD_MS);
}

function test(tree, { gate, only }) {
  const args = ['test', '--', gate, ...(only === undefined ? [] : ['-t', only])];
  return tree.npm(args, TEST_MS);
}

function check(tree, one) {
  const [old, bad] = one.edit;
  const edit = (text) => {
    if (text.split(old).length !== 2)
      throw new Error(`adapt the bug to ${one.file}: "${old}" is not there exactly once`);
    return text.replace(old, () => bad);
  };
  tree.with({ [one.file]: edit }, () => {
    const { status: built, output: complaints } = build(tree);
    if (built !== 0) {
      tree.report(false, `builds with a bug: ${one.bug}`, complaints);
      return;
    }
    const { status, output } = test(tree, one);
    // Red means that tests failed, not that none was found or that the file could not be loaded.
    tree.report(
      status !== 0 && /\bTests\b.*\bfailed\b/.test(output),
      `red, as it must be: ${one.bug} (${one.gate})`,
      `exit ${status}\n${output}`,
    );
  });
}
