/**
 * `npm run storm -- [--seconds N] [--seed N] [--threads N]`: real commands at random on one home, several at a time,
 * half of them by an installation without the native binding, some of them killed. What each exit status promised is
 * looked at after it, and the whole home whenever all is quiet, by `storm/oracle.mjs`, which shares no code with the
 * product. Needs a build. Ends with 1 when something was found, and keeps the home then. The seed repeats the commands,
 * not their timing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { keepMeasured } from './measured.mjs';
import { nextMove } from './storm/moves.mjs';
import { judgeHome, judgeScratch } from './storm/oracle.mjs';
import { makePlace, run } from './storm/place.mjs';

/** So long the commands go on between two looks at a quiet home, in milliseconds. */
const GUST_MS = 10_000;
/** What a shorter storm has seen is not written down. */
const WORTH_KEEPING_S = 120;
/** One of so many commands is killed within this time. */
const KILLED_ONE_OF = 12;
const KILLED_WITHIN_MS = 500;
/** What may be in the way of a command when others work on the same things. Anything else is a finding. */
const IN_THE_WAY = new Set(['NOT_FOUND', 'VM_NOT_FOUND', 'VM_RUNNING', 'VM_EXISTS', 'BUSY', 'INTERRUPTED']);

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    threads: { type: 'string', default: '6' },
  },
});
const findings = [];
const counts = new Map();
let slowest = { what: '', milliseconds: 0 };

await main();

async function main() {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-storm-'));
  console.log(`storm: ${values.seconds} s, seed ${values.seed}, ${values.threads} at a time, in ${directory}`);
  const place = await makePlace(directory);
  try {
    await storm(place);
    await calm(place);
  } finally {
    await place.close();
  }
  const all = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [what, count] of all) console.log(`${String(count).padStart(6)}  ${what}`);
  console.log(`the slowest took ${slowest.milliseconds} ms: ${slowest.what}`);
  for (const finding of findings) console.log(`FOUND  ${finding}`);
  console.log(`${findings.length} findings`);
  if (findings.length > 0) {
    process.exitCode = 1;
    return;
  }
  rmSync(directory, { recursive: true, force: true });
  if (Number(values.seconds) < WORTH_KEEPING_S) return;
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  keepMeasured(
    'storm',
    'Storm: commands at random on one home, by two installations',
    `npm run storm, Node ${process.version}`,
    [[`commands in ${values.seconds} s, with nothing found`, total]],
  );
}

async function storm(place) {
  const threads = Array.from({ length: Number(values.threads) }, (_, number) => makeThread(place, number));
  const end = Date.now() + Number(values.seconds) * 1000;
  while (Date.now() < end) {
    const pause = Math.min(end, Date.now() + GUST_MS);
    await Promise.all(threads.map((thread) => go(thread, pause)));
    note('the home, when it is quiet', judgeHome(place.home, place.versions, place.kept));
  }
}

/**
 * When all is over every command succeeds again (I4), nothing is damaged (I5), and nothing of a killed one is left
 * (I3).
 */
async function calm(place) {
  for (const { name } of place.versions) {
    for (const build of [0, 1]) await mustSucceed(place, build, ['pull', `${place.repository}:${name}`]);
  }
  await mustSucceed(place, 0, ['prune', '--older-than', '30']);
  await mustSucceed(place, 1, ['doctor', '--deep']);
  note('the end', [...judgeHome(place.home, place.versions, place.kept), ...judgeScratch(place.home)]);
}

async function mustSucceed(place, build, command) {
  const { status, said } = await run(place, build, command);
  if (status !== 0) note(command.join(' '), [`I4, I5: ended with ${status}: ${said}`]);
}

async function go(thread, until) {
  while (Date.now() < until) {
    const { before, command, check, mayFind, mayEnd } = nextMove(thread);
    const build = thread.below(2);
    const killAfterMs = thread.below(KILLED_ONE_OF) === 0 ? thread.below(KILLED_WITHIN_MS) : undefined;
    await before?.();
    const began = Date.now();
    const { status, said, isLate } = await run(thread.place, build, command, killAfterMs);
    const code = /^error\[([A-Z_]+)\]/m.exec(said)?.[1];
    const end = status === undefined ? 'killed' : (code ?? `exit ${status}`);
    const what = `${command[0]}, ${build === 0 ? 'with' : 'without'} the binding: ${end}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
    const shown = `${command.join(' ')} (${build === 0 ? 'with' : 'without'} the binding)`;
    const milliseconds = Date.now() - began;
    if (milliseconds > slowest.milliseconds) slowest = { what: shown, milliseconds };
    if (isLate) note(shown, ['I9: it did not end']);
    else if (status === 0) note(shown, check());
    else if (
      status !== undefined &&
      mayFind !== true &&
      (code === undefined || code !== mayEnd) &&
      !IN_THE_WAY.has(code)
    )
      note(shown, [`I10: exit ${status}: ${said}`]);
    else if (code === 'INTERNAL') note(shown, [`I10: ${said}`]);
  }
}

function note(what, found) {
  for (const finding of found) {
    findings.push(`${what}: ${finding}`);
    console.log(`FOUND  ${new Date().toISOString()} ${what}: ${finding}`);
  }
}

/** A thread of the storm, with chance of its own, so that a seed says what it does. */
function makeThread(place, number) {
  let state = (Number(values.seed) * 7919 + number * 104_729 + 1) >>> 0;
  // Mulberry32, which is in the public domain.
  const chance = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(chance() * limit);
  return { place, own: `own-${number}`, below, pick: (list) => list[below(list.length)] };
}
