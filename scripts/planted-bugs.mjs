/**
 * Proves that the tests would notice the ten bugs that matter most (reliability §4.9): plants one at a time in a copy of the tree, builds it, and
 * runs the tests that must turn red. First each of those tests must be green without a bug. `npm run planted-bugs [number …]` plants only some.
 */
import { PlantedTree } from './planted-tree.mjs';

const BUILD_MS = 120_000;
const TEST_MS = 900_000;

/** `edit` replaces a text, which must be there exactly once, by another; `gate` is the test file, `only` the titles in it; `full`: at
 * every point, not at a few. */
const BUGS = [
  {
    bug: 'a file is published without having been flushed',
    file: 'src/home/folder.ts',
    edit: ["'r+');\n    try {\n      await handle.sync();", "'r+');\n    try {\n      await handle.stat();"],
    gate: 'test/crash/order.test.ts',
    only: 'pull',
  },
  {
    bug: 'a record is written in its place',
    file: 'src/credentials/secret-file.ts',
    edit: [
      "const handle = await open(temporary, 'wx', 0o600);",
      "const handle = await open(target, 'w', 0o600).then(async (inPlace) => {\n      await inPlace.writeFile(text, 'utf8');\n      await inPlace.close();\n      return open(temporary, 'wx', 0o600);\n    });",
    ],
    gate: 'test/crash/order.test.ts',
    only: 'login',
  },
  {
    bug: 'an image is published before its chunks are there',
    file: 'src/transfer/pull.ts',
    edit: [
      'const fetchedBytes = await downloadFlat(session, { ...download, image }, survey, report, staging);\n      await publish(session, download, staging);',
      'await publish(session, download, staging);\n      const fetchedBytes = await downloadFlat(session, { ...download, image }, survey, report, staging);',
    ],
    gate: 'test/transfer/pull.test.ts',
  },
  {
    bug: 'a short write is taken for a whole one',
    file: 'src/transfer/disk-window.ts',
    edit: ['done += this.#guard(', 'done += piece.length + 0 * this.#guard('],
    gate: 'test/transfer/disk-window.test.ts',
  },
  {
    bug: 'a 206 is believed whatever its Content-Range says',
    file: 'src/registry/blob-opening.ts',
    edit: ['range.start === from &&', '(range.start === from || range.start >= 0) &&'],
    gate: 'test/registry/blob.test.ts',
  },
  {
    bug: 'every realm gets the password',
    file: 'src/registry/realm.ts',
    edit: ['return { url, trusted };', 'return { url, trusted: trusted || url.host !== "" };'],
    gate: 'test/registry/authentication.test.ts',
  },
  {
    bug: 'a redirect keeps the Authorization header',
    file: 'src/registry/redirect.ts',
    edit: [
      'headers: foreign ? harmless(current.headers)',
      'headers: foreign ? { ...harmless(current.headers), ...current.headers }',
    ],
    gate: 'test/registry/secrets.test.ts',
  },
  {
    bug: 'a scratch folder is made before it is locked',
    file: 'src/home/scratch.ts',
    edit: [
      "      const lock = await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });\n      if (lock === undefined) continue; // Somebody has the same name, against all odds.\n      const folder = `${home.scratchFolder}/${name}`;\n      await onDisk('create', folder, async () => mkdir(folder));\n",
      "      const folder = `${home.scratchFolder}/${name}`;\n      await onDisk('create', folder, async () => mkdir(folder));\n      const lock = await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });\n      if (lock === undefined) continue;\n",
    ],
    gate: 'test/crash/schedules.test.ts',
    only: 'clone and create',
    full: true,
  },
  {
    bug: 'a folder is deleted in its place, and not renamed away first',
    file: 'src/home/folder.ts',
    edit: [
      "    await onDisk('remove', folder, async () => rename(folder, doomed));\n",
      "    await onDisk('remove', folder, async () => rm(folder, { recursive: true }));\n",
    ],
    gate: 'test/home/remove-folder.test.ts',
  },
  {
    bug: 'the verdict about a blob is not asked for at its end',
    file: 'src/transfer/chunk-fetch.ts',
    edit: ['    verifier.verdict();\n', ''],
    gate: 'test/transfer/pull.test.ts',
  },
];

const wanted = process.argv.slice(2).map(Number);
const chosen = BUGS.filter((_, index) => wanted.length === 0 || wanted.includes(index + 1));
const tree = new PlantedTree();
try {
  const { status: built, output: complaints } = build();
  tree.report(built === 0, 'builds without a bug', complaints);
  const gates = new Map(chosen.map((one) => [`${one.gate} ${one.only ?? ''}`, one]));
  const green = new Set();
  for (const [key, one] of gates) {
    const { status, output } = test(one);
    tree.report(status === 0, `green without a bug: ${key.trim()}`, output);
    if (status === 0) green.add(key);
  }
  // A test that is red anyway proves nothing.
  for (const one of chosen) if (green.has(`${one.gate} ${one.only ?? ''}`)) check(one);
} finally {
  tree.remove();
}
console.log(
  tree.wrong === 0 ? `All ${chosen.length} planted bugs were noticed.` : `${tree.wrong} of the proofs failed.`,
);
process.exitCode = tree.wrong === 0 ? 0 : 1;

/** The command and the worker threads run what was built. */
function build() {
  return tree.npm(['run', '--silent', 'build'], BUILD_MS);
}

function test({ gate, only, full }) {
  const args = ['test', '--', gate, ...(only === undefined ? [] : ['-t', only])];
  return tree.npm(args, TEST_MS, full === true ? { TARTLET_SWEEP: 'full' } : {});
}

function check(one) {
  const [old, bad] = one.edit;
  const edit = (text) => {
    if (text.split(old).length !== 2)
      throw new Error(`adapt the bug to ${one.file}: "${old}" is not there exactly once`);
    return text.replace(old, () => bad);
  };
  tree.with({ [one.file]: edit }, () => {
    const { status: built, output: complaints } = build();
    if (built !== 0) {
      tree.report(false, `builds with a bug: ${one.bug}`, complaints);
      return;
    }
    const { status, output } = test(one);
    // Red means that tests failed, not that none was found or that the file could not be loaded.
    tree.report(
      status !== 0 && /\bTests\b.*\bfailed\b/.test(output),
      `red, as it must be: ${one.bug} (${one.gate})`,
      `exit ${status}\n${output}`,
    );
  });
}
