import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.ts';

/*
 * The storm itself is run by hand (`npm run storm`), for minutes. Here: that it runs, and that what judges it can find
 * something.
 */

const SCRIPTS = path.resolve(import.meta.dirname, '../../scripts');

interface Oracle {
  judgeHome(home: string, versions: readonly object[], kept: object): string[];
  judgeScratch(home: string): string[];
}
const oracle = (await import(`${SCRIPTS}/storm/oracle.mjs`)) as Oracle;

const MANIFEST = '{"layers":[]}';
const DIGEST = createHash('sha256').update(MANIFEST).digest('hex');
const FILES = {
  'config.json': Buffer.from('{"os":"linux"}'),
  'nvram.bin': Buffer.alloc(100, 1),
  'disk.img': Buffer.alloc(5000, 2),
};
const IMAGE = `cache/OCIs/a/b/sha256:${DIGEST}`;

/** A home with one image, its tag, a VM, and a file beside the home. */
function quietHome() {
  const directory = temporaryDirectory();
  const home = `${directory}/home`;
  for (const at of [IMAGE, 'vms/kept']) {
    mkdirSync(`${home}/${at}`, { recursive: true });
    for (const [file, bytes] of Object.entries(FILES)) writeFileSync(`${home}/${at}/${file}`, bytes);
  }
  writeFileSync(`${home}/${IMAGE}/manifest.json`, MANIFEST);
  symlinkSync(`${home}/${IMAGE}`, `${home}/cache/OCIs/a/b/v1`);
  writeFileSync(`${directory}/beside.txt`, 'outside');
  const version = { name: 'v1', digest: DIGEST, files: FILES };
  const kept = {
    vm: { name: 'kept', version },
    tag: { link: 'cache/OCIs/a/b/v1', version },
    files: { [`${directory}/beside.txt`]: 'outside' },
  };
  return { home, judge: () => [...oracle.judgeHome(home, [version], kept), ...oracle.judgeScratch(home)] };
}

it('the judge of the storm finds nothing where all is well', () => {
  expect(quietHome().judge()).toEqual([]);
});

it.each<[string, (home: string) => void, RegExp]>([
  ['a flipped byte of an image', (home) => flip(`${home}/${IMAGE}/disk.img`), /^I1, I6: disk\.img/],
  ['half an image', (home) => rmSync(`${home}/${IMAGE}/nvram.bin`), /^I1, I6: nvram\.bin/],
  ['another manifest', (home) => appendFileSync(`${home}/${IMAGE}/manifest.json`, ' '), /^I1, I6: manifest\.json/],
  [
    'an image that was never made',
    (home) => cpSync(`${home}/${IMAGE}`, `${home}/cache/OCIs/a/b/sha256:00`, { recursive: true }),
    /^I1: an image that was never pushed/,
  ],
  ['a lost image', (home) => rmSync(`${home}/${IMAGE}`, { recursive: true }), /^I1, I5: the tag .* leads to nothing/],
  ['a lost tag', (home) => rmSync(`${home}/cache/OCIs/a/b/v1`), /^I2: the pinned image/],
  ['half a VM', (home) => rmSync(`${home}/vms/kept/config.json`), /^I1, I6: the VM kept has no config\.json/],
  ['a torn disk of a VM', (home) => truncateSync(`${home}/vms/kept/disk.img`, 4000), /^I1, I6: the VM kept has a disk/],
  ['a VM that was cleaned away', (home) => rmSync(`${home}/vms/kept`, { recursive: true }), /^I12: the VM kept/],
  ['a file outside', (home) => appendFileSync(`${home}/../beside.txt`, '!'), /^I8, I12: .*beside\.txt/],
  ['scratch', (home) => mkdirSync(`${home}/tmp/x`, { recursive: true }), /^I3: left behind: tmp\/x/],
])('the judge of the storm finds %s', (_what, spoil, finding) => {
  const { home, judge } = quietHome();
  spoil(home);
  expect(judge()).toContainEqual(expect.stringMatching(finding));
});

it('a short storm of commands in two installations on one home finds nothing', () => {
  const storm = ['--seconds', '2', '--threads', '3', '--seed', '5'];
  const { stdout, stderr } = spawnSync(process.execPath, [`${SCRIPTS}/storm.mjs`, ...storm], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/\n0 findings\n$/);
}, 120_000);

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[7] = (bytes[7] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
