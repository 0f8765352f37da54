import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { OPERATIONS } from './operation.ts';
import { type Event, ORDERED_CALLS, readEvents } from './order.ts';
import { Place } from './place.ts';
import { checkRemovals } from './removals.ts';
import { type Invocation, traceCalls } from './strace.ts';

const inScratchOf =
  (home: string) =>
  (place: string): boolean =>
    ['tmp', 'cache/.staging', 'cache/.locks'].some((scratch) => `${place}/`.startsWith(`${home}/${scratch}/`));

const log = (...calls: readonly string[]): string => calls.map((call) => `7 ${call}`).join('\n');
const removed = (...paths: readonly string[]): Event[] => paths.map((each) => ({ kind: 'remove', path: each }));

describe('the reader of paths through descriptors', () => {
  it('follows them to what was opened, also below another descriptor', () => {
    const calls = log(
      'openat(AT_FDCWD</>, "/h/cache/.staging", O_RDONLY|O_DIRECTORY) = 18</h/cache/.staging>',
      'openat(AT_FDCWD</>, "/proc/self/fd/18/x", O_RDONLY|O_DIRECTORY) = 19</h/cache/.staging/x>',
      'unlink("/proc/self/fd/19/disk.img") = 0',
      'rmdir("/proc/self/fd/18/x") = 0',
    );
    expect(readEvents(calls, '/h')).toEqual([
      ...removed('/h/cache/.staging/x/disk.img'),
      { kind: 'tidy', path: '/h/cache/.staging/x' },
    ]);
  });

  it('takes the last that was opened with a number, by the same process, and by any thread of it', () => {
    const calls = [
      '7 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[8]}, 88) = 8',
      '7 openat(AT_FDCWD</>, "/h/a", O_RDONLY) = 18</h/a>',
      '7 openat(AT_FDCWD</>, "/h/b", O_RDONLY) = 18</h/b>',
      '7 clone(child_stack=NULL, flags=SIGCHLD) = 9',
      '9 openat(AT_FDCWD</>, "/h/c", O_RDONLY) = 18</h/c>',
      '8 unlink("/proc/self/fd/18/x") = 0',
      '9 unlink("/proc/self/fd/18/x") = 0',
    ].join('\n');
    expect(readEvents(calls, '/h')).toEqual(removed('/h/b/x', '/h/c/x'));
  });

  it('passes over no removal whose descriptor it does not know', () => {
    expect(() => readEvents(log('unlink("/proc/self/fd/18/x") = 0'), '/h')).toThrow('/proc/self/fd/18/x');
  });
});

describe('the checker of removals', () => {
  const before = {
    isUnpublished: inScratchOf('/h'),
    tags: new Map([['/h/cache/OCIs/r/1', '/h/cache/OCIs/r/sha256:a']]),
  };
  const takeTag = 'rename("/h/cache/OCIs/r/1", "/h/cache/.staging/t") = 0';
  const flush = 'fsync(9</h/cache/OCIs/r>) = 0';
  const takeImage = 'rename("/h/cache/OCIs/r/sha256:a", "/h/cache/.staging/x") = 0';

  it.each([
    ['nothing, when all is right', [takeTag, flush, takeImage, 'unlink("/h/cache/.staging/x/disk.img") = 0'], []],
    [
      'an image that goes before its tag',
      [takeImage, takeTag],
      ['/h/cache/OCIs/r/sha256:a went before its tag /h/cache/OCIs/r/1'],
    ],
    [
      'an image that goes before the removal of its tag is durable',
      [takeTag, takeImage],
      ['/h/cache/OCIs/r/sha256:a went before the removal of /h/cache/OCIs/r/1 was flushed'],
    ],
    [
      'an image that goes when its tag was moved elsewhere, and that is not durable',
      ['symlink("/h/cache/OCIs/r/sha256:b", "/h/tmp/l") = 0', 'rename("/h/tmp/l", "/h/cache/OCIs/r/1") = 0', takeImage],
      ['/h/cache/OCIs/r/sha256:a went before the removal of /h/cache/OCIs/r/1 was flushed'],
    ],
    [
      'a VM that is taken apart in its place',
      ['openat(AT_FDCWD</>, "/h/vms/a", O_RDONLY) = 18</h/vms/a>', 'unlink("/proc/self/fd/18/disk.img") = 0'],
      ['taken apart in its published place: /h/vms/a/disk.img'],
    ],
  ])('finds %s', (_what, calls, findings) => {
    expect(checkRemovals(readEvents(log(...calls), '/h'), before)).toEqual(findings);
  });
});

const image = (place: Place): string => place.name('team/base:moving');
const command =
  (...args: readonly ((place: Place) => string)[]) =>
  async (place: Place): Promise<Invocation> => {
    place.reset();
    return place.command(...args.map((each) => each(place)));
  };
const text = (word: string) => (): string => word;

/** Commands that take an image or a VM away. */
const REMOVALS: readonly { readonly name: string; readonly prepare: (place: Place) => Promise<Invocation> }[] = [
  ...OPERATIONS.filter(({ name }) => ['prune', 'collect'].includes(name)),
  { name: 'delete of a tag', prepare: command(text('delete'), image) },
  { name: 'delete of a VM', prepare: command(text('delete'), text('keep')) },
  { name: 'clone over a VM', prepare: command(text('clone'), image, text('keep')) },
  { name: 'create over a VM', prepare: command(text('create'), text('--linux'), text('keep')) },
];

describeWithParts('a power cut while something is removed (P4)', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it.each(REMOVALS)('leaves it whole or gone, and no tag that leads to nothing: $name', async ({ prepare }) => {
    const invocation = await prepare(place);
    const tags = tagsIn(place.home);
    const traced = await traceCalls(invocation, ORDERED_CALLS, place.log());
    expect(traced.exitCode, traced.stderr).toBe(0);
    const events = readEvents(readFileSync(place.log(), 'utf8'), place.user.directory);
    const isSeen = events.some(
      ({ kind, ...event }) => kind === 'remove' && 'path' in event && event.path.endsWith('/disk.img'),
    );
    expect(isSeen, 'or nothing was checked').toBe(true);
    expect(checkRemovals(events, { isUnpublished: inScratchOf(place.home), tags })).toEqual([]);
  });
});

/** The tags of a home, and where each leads. */
function tagsIn(home: string): ReadonlyMap<string, string> {
  const images = path.join(home, 'cache/OCIs');
  const links = readdirSync(images, { recursive: true, encoding: 'utf8' })
    .map((entry) => path.join(images, entry))
    .filter((entry) => lstatSync(entry).isSymbolicLink());
  return new Map(links.map((link) => [link, path.resolve(path.dirname(link), readlinkSync(link))]));
}
