/**
 * R8: records that the guest was told are on the disk survive `kill -9` of QEMU, and a guest whose disk is full here
 * goes on when there is room. With the little guest. Mounts a small file system, which takes root.
 *
 *     npm run acceptance r8 [KILLS] [FULL]
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { start, tartlet } from './debian.mjs';

const MIB = 1024 * 1024;
const UP_WITHIN_S = '300';
const BLOCK = 512;

/** @returns the exit code. */
export async function main([kills = '20', full = '10']) {
  const home = mkdtempSync(`${tmpdir()}/tartlet-r8-`);
  const small = path.join(home, 'small');
  mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'small', small]);
  const good = { kills: 0, full: 0 };
  try {
    plant(home);
    for (let round = 1; round <= Number(kills); round += 1) {
      if (await killOnce(home, round)) good.kills += 1;
      console.error(`killed ${round}: ${good.kills} good`);
    }
    good.full = await fillAgainAndAgain(home, small, Number(full));
  } finally {
    execFileSync('umount', ['-l', small]);
    rmSync(home, { recursive: true, force: true });
  }
  console.log(
    `| R8 | records that were flushed are there after kill -9 of QEMU at a random moment: ${good.kills}/${kills}; a full file system here lets the guest ` +
      `stand still, and go on: ${good.full}/${full} |`,
  );
  return good.kills === Number(kills) && good.full === Number(full) ? 0 : 1;
}

function plant(home) {
  mkdirSync(`${home}/vms`);
  const script = path.resolve(import.meta.dirname, '../guest.mjs');
  execFileSync(process.execPath, [script, `${home}/vms/ci`], { stdio: 'ignore' });
}

/**
 * The guest writes numbered records, each flushed before the next, and says the number after; QEMU is killed in the
 * midst of it.
 */
async function killOnce(home, round) {
  const disk = path.join(home, `records-${round}`);
  const told = path.join(home, `told-${round}`);
  for (const file of [disk, told]) {
    writeFileSync(file, '');
    truncateSync(file, MIB);
  }
  const run = start(home, 'run', 'ci', '--no-graphics', '--disk', disk, '--disk', told);
  await tartlet(home, 'ip', 'ci', '--wait', UP_WITHIN_S);
  const writing =
    'n=0; while [ $n -lt 2000 ]; do printf "record %06d\\n" $n | dd of=/dev/vdb bs=512 seek=$n conv=fsync,notrunc; ' +
    'printf "told %06d\\n" $n | dd of=/dev/vdc conv=fsync,notrunc; n=$((n+1)); done';
  await tartlet(home, 'exec', 'ci', 'sh', '-c', `(${writing}) >/dev/null 2>&1 &`);
  await delay(500 + Math.random() * 3000);
  process.kill(qemuIn(`${home}/vms/ci`), 'SIGKILL');
  const code = await run.ended;
  const last = Number(/^told ([0-9]{6})/.exec(readFileSync(told, 'latin1'))?.[1] ?? -1);
  const bytes = readFileSync(disk);
  const missing = [...Array(last + 1).keys()].filter(
    (number) =>
      bytes.subarray(number * BLOCK, number * BLOCK + 13).toString() !== `record ${String(number).padStart(6, '0')}`,
  );
  console.error(`  ${last + 1} records told, ${missing.length} missing`);
  rmSync(disk);
  rmSync(told);
  return code === 1 && last >= 0 && missing.length === 0;
}

async function fillAgainAndAgain(home, small, rounds) {
  const disk = path.join(small, 'disk');
  writeFileSync(disk, '');
  truncateSync(disk, 16 * MIB);
  const run = start(home, 'run', 'ci', '--no-graphics', '--disk', disk);
  await tartlet(home, 'ip', 'ci', '--wait', UP_WITHIN_S);
  let good = 0;
  for (let round = 1; round <= rounds; round += 1) {
    // Nothing of the round before is in the way.
    await tartlet(home, 'exec', 'ci', 'blkdiscard', '/dev/vdb').catch(() => undefined);
    const ballast = path.join(small, 'ballast');
    execFileSync('fallocate', ['-l', String(freeBytes(small) - 2 * MIB), ballast]);
    const before = run.stderr.length;
    const writing = tartlet(
      home,
      'exec',
      'ci',
      'sh',
      '-c',
      'dd if=/dev/urandom of=/tmp/r bs=1M count=6 2>/dev/null; dd if=/tmp/r of=/dev/vdb bs=1M conv=fsync 2>/dev/null; echo $?; cmp -n 6291456 /tmp/r /dev/vdb && echo same',
    );
    const isTold = await until(
      () => run.stderr.slice(before).includes('stands still until its disk works again'),
      60_000,
    );
    rmSync(ballast);
    const answer = await writing.catch((error) => error.message);
    if (isTold && answer === '0\nsame') good += 1;
    else console.error(answer);
    console.error(`full ${round}: ${good} good`);
    // Told once for each time that the disk fails: long enough after the last.
    await delay(6000);
  }
  await tartlet(home, 'stop', 'ci', '--timeout', '30');
  await run.ended;
  return good;
}

function freeBytes(directory) {
  return Number(execFileSync('df', ['--output=avail', '-B1', directory], { encoding: 'utf8' }).split('\n')[1]);
}

async function until(condition, withinMs) {
  for (let waited = 0; waited < withinMs; waited += 50) {
    if (condition()) return true;
    await delay(50);
  }
  return false;
}

function qemuIn(directory) {
  return Number(
    readdirSync('/proc').find((pid) => {
      try {
        if (!/^\d+$/.test(pid) || readlinkSync(`/proc/${pid}/cwd`) !== directory) return false;
        return existsSync(`/proc/${pid}/exe`) && readlinkSync(`/proc/${pid}/exe`).includes('qemu-system');
      } catch {
        return false;
      }
    }),
  );
}
