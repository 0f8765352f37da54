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

/** Makes it in `directory`, stopped and still without a disk. Returns where that belongs. */
export function makeSampleVm(directory) {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/config.json`, SAMPLE_CONFIG);
  writeFileSync(`${directory}/nvram.bin`, Buffer.alloc(128 * 1024));
  return `${directory}/disk.img`;
}
