/** Starting a guest from an image in a home of its own, until somebody could log in. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startWith, tartlet } from '../debian.mjs';
import { hasBanner } from '../ssh-banner.mjs';

const LOOK_EVERY_MS = 100;
const UP_WITHIN_MS = 900_000;
/** What a guest touched is on the disk by then. */
const NOTED_MS = 2500;
/** As `home-entry.ts` calls them. */
const TOUCHED = '.lazy-touched.json';
const ORDER = '.lazy-order.json';

/**
 * Clones an image and runs it, in a home that has nothing, until the guest's SSH server answers.
 *
 * @param {string} home made, and removed.
 * @param {object} how `lazy`: begin before the image is here. `fill: false`: fetch only what the guest waits for.
 * `order`: in which order the disk comes, the text of a boot order. `atReady`: what is to be known of that moment.
 * @returns how long it took, what was known then, and which order the guest touched the disk in.
 */
export async function timeToReady(home, image, { lazy, fill = true, order, atReady }) {
  const directory = `${home}/vms/guest`;
  mkdirSync(home, { recursive: true });
  const began = performance.now();
  let run;
  try {
    await tartlet(home, 'clone', lazy ? '--lazy=always' : '--lazy=never', image, 'guest');
    if (order !== undefined) writeFileSync(path.join(directory, ORDER), order);
    run = startWith(fill ? {} : { TARTLET_LAZY_FILL: 'off' }, home, 'run', 'guest', '--no-graphics');
    await answered(directory, run);
    const seconds = (performance.now() - began) / 1000;
    return { seconds, atReady: atReady(), touched: lazy ? await noted(directory) : undefined };
  } finally {
    await kill(directory, run);
    rmSync(home, { recursive: true, force: true });
  }
}

async function noted(directory) {
  await delay(NOTED_MS);
  const file = path.join(directory, TOUCHED);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** Resolves when the SSH server of the guest says what it is. @throws when it does not in time */
async function answered(directory, run) {
  const until = performance.now() + UP_WITHIN_MS;
  for (let address; performance.now() < until; await delay(LOOK_EVERY_MS)) {
    if (run.child.exitCode !== null) throw new Error(`run ended: ${run.stderr}`);
    address ??= /"str":"tcp:([0-9.]+):22-:22"/.exec((machineIn(directory)?.argv ?? []).join(' '))?.[1];
    if (address !== undefined && (await hasBanner(address))) return;
  }
  throw new Error(`nothing answers: ${run.stderr}`);
}

/** The QEMU that works in a directory. */
function machineIn(directory) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) !== directory) continue;
      const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
      if (argv[0]?.includes('qemu-system')) return { pid: Number(pid), argv };
    } catch {
      // Gone, or not ours to look at.
    }
  }
  return undefined;
}

/** Nothing of the guest is needed any more. */
async function kill(directory, run) {
  if (run === undefined) return;
  run.child.kill('SIGKILL');
  await run.ended;
  for (let machine = machineIn(directory); machine !== undefined; machine = machineIn(directory)) {
    process.kill(machine.pid, 'SIGKILL');
    await delay(LOOK_EVERY_MS);
  }
}
