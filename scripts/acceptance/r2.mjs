/** R2: a `run` that is killed at a random time leaves no QEMU after a second, and can be started at once. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { start, tartlet } from './debian.mjs';

const GUEST = path.resolve(import.meta.dirname, '../guest.mjs');
/** In this time the little guest has started on a quiet machine, in milliseconds. */
const LATEST_MS = 8000;

/** @returns the exit code. */
export async function main([rounds = '20']) {
  const home = mkdtempSync(`${tmpdir()}/tartlet-r2-`);
  const directory = `${home}/vms/ci`;
  let good = 0;
  let slowest = 0;
  try {
    mkdirSync(`${home}/vms`);
    execFileSync(process.execPath, [GUEST, directory], { stdio: ['ignore', 'inherit', 'inherit'] });
    for (let round = 1; round <= Number(rounds); round += 1) {
      const run = start(home, 'run', 'ci');
      await untilRunning(home, run);
      const second = await start(home, 'run', 'ci').ended;
      const after = Math.floor(Math.random() * LATEST_MS);
      await delay(after);
      run.child.kill('SIGKILL');
      const began = performance.now();
      while (programsIn(directory).length > 0 && performance.now() - began < 5000) await delay(5);
      const gone = performance.now() - began;
      slowest = Math.max(slowest, gone);
      const again = start(home, 'run', 'ci');
      await untilRunning(home, again);
      again.child.kill('SIGINT');
      again.child.kill('SIGTERM');
      const code = await again.ended;
      const isGood = second === 2 && gone < 1000 && code === 0;
      if (isGood) good += 1;
      console.error(
        `${round}: killed after ${after} ms, gone in ${Math.round(gone)} ms, ${second} ${code} ${again.stderr}`,
      );
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  console.log(
    `| R2 | second run exits 2; run killed at ${rounds} random times within ${LATEST_MS / 1000} s: no QEMU after ${Math.ceil(slowest)} ms at the latest, ` +
      `startable at once, ${good}/${rounds} |`,
  );
  return good === Number(rounds) ? 0 : 1;
}

async function untilRunning(home, run) {
  while (!(await tartlet(home, 'list')).includes('running')) {
    if (run.child.exitCode !== null) throw new Error(`run ended: ${run.stderr}`);
  }
}

/** Programs that work in a directory. */
function programsIn(directory) {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === directory;
    } catch {
      return false; // Gone, or dead and not yet buried.
    }
  });
}
