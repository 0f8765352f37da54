import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { OPERATIONS } from './operation.ts';
import { checkOrder, ORDERED_CALLS, readEvents } from './order.ts';
import { Place } from './place.ts';
import { traceCalls } from './strace.ts';

const inScratch = (path: string): boolean => /\/(tmp|cache\/\.staging|cache\/\.locks)(\/|$)/.test(path);

const log = (...calls: readonly string[]): string => calls.map((call, index) => `12${index}  ${call} = 0`).join('\n');

describe('the checker of orders', () => {
  it.each([
    [
      'nothing, when all is right',
      [
        'openat(AT_FDCWD, "/h/tmp/a", O_WRONLY|O_CREAT, 0600)',
        'pwrite64(9</h/tmp/a>, "x", 1, 0)',
        'fsync(9</h/tmp/a>)',
        'rename("/h/tmp/a", "/h/a")',
        'fsync(9</h>)',
      ],
      [],
    ],
    [
      'a file that is not flushed',
      ['pwrite64(9</h/tmp/a>, "x", 1, 0)', 'rename("/h/tmp/a", "/h/a")', 'fsync(9</h>)'],
      ['renamed to /h/a before it was flushed: /h/tmp/a'],
    ],
    [
      'a file of a folder that is not flushed',
      ['fsync(9</h/tmp/f/a>)', 'ftruncate(9</h/tmp/f/a>, 5)', 'rename("/h/tmp/f", "/h/f")', 'fsync(9</h>)'],
      ['renamed to /h/f before it was flushed: /h/tmp/f/a'],
    ],
    ['a folder that is not flushed', ['rename("/h/tmp/a", "/h/a")'], ['the folder /h was not flushed after /h/a']],
    [
      'a new folder whose parent is not flushed',
      ['mkdir("/h/new", 0777)'],
      ['the folder /h was not flushed after /h/new'],
    ],
    [
      'a link whose folder is not flushed',
      ['symlink("/h/x", "/h/y/tag")'],
      ['the folder /h/y was not flushed after /h/y/tag'],
    ],
    ['a removal that is not flushed', ['unlink("/h/y/tag")'], ['the folder /h/y was not flushed after /h/y/tag']],
    [
      'a write to what is published',
      ['pwrite64(9</h/a>, "x", 1, 0)', 'fsync(9</h/a>)'],
      ['written in its published place: /h/a'],
    ],
  ])('finds %s', (_what, calls, findings) => {
    expect(checkOrder(readEvents(log(...calls), '/h'), inScratch)).toEqual(findings);
  });

  it('counts no call that failed, and a call in two lines where it ends', () => {
    const text = [
      '7 rename("/h/tmp/a", "/h/a") = -1 ENOENT (No such file or directory)',
      '8 fsync(9</h> <unfinished ...>',
      '7 rename("/h/tmp/b", "/h/b") = 0',
      '8 <... fsync resumed>) = 0',
    ].join('\n');
    expect(checkOrder(readEvents(text, '/h'), inScratch)).toEqual([]);
  });
});

describeWithParts('a power cut (P28, P29)', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it.each(OPERATIONS)('leaves the old or the new, and what was reported as done is done: $name', async (operation) => {
    const invocation = await operation.prepare(place);
    const traced = await traceCalls(invocation, ORDERED_CALLS, place.log());
    expect(traced.exitCode, traced.stderr).toBe(0);
    const events = readEvents(readFileSync(place.log(), 'utf8'), place.user.folder);
    expect(events.filter(({ kind }) => kind === 'flush').length).toBeGreaterThanOrEqual(operation.leastFlushes);
    expect(checkOrder(events, inScratch)).toEqual([]);
  });
});
