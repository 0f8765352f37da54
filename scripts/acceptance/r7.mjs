/**
 * R7: a guest clones a repository of many files from one shared directory to another, by git, and git finds every
 * object whole, while this machine changes files in the same directories. Then the owner of all that was written, and
 * that read-only is so.
 *
 *     npm run acceptance r7 [ROUNDS] [FILES]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { plantDebian, start, tartlet } from './debian.mjs';

const UP_WITHIN_S = '600';
const CHANGE_EVERY_MS = 50;

/** @returns the exit code. */
export async function main([rounds = '100', files = '20000']) {
  const home = mkdtempSync(`${tmpdir()}/tartlet-r7-`);
  let good = 0;
  let stray = 'not looked at';
  try {
    plantDebian(home, 'debian');
    const [source, work] = ['source', 'work'].map((name) => path.join(home, name));
    makeRepository(source, Number(files));
    mkdirSync(work);
    const run = start(home, 'run', 'debian', '--no-graphics', '--dir', `source:${source}:ro`, '--dir', `work:${work}`);
    await tartlet(home, 'ip', 'debian', '--wait', UP_WITHIN_S);
    await inGuest(home, 'mkdir -p /m && mount -t virtiofs com.apple.virtio-fs.automount /m');
    const changing = changeMeanwhile(work);
    for (let round = 1; round <= Number(rounds); round += 1) {
      const isGood = await cloneOnce(home, work, Number(files));
      if (isGood) good += 1;
      console.error(`${round}: ${isGood ? 'good' : 'NOT GOOD'}`);
    }
    clearInterval(changing);
    stray = execFileSync('find', [work, '!', '-uid', String(process.getuid())], { encoding: 'utf8' });
    const refused = await tartlet(
      home,
      'exec',
      'debian',
      'sh',
      '-c',
      'touch /m/source/x 2>&1; rm -rf /m/source/file0 2>&1; true',
    );
    if (!refused.includes('Read-only file system') || readdirSync(source).includes('x'))
      stray = 'read-only was written to';
    await tartlet(home, 'stop', 'debian', '--timeout', '120');
    await run.ended;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  console.log(
    `| R7 | git clone of ${files} files from a read-only directory to a shared one, git fsck: clean ${good}/${rounds} while this machine ` +
      `wrote there; files of other owners: ${stray === '' ? 'none' : stray} |`,
  );
  return good === Number(rounds) && stray === '' ? 0 : 1;
}

function makeRepository(directory, files) {
  mkdirSync(directory);
  for (let file = 0; file < files; file += 1) {
    const below = `${directory}/d${Math.floor(file / 200)}`;
    if (file % 200 === 0) mkdirSync(below);
    writeFileSync(`${below}/file${file}`, `content of ${file}\n`.repeat(1 + (file % 50)));
  }
  const git = (...args) =>
    execFileSync('git', ['-C', directory, '-c', 'user.name=r7', '-c', 'user.email=r7@localhost', ...args], {
      stdio: 'pipe',
    });
  git('init', '-q');
  git('add', '-A');
  git('commit', '-q', '-m', 'all');
}

/** As an editor or a build beside the guest does. */
function changeMeanwhile(work) {
  let count = 0;
  return setInterval(() => {
    count += 1;
    const file = `${work}/of-the-host-${count % 20}`;
    if (count % 3 === 0) rmSync(file, { force: true });
    else writeFileSync(file, String(count));
  }, CHANGE_EVERY_MS);
}

async function cloneOnce(home, work, files) {
  const script =
    'cd /m/work && rm -rf clone && git -c safe.directory=* clone -q --no-local /m/source clone && cd clone && git -c safe.directory=* fsck --full 2>&1 && ' +
    'git -c safe.directory=* status --porcelain | wc -l && git -c safe.directory=* ls-files | wc -l';
  try {
    const lines = (await inGuest(home, script)).split('\n').filter((line) => /^[0-9]+$/.test(line));
    const found = `${work}/clone/d0/file7`;
    return (
      lines.join() === `0,${files}` &&
      readFileSync(found, 'utf8') === 'content of 7\n'.repeat(8) &&
      statSync(found).uid === process.getuid()
    );
  } catch (error) {
    console.error(error.message);
    return false;
  }
}

async function inGuest(home, script) {
  return tartlet(home, 'exec', 'debian', 'sh', '-c', `export HOME=/root; ${script}`);
}
