/** A push of everything, beside programs that encode and upload the same disk, and the same push once more. */
import { rmSync } from 'node:fs';
import { inTurn, row } from './compare.mjs';
import { forgetPushes, makeVm } from './disk.mjs';
import { tartlet, timed, together, withRegistry } from './process.mjs';

export async function pushRows({ work, runs, diskBytes }) {
  const disk = makeVm(`${work}/home/vms/bench`, 'files', diskBytes);
  const home = { TART_HOME: `${work}/home` };
  await withRegistry(work, async (at) => {
    timed(work, [...tartlet, 'push', 'bench', `${at}/bench/vm:1`], home);
    timed(work, ['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${at}/bench/vm:1`, `dir:${work}/dir`]);
  });
  // Each push gets a registry of its own: in a shared one the second push would find the blobs of the first.
  const target = async (fill) => withRegistry(work, async (empty) => fill(`${empty}/bench/vm:1`));
  const push = (name) => timed(work, [...tartlet, 'push', 'bench', name], home);
  const results = await inTurn(runs, {
    tartlet: () => {
      forgetPushes(`${work}/home/vms/bench`);
      return target(push);
    },
    [AGAIN]: () =>
      target((name) => {
        push(name);
        return push(name);
      }),
    'lz4 + skopeo copy dir: docker://': () =>
      target((name) =>
        together(
          timed(work, ['lz4', '-q', '-f', '-1', '-BD', '-B4', disk, `${work}/disk.lz4`]),
          timed(work, ['skopeo', 'copy', '-q', '--dest-tls-verify=false', `dir:${work}/dir`, `docker://${name}`]),
        ),
      ),
  });
  rmSync(`${work}/disk.lz4`);
  return [
    row('push', results, 'tartlet', 'lz4 + skopeo copy dir: docker://', { floor: 0.8, target: 0.5 }),
    row('push of the same VM once more', results, AGAIN, 'tartlet', { floor: 0.1, target: 0.05 }),
  ];
}

const AGAIN = 'tartlet, pushed before';
