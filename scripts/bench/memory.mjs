/** Peak memory with the default settings, for a large disk. */
import { rmSync } from 'node:fs';
import { makeVm, MIB } from './disk.mjs';
import { tartlet, timed, withRegistry } from './process.mjs';

const DISK_BYTES = 8 * 1024 * MIB;

/** Each row is one run: memory does not depend on what else the machine does. */
export async function memoryRows({ work }) {
  makeVm(`${work}/home/vms/large`, 'sparse', DISK_BYTES);
  return withRegistry(work, async (at) => {
    const name = `${at}/bench/large:1`;
    const push = timed(work, [...tartlet, 'push', 'large', name], { TART_HOME: `${work}/home` });
    rmSync(`${work}/home/vms/large`, { recursive: true });
    const pull = timed(work, [...tartlet, 'pull', name], { TART_HOME: `${work}/pulled` });
    rmSync(`${work}/pulled`, { recursive: true });
    return [rowOf('pull', pull), rowOf('push', push)];
  });
}

function rowOf(what, result) {
  return {
    what: `peak memory of ${what}, disk of 8 GiB`,
    ours: { name: 'tartlet', ...result },
    megabytes: result.peakBytes / 1e6,
    floor: 250,
    target: 120,
  };
}
