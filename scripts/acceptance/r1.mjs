/**
 * R1: run, `ip --wait`, a login by SSH with a password, stop, with a whole Debian, time and again; and how long the
 * same QEMU takes that is started by hand, each time after it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { isClean, plantDebian, start, tartlet } from './debian.mjs';
import { hasBanner } from './ssh-banner.mjs';

const LOOK_EVERY_MS = 100;
const UP_WITHIN_S = '600';
const SSH = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'];

/** @returns the exit code. */
export async function main([rounds = '20']) {
  const home = mkdtempSync(`${tmpdir()}/tartlet-r1-`);
  const times = { ours: [], byHand: [] };
  let good = 0;
  try {
    const directory = plantDebian(home, 'debian');
    for (let round = 1; round <= Number(rounds); round += 1) {
      const ours = await runOnce(home, directory);
      const byHand = await runByHand(ours.argv, ours.address, directory);
      times.ours.push(ours.seconds);
      times.byHand.push(byHand);
      if (ours.isGood) good += 1;
      console.error(`${round}: ${ours.isGood ? 'good' : 'NOT GOOD'}, up in ${ours.seconds} s, by hand in ${byHand} s`);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  const ratio = (median(times.ours) / median(times.byHand)).toFixed(2);
  console.log(
    `| R1 | run, ip --wait, ssh by password, stop: ${good}/${rounds}, file system clean each time; up in ${median(times.ours)} s, by hand in ` +
      `${median(times.byHand)} s (medians), ratio ${ratio} |`,
  );
  return good === Number(rounds) && Number(ratio) <= 1.15 ? 0 : 1;
}

async function runOnce(home, directory) {
  const began = performance.now();
  const run = start(home, 'run', 'debian', '--no-graphics');
  const waiting = tartlet(home, 'ip', 'debian', '--wait', UP_WITHIN_S);
  // Its own clock: `ip` looks once in a second.
  const address = await forwardOf(directory, run);
  await banner(address);
  const seconds = since(began);
  const told = await waiting;
  const login = execFileSync('sshpass', ['-p', 'admin', 'ssh', ...SSH, `admin@${told}`, 'uname -s; sync'], {
    encoding: 'utf8',
  });
  const argv = argvIn(directory);
  await tartlet(home, 'stop', 'debian', '--timeout', '120');
  const code = await run.ended;
  const isGood =
    code === 0 &&
    told === address &&
    login === 'Linux\n' &&
    run.stdout === 'Stopping VM...\nguest has stopped the virtual machine\n' &&
    isClean(`${directory}/disk.img`);
  if (!isGood) console.error(code, told, login, run.stdout, run.stderr);
  return { seconds, isGood, argv, address };
}

async function runByHand(argv, address, directory) {
  const began = performance.now();
  const [program, ...args] = argv;
  const qemu = spawn(
    program,
    args.filter((arg) => arg !== '-S'),
    { cwd: directory, stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => qemu.once('close', resolve));
  await banner(address);
  const seconds = since(began);
  execFileSync('sshpass', ['-p', 'admin', 'ssh', ...SSH, `admin@${address}`, 'sudo systemctl --no-block poweroff']);
  await ended;
  for (const name of readdirSync(directory)) if (name.endsWith('.sock')) rmSync(`${directory}/${name}`);
  return seconds;
}

/** The address that the guest's port 22 is at, as soon as QEMU has it. */
async function forwardOf(directory, run) {
  for (;;) {
    const found = /"str":"tcp:([0-9.]+):22-:22"/.exec((argvIn(directory) ?? []).join(' '))?.[1];
    if (found !== undefined) return found;
    if (run.child.exitCode !== null) throw new Error(`run ended: ${run.stderr}`);
    await delay(LOOK_EVERY_MS);
  }
}

/** The arguments of the QEMU that works in a directory. */
function argvIn(directory) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) !== directory) continue;
      const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
      if (argv[0]?.includes('qemu-system')) return argv;
    } catch {
      // Gone, or not ours to look at.
    }
  }
  return undefined;
}

/** Resolves when SSH answers. @throws when it does not in time */
async function banner(address) {
  const until = performance.now() + Number(UP_WITHIN_S) * 1000;
  while (!(await hasBanner(address))) {
    if (performance.now() > until) throw new Error(`nothing answers at ${address}`);
    await delay(LOOK_EVERY_MS);
  }
}

function since(began) {
  return Number(((performance.now() - began) / 1000).toFixed(1));
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
