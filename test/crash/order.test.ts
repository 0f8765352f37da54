import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND, Running } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { eventually } from '../support/real-process.ts';
import { FIRSTS, firstHome } from './first.ts';
import { OPERATIONS } from './operation.ts';
import { checkOrder, ORDERED_CALLS, readEvents } from './order.ts';
import { Place } from './place.ts';
import { traceCalls, tracedEnvironment } from './strace.ts';

/**
 * What only saves time, or is made anew by the next command: locks, times of use, what was seen of a cache, unmodified
 * markers and the unfinished.
 */
const FORGETTABLE = /\/\.([^/]*lock|[^/]*\.(partial|verified)|last-used|migrated\.json[^/]*|disk-seal\.json)$/;

/** By the home and not by the name alone: the homes of these tests lie in a `/tmp` themselves. */
const inScratchOf =
  (...roots: readonly string[]) =>
  (file: string): boolean =>
    FORGETTABLE.test(file) ||
    roots.some((root) =>
      ['tmp', 'cache/.staging', 'cache/.locks', 'staging'].some((scratch) =>
        `${file}/`.startsWith(`${root}/${scratch}/`),
      ),
    );
const inScratch = inScratchOf('/h');

const log = (...calls: readonly string[]): string => calls.map((call, index) => `12${index}  ${call} = 0`).join('\n');

/** A directory and those above it, to one of them. */
function ancestorsOf(directory: string, last: string): string[] {
  return directory === last ? [last] : [...ancestorsOf(path.dirname(directory), last), directory];
}

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
      'a file of a directory that is not flushed',
      ['fsync(9</h/tmp/f/a>)', 'ftruncate(9</h/tmp/f/a>, 5)', 'rename("/h/tmp/f", "/h/f")', 'fsync(9</h>)'],
      ['renamed to /h/f before it was flushed: /h/tmp/f/a'],
    ],
    [
      'a directory that is not flushed',
      ['rename("/h/tmp/a", "/h/a")'],
      ['the directory /h was not flushed after /h/a'],
    ],
    [
      'a new directory whose parent is not flushed',
      ['mkdir("/h/new", 0777)'],
      ['the directory /h was not flushed after /h/new'],
    ],
    [
      'a new directory above what was published',
      [
        'mkdir("/h/host", 0777)',
        'mkdir("/h/host/a", 0777)',
        'rename("/h/tmp/a", "/h/host/a/image")',
        'fsync(9</h/host/a>)',
        'fsync(9</h/host>)',
      ],
      ['the directory /h was not flushed after /h/host'],
    ],
    [
      'nothing in an empty directory that goes again',
      ['mkdir("/h/host", 0777)', 'symlink("x", "/h/host/tag")', 'rmdir("/h/host")', 'rmdir("/h/other")'],
      [],
    ],
    [
      'a symlink whose directory is not flushed',
      ['symlink("/h/x", "/h/y/tag")'],
      ['the directory /h/y was not flushed after /h/y/tag'],
    ],
    ['a removal that is not flushed', ['unlink("/h/y/tag")'], ['the directory /h/y was not flushed after /h/y/tag']],
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
    const events = readEvents(readFileSync(place.log(), 'utf8'), place.user.directory);
    expect(events.filter(({ kind }) => kind === 'flush').length).toBeGreaterThanOrEqual(operation.leastFlushes);
    expect(checkOrder(events, inScratchOf(place.home))).toEqual([]);
  });

  it.each(FIRSTS)('takes no new directory above what was published: the first $name (P33)', async (first) => {
    const empty = mkdtempSync(path.join(place.user.directory, 'empty-'));
    const traced = await traceCalls(await first.prepare(place, empty), ORDERED_CALLS, place.log());
    expect(traced.exitCode, traced.stderr).toBe(0);
    for (const each of first.published(place)) expect(existsSync(path.join(empty, each)), each).toBe(true);
    // Of what is reached by way of a linked cache, the log has both paths.
    const cache = path.join(firstHome(empty), 'cache');
    const real = existsSync(cache) ? realpathSync(cache) : cache;
    const traces = readFileSync(place.log(), 'utf8').replaceAll(`${cache}/`, `${real}/`);
    const isUnpublished = inScratchOf(firstHome(empty), path.join(empty, 'other/disk'));
    expect(checkOrder(readEvents(traces, empty), isUnpublished)).toEqual([]);
  });

  it.each(FIRSTS.filter(({ name }) => ['pull', 'create', 'login'].includes(name)))(
    'takes no directory that another command has just made above what $name published (P33)',
    async (first) => {
      const empty = mkdtempSync(path.join(place.user.directory, 'empty-'));
      // Not the VM itself, which is in the way of none.
      const directories = first
        .published(place)
        .map((each) => path.join(empty, each.replace('/vm/', '/')))
        .map((each) => path.dirname(each));
      for (const each of directories) mkdirSync(each, { recursive: true });
      const traced = await traceCalls(await first.prepare(place, empty), ORDERED_CALLS, place.log());
      expect(traced.exitCode, traced.stderr).toBe(0);
      const events = readEvents(readFileSync(place.log(), 'utf8'), empty);
      const flushed = events.flatMap((event) => (event.kind === 'flush' ? [event.path] : []));
      // Up to the one in which the home lies, or the directory of the logins.
      const above = directories.flatMap((each) => ancestorsOf(each, path.join(empty, 'deep')));
      expect(flushed).toEqual(expect.arrayContaining(above));
    },
  );

  it('takes no new directory above what a registry acknowledged (P33)', async () => {
    place.reset();
    const data = path.join(mkdtempSync(path.join(place.user.directory, 'empty-')), 'deep/data');
    const serve = [process.execPath, COMMAND, 'serve', '--listen', '127.0.0.1:0', '--data', data];
    const strace = ['-f', '-o', place.log(), '-y', '--seccomp-bpf', '-e', `trace=${ORDERED_CALLS}`];
    const server = new Running('strace', [...strace, ...serve], tracedEnvironment(place.user.environment));
    await eventually('the registry says where it is', () => server.stdout.endsWith('\n'));
    const serverProcess = Number(readFileSync(path.join(data, '.lock'), 'utf8'));
    try {
      const name = `${new URL(server.stdout.trim()).host}/team/first:1`;
      const pushed = await place.user.run('push', 'keep', name);
      expect(pushed.exitCode, pushed.stderr).toBe(0);
    } finally {
      process.kill(serverProcess, 'SIGTERM');
    }
    await server.ended;
    expect(existsSync(path.join(data, 'repositories/team/first/_tags/1'))).toBe(true);
    const events = readEvents(readFileSync(place.log(), 'utf8'), path.dirname(path.dirname(data)));
    expect(checkOrder(events, inScratchOf(data))).toEqual([]);
  });
});
