/**
 * R9: suspend and resume, time and again, and a clone of the suspended VM each time; what is in the guest's memory is
 * there. And R14: what an idle `run` costs.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { start, tartlet } from './debian.mjs';

const GUEST = path.resolve(import.meta.dirname, '../guest.mjs');
const UP_WITHIN_S = '300';
const IDLE_MS = 20_000;

/** @returns the exit code. */
export async function main([rounds = '20']) {
  const home = mkdtempSync(`${tmpdir()}/tartlet-r9-`);
  const times = { resume: [], clone: [] };
  let good = 0;
  let cost;
  try {
    mkdirSync(`${home}/vms`);
    execFileSync(process.execPath, [GUEST, `${home}/vms/ci`], { stdio: ['ignore', 'inherit', 'inherit'] });
    const first = start(home, 'run', 'ci');
    await tartlet(home, 'ip', 'ci', '--wait', UP_WITHIN_S);
    await tartlet(home, 'exec', 'ci', 'sh', '-c', 'echo 0 >/tmp/count');
    cost = await costOf(first.child.pid);
    await suspend(home, 'ci', first);
    for (let round = 1; round <= Number(rounds); round += 1) {
      await tartlet(home, 'clone', 'ci', 'copy');
      const original = await goOn(home, 'ci');
      const copy = await goOn(home, 'copy');
      times.resume.push(original.seconds);
      times.clone.push(copy.seconds);
      const before = await count(home, 'ci', round);
      const inCopy = await count(home, 'copy', 0);
      const [mac, macOfCopy] = await Promise.all(['ci', 'copy'].map(async (name) => macIn(home, name)));
      await suspend(home, 'ci', original.run);
      await suspend(home, 'copy', copy.run);
      await tartlet(home, 'delete', 'copy');
      const isGood = before === round - 1 && inCopy === round - 1 && mac !== macOfCopy;
      if (isGood) good += 1;
      console.error(
        `${round}: ${before} ${inCopy} ${mac} ${macOfCopy}, up in ${original.seconds} s, the clone in ${copy.seconds} s`,
      );
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  console.log(
    `| R9 | suspend and resume ${good}/${rounds}, each time with a clone of the suspended VM that has an address of its own; from \`run\` to the ` +
      `answer of the agent ${median(times.resume)} s, of the clone ${median(times.clone)} s (medians) |`,
  );
  console.log(
    `| R14 | an idle \`run\`: ${cost.mebibytes} MB of its own and ${cost.percent} % of a core over ${IDLE_MS / 1000} s, beside QEMU |`,
  );
  return good === Number(rounds) ? 0 : 1;
}

/** Until the guest's agent answers: `ip` looks once in a second only. */
async function goOn(home, name) {
  const began = performance.now();
  const run = start(home, 'run', name);
  for (;;) {
    if ((await start(home, 'exec', name, 'true').ended) === 0) break;
    if (run.child.exitCode !== null) throw new Error(`run ended: ${run.stderr}`);
  }
  return { run, seconds: Number(((performance.now() - began) / 1000).toFixed(1)) };
}

async function suspend(home, name, run) {
  await tartlet(home, 'suspend', name);
  const code = await run.ended;
  if (code !== 0) throw new Error(`run ended with ${code}: ${run.stderr}`);
}

/** @returns what the guest had counted to. */
async function count(home, name, next) {
  const text = await tartlet(home, 'exec', name, 'sh', '-c', `cat /tmp/count; echo ${next} >/tmp/count`);
  return Number(text);
}

async function macIn(home, name) {
  return tartlet(home, 'exec', name, 'cat', '/sys/class/net/eth0/address');
}

/**
 * Memory of the process alone, not what it shares with others of the same program (proc(5), smaps_rollup), and its time
 * on processors.
 */
async function costOf(pid) {
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  await delay(5000);
  const before = ticks();
  await delay(IDLE_MS);
  const used = ((ticks() - before) * 10) / IDLE_MS;
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kibibytes = ['Private_Clean', 'Private_Dirty'].map((key) =>
    Number(new RegExp(`${key}: +([0-9]+)`).exec(rollup)[1]),
  );
  const rss = Number(/Rss: +([0-9]+)/.exec(rollup)[1]);
  console.error(`idle: rss ${Math.round(rss / 1024)} MB`);
  return { mebibytes: Math.round((kibibytes[0] + kibibytes[1]) / 1024), percent: (used * 100).toFixed(2) };
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
