import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as entries from '../../src/home/home-entry.ts';
import { contentAsideName, contentAsideOf, isLinkAside, linkAsideName } from '../../src/home/home-entry.ts';

const OWNER = 'src/home/home-entry.ts';
/** Help for people, who are told where to look. */
const PROSE = 'src/cli/declare/';
const HEX = 'a'.repeat(64);

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: `src/${file}`, text: withoutComments(readFileSync(`src/${file}`, 'utf8')) }));

const hidden = Object.values<unknown>(entries)
  .flatMap((each) => (typeof each === 'object' ? Object.values(each as object) : [each]) as unknown[])
  .filter((each): each is string => typeof each === 'string' && each.startsWith('.'));

it('the names that Tartlet hides in a home are these', () => {
  expect([...hidden, '.link.', '.partial'].sort()).toEqual([
    '.base-manifest.json',
    '.blobs',
    '.boot-order.json',
    '.disk-seal.json',
    '.disposable',
    '.explicitly-pulled',
    '.fill.sock',
    '.gc.lock',
    '.last-used',
    '.lazy-disk.img',
    '.lazy-manifest.json',
    '.lazy-order.json',
    '.lazy-touched.json',
    '.lazy.json',
    '.link.',
    '.locks',
    '.migrated.json',
    '.migrations.log',
    '.origin.json',
    '.origin.json.former',
    '.partial',
    '.pieces',
    '.pinned',
    '.prefetch.json',
    '.pushed-manifest.json',
    '.pushed-to.json',
    '.quarantine',
    '.scratch',
    '.staging',
    '.unnamed',
    '.verified',
  ]);
});

it.each([...hidden, '.link.', '.partial'])('%s is spelled in one file of the source', (name) => {
  const spelling = new RegExp(`(?<=['"\`/}])${name.replaceAll('.', String.raw`\.`)}(?![\\w-])`);
  const spelled = sources.filter(({ text }) => spelling.test(text)).map(({ file }) => file);
  expect(spelled.filter((file) => file !== OWNER && !file.startsWith(PROSE))).toEqual([]);
});

it('what lies beside a file of the content store is told by its name, and nothing else is', () => {
  expect(contentAsideName(HEX, 'partial')).toBe(`.${HEX}.partial`);
  expect(contentAsideName(HEX, 'verified')).toBe(`.${HEX}.verified`);
  expect(contentAsideOf(`.${HEX}.lock`)).toEqual({ hex: HEX, kind: 'lock' });
  for (const name of [HEX, `${HEX}.lock`, '.gc.lock', `.${HEX}.tmp`, `.${HEX}.lock.`]) {
    expect(contentAsideOf(name)).toBeUndefined();
  }
});

it('a symlink on its way is told by its name; a hidden symlink of the user is none', () => {
  const uuid = '123e4567-e89b-12d3-a456-426614174000';
  expect(linkAsideName(uuid)).toBe(`.link.${uuid}`);
  expect(isLinkAside(`.link.${uuid}`)).toBe(true);
  expect(isLinkAside('.link.mine')).toBe(false);
});

/** Comments may name them: they say what is there. */
function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, '');
}
