/** What a change of 1 % costs in layers of 16 MiB, beside moving everything. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { inTurn, row } from './compare.mjs';
import { forgetPushes, makeVm, MIB } from './disk.mjs';
import { tartlet, timed, withRegistry } from './process.mjs';
import { withSharingDisk } from './sharing-disk.mjs';
import { takeMemory } from './warm.mjs';

const [SOME, ALL, COPY] = ['tartlet, the rest cached', 'tartlet, everything', 'cp and sync of the disk'];
const NOTHING = 'tartlet, a clone that never ran';
const GOAL = { floor: 0.15, target: 0.08 };

export async function deltaRows({ work, runs, diskBytes, quick }) {
  const rows = await withChangedImage(work, diskBytes, async (image) => {
    const pulls = await pullsInTurn(runs, image, {
      [COPY]: () => {
        rmSync(`${work}/copy`, { force: true });
        takeMemory(work, diskBytes);
        return timed(work, ['sh', '-c', `cp --sparse=always ${image.disk} ${work}/copy && sync ${work}/copy`]);
      },
    });
    rmSync(`${work}/copy`);
    const { delta, full } = image.fetchBytes();
    const what = 'pull after 1 % changed';
    return [
      {
        ...row(`${what}: bytes`, pulls, SOME, ALL, { floor: 0.05, target: 0.02 }),
        ratio: delta / full,
        moved: { ours: delta, peer: full },
      },
      row(`${what}: time`, pulls, SOME, ALL, GOAL),
      row('the same', pulls, SOME, COPY),
      ...pushRows(await pushesInTurn(runs, image)),
    ];
  });
  if (quick) return rows;
  // Room for a VM, two cached images, a full pull and a registry.
  const shared = await withSharingDisk(work, 6 * diskBytes, async (place) =>
    withChangedImage(place, diskBytes, async (image) => pullsInTurn(runs, image)),
  );
  if (shared === undefined) console.error('no XFS can be mounted here: the row of shared blocks is left out');
  else rows.push(row('pull after 1 % changed, blocks shared (XFS in a file): time', shared, SOME, ALL, GOAL));
  return rows;
}

/** Runs `use` with an image of which the cache has the one before. */
async function withChangedImage(work, diskBytes, use) {
  const home = { TART_HOME: `${work}/home` };
  const run = (...command) => timed(work, [...tartlet, ...command], home);
  makeVm(`${work}/home/vms/bench`, 'files', diskBytes);
  return withRegistry(work, async (at) => {
    const [before, after] = [`${at}/bench/vm:1`, `${at}/bench/vm:2`];
    const disk = `${work}/home/vms/changed/disk.img`;
    run('push', '--layer-size', '16', 'bench', before);
    run('pull', before);
    run('clone', before, 'changed');
    changeOnePercent(disk, diskBytes);
    run('push', 'changed', after);
    // Else the pull would find everything in this VM: it is to be one of another machine.
    forgetPushes(`${work}/home/vms/changed`);
    return use({
      work,
      diskBytes,
      disk,
      run,
      before,
      after,
      fetchBytes: () => ({ delta: fetchBytes(home, after), full: fetchBytes({ TART_HOME: `${work}/empty` }, after) }),
    });
  });
}

async function pullsInTurn(runs, { work, diskBytes, run, after }, others = {}) {
  return inTurn(runs, {
    [SOME]: () => {
      takeMemory(work, diskBytes);
      const result = run('pull', after);
      run('delete', after);
      return result;
    },
    [ALL]: () => {
      rmSync(`${work}/full`, { recursive: true, force: true });
      takeMemory(work, diskBytes);
      return timed(work, [...tartlet, 'pull', after], { TART_HOME: `${work}/full` });
    },
    ...others,
  });
}

function pushRows(pushes) {
  return [
    row('push after 1 % changed', pushes, SOME, ALL, { floor: 0.25, target: 0.1 }),
    row('push of a clone that never ran', pushes, NOTHING, ALL),
  ];
}

async function pushesInTurn(runs, { work, diskBytes, disk, run, before, after }) {
  run('clone', before, 'untouched');
  return inTurn(runs, {
    [NOTHING]: () => run('push', 'untouched', `${after}-too`),
    [SOME]: () => {
      changeOnePercent(disk, diskBytes);
      return run('push', 'changed', after);
    },
    [ALL]: () => withRegistry(work, async (empty) => run('push', 'changed', `${empty}/bench/vm:2`)),
  });
}

/** Overwrites 1 % of a disk, in one extent that begins in the middle of a layer, with bytes that were never there. */
function changeOnePercent(disk, diskBytes) {
  const fd = openSync(disk, 'r+');
  const bytes = randomBytes(Math.floor(diskBytes / 100));
  const from = Math.floor(diskBytes * 0.4) + 5 * MIB;
  for (let at = 0; at < bytes.length; at += MIB) writeSync(fd, bytes, at, Math.min(MIB, bytes.length - at), from + at);
  closeSync(fd);
}

/** Bytes that a pull of a name would fetch now. */
function fetchBytes(home, name) {
  const { stdout } = spawnSync(tartlet[0], [tartlet[1], 'pull', '--dry-run', '--format', 'json', name], {
    env: { ...process.env, ...home },
    encoding: 'utf8',
  });
  return JSON.parse(stdout).fetchBytes;
}
