/** What a change of 1 % costs in layers of 16 MiB, beside moving everything. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { inTurn, row } from './compare.mjs';
import { makeVm, MIB } from './image.mjs';
import { takeMemory } from './warm.mjs';
import { tartlet, timed, withRegistry } from './process.mjs';

export async function deltaRows({ work, runs, diskBytes }) {
  const home = { TART_HOME: `${work}/home` };
  const run = (...command) => timed(work, [...tartlet, ...command], home);
  makeVm(`${work}/home/vms/bench`, 'system', diskBytes);
  return withRegistry(work, async (at) => {
    const [before, after] = [`${at}/bench/vm:1`, `${at}/bench/vm:2`];
    run('push', '--layer-size', '16', 'bench', before);
    run('pull', before);
    run('clone', before, 'changed');
    changeOnePercent(`${work}/home/vms/changed/disk.img`, diskBytes);
    run('push', 'changed', after);
    const bytes = { delta: fetchBytes(home, after), full: fetchBytes({ TART_HOME: `${work}/empty` }, after) };
    const pulls = await inTurn(runs, {
      'tartlet, the rest cached': () => {
        takeMemory(work, diskBytes);
        const result = run('pull', after);
        run('delete', after);
        return result;
      },
      'tartlet, everything': () => {
        rmSync(`${work}/full`, { recursive: true, force: true });
        takeMemory(work, diskBytes);
        return timed(work, [...tartlet, 'pull', after], { TART_HOME: `${work}/full` });
      },
    });
    const pushes = await inTurn(runs, {
      'tartlet, 1 % changed': () => {
        changeOnePercent(`${work}/home/vms/changed/disk.img`, diskBytes);
        return run('push', 'changed', after);
      },
      'tartlet, everything': () => withRegistry(work, async (empty) => run('push', 'changed', `${empty}/bench/vm:2`)),
    });
    const [some, all] = ['tartlet, the rest cached', 'tartlet, everything'];
    const what = 'pull after 1 % changed';
    return [
      row(`${what}: bytes`, pulls, some, all, { reach: 0.05, aim: 0.02 }, () => bytes.delta / bytes.full),
      row(`${what}: time`, pulls, some, all, { reach: 0.15, aim: 0.08 }),
      row('push after 1 % changed', pushes, 'tartlet, 1 % changed', all, { reach: 0.25, aim: 0.1 }),
    ];
  });
}

/** Overwrites 1 % of a disk, in one stretch that begins in the middle of a layer, with bytes that were never there. */
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
