/** The VM that the build and the bench move around: one of Linux on ARM, as Tart writes it. */
import { mkdirSync, writeFileSync } from 'node:fs';

/** What is in its `config.json`. */
export const SAMPLE_CONFIG = JSON.stringify({
  version: 1,
  os: 'linux',
  arch: 'arm64',
  cpuCountMin: 4,
  cpuCount: 4,
  memorySizeMin: 2 ** 32,
  memorySize: 2 ** 32,
  macAddress: '7e:12:34:56:78:9a',
  diskFormat: 'raw',
});

/** Makes it in `folder`, stopped and still without a disk. Returns where that belongs. */
export function makeSampleVm(folder) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/config.json`, SAMPLE_CONFIG);
  writeFileSync(`${folder}/nvram.bin`, Buffer.alloc(128 * 1024));
  return `${folder}/disk.img`;
}
