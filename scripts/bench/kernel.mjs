/** The codec alone, on one thread, beside lz4-napi: a native library that does the same work. */
import { report } from './process.mjs';

export function kernelRows({ runs }) {
  const results = report('kernel-rounds.mjs', runs);
  const faster = (name) => (results.rounds[`${name} lz4-napi`] ?? 0) / results.rounds[`${name} tartlet`];
  const side = (name) => ({ name, seconds: results.rounds[name], cpuSeconds: results.rounds[name], peakBytes: 0 });
  const rowOf = (name, what, floor, target) => ({
    what,
    ours: { ...side(`${name} tartlet`), name: `tartlet (${results.backend})` },
    peer: { ...side(`${name} lz4-napi`), name: 'lz4-napi with dictionary' },
    ratio: 1 / faster(name),
    // Goals are "so many times as fast".
    floor: 1 / floor,
    target: 1 / target,
  });
  const sizes = results.sizes;
  return [
    rowOf('decode', `decode ${results.megabytes} MB, one thread`, 1.5, 2),
    rowOf(
      'encode',
      `encode the same, one thread; size ${(sizes.tartlet / sizes['lz4-napi']).toFixed(3)} of the peer's`,
      2,
      2.8,
    ),
  ];
}
