import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { PrefetchReport } from '../../src/prefetch/prefetch.ts';
import { parseQuietHours } from '../../src/prefetch/quiet-hours.ts';
import { watchPrefetch, type WatchRequest } from '../../src/prefetch/watch.ts';
import type { Clock } from '../../src/registry/request/clock.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { freshSession } from '../support/home.ts';
import { MountedDisk } from '../support/mounted-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { after, eventually } from '../registry/world.ts';
import { rollout } from './world.ts';

/** A clock whose sleeps take a millisecond, and which tells of each. It stands still from a time on. */
class ScriptedTime implements Clock {
  at: number;
  readonly #onSleep: () => void;
  readonly #stops: number;

  constructor(start: Date, stops: number, onSleep: () => void) {
    this.at = start.getTime();
    this.#stops = start.getTime() + stops;
    this.#onSleep = onSleep;
  }

  now(): number {
    return this.at;
  }

  monotonic(): number {
    return this.at;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    // What is fetched meanwhile comes forward as well.
    do {
      await new Promise((resolve) => setTimeout(resolve, 1));
      signal?.throwIfAborted();
    } while (this.at >= this.#stops);
    this.at += ms;
    this.#onSleep();
  }

  random(): number {
    return 0.5;
  }
}

const NOON = new Date(2026, 5, 15, 12, 0);

interface Seen {
  /** By the clock of the watch. */
  readonly minute: number;
  readonly kind: string;
}

/** Watches until so many minutes have passed by its clock, or so many images were told of. */
async function watched(
  name: string,
  until: { readonly minutes: number } | { readonly outcomes: number; readonly stops?: number },
  more: Partial<WatchRequest> = {},
  home = new Home(`${temporaryDirectory()}/home`),
): Promise<Seen[]> {
  const controller = new AbortController();
  const stops = 'stops' in until ? until.stops * 60_000 : Number.POSITIVE_INFINITY;
  const clock = new ScriptedTime(NOON, stops, () => {
    if ('minutes' in until && minute() >= until.minutes) controller.abort(new Error('over'));
  });
  const minute = (): number => (clock.at - NOON.getTime()) / 60_000;
  const session = freshSession({ home, now: () => new Date(clock.at), signal: controller.signal });
  const seen: Seen[] = [];
  const onReport = ({ images }: PrefetchReport): void => {
    seen.push(...images.map(({ kind }) => ({ minute: Math.round(minute()), kind })));
    if ('outcomes' in until && seen.length >= until.outcomes) controller.abort(new Error('over'));
  };
  const watch = watchPrefetch(session, {
    images: [{ name: RemoteName.parse(name), insecure: false }],
    intervalMs: 3_600_000,
    jitterMs: 600_000,
    clock,
    onReport,
    ...more,
  });
  await expect(watch).rejects.toThrow('over');
  return seen;
}

/** Writes until the disk takes nothing more. */
function fill(file: string): void {
  const opened = openSync(file, 'w');
  const block = Buffer.alloc(65_536, 1);
  try {
    for (let size = block.length; size >= 1; ) {
      try {
        writeSync(opened, block.subarray(0, size));
      } catch {
        size = size === 1 ? 0 : size >> 1;
      }
    }
  } finally {
    closeSync(opened);
  }
}

describe('watching', () => {
  it('looks at once, and then at each interval and a little later by chance', async () => {
    const world = await rollout();
    await world.publish('one');
    expect(await watched(world.name(), { outcomes: 3 })).toEqual([
      { minute: 0, kind: 'ready' },
      { minute: 65, kind: 'ready' },
      { minute: 130, kind: 'ready' },
    ]);
  });

  it('tries again soon after a failure, and then less and less often', async () => {
    const world = await rollout();
    const tries = await watched(world.name(), { minutes: 13 });
    expect(tries.map(({ minute }) => minute)).toEqual([0, 2, 5, 11]);
  });

  it('fetches nothing in quiet hours, and goes on when they are over', async () => {
    const world = await rollout();
    await world.publish('one');
    const quietHours = ['11:00-12:30'].flatMap((text) => parseQuietHours(text) ?? []);
    const [first, second] = await watched(world.name(), { outcomes: 2, stops: 30 }, { quietHours });
    expect([first, second]).toEqual([
      { minute: 0, kind: 'quiet' },
      { minute: 30, kind: 'ready' },
    ]);
  });

  it('goes on when the disk was full for a while, and says so meanwhile', async () => {
    const world = await rollout();
    await world.publish('one');
    const cleanup = new Cleanup();
    after(async () => cleanup.run());
    const disk = MountedDisk.make(cleanup, 'ext4');
    const filler = `${disk.directory}/filler`;
    const reports: string[] = [];
    const onReport = ({ images: [image], failedSources: [failed] }: PrefetchReport): void => {
      if (image?.kind === 'ready' && reports.length === 0) fill(filler);
      if (image !== undefined) reports.push(image.kind === 'failed' ? image.error.code : image.kind);
      if (failed !== undefined) reports.push(`${failed.source}: ${failed.error.code}`);
      if (image?.kind === 'failed') rmSync(filler);
    };
    const home = new Home(`${disk.directory}/home`);
    await watched(world.name(), { minutes: 100 }, { onReport, intervalMs: 1_800_000, jitterMs: 0 }, home);
    expect(reports).toEqual([
      'ready',
      'the record of prefetched images: DISK_FULL',
      'DISK_FULL',
      'ready',
      'ready',
      'ready',
    ]);
  });

  it('stops what is under way when quiet hours begin', async () => {
    const world = await rollout();
    await world.publish('one');
    // Ten minutes pass here before anything can have come.
    const quietHours = ['12:10-13:00'].flatMap((text) => parseQuietHours(text) ?? []);
    const [first, second] = await watched(world.name(), { outcomes: 2, stops: 60 }, { quietHours });
    expect([first, second]).toEqual([
      { minute: 10, kind: 'quiet' },
      { minute: 60, kind: 'ready' },
    ]);
  });
});

describe('tartlet prefetch --watch', () => {
  it('ends with 0 on SIGTERM, and reads the list again on SIGHUP', async () => {
    const world = await rollout();
    await world.publish('one');
    await world.publish('two', 'macos/base:16');
    const cleanup = new Cleanup();
    after(async () => cleanup.run());
    const user = new Workplace(cleanup);
    const list = `${user.directory}/images.txt`;
    writeFileSync(list, `${world.name()}\n`);
    const running = user.start('prefetch', '--list', list, '--watch');
    await eventually(() => running.stderr.includes(`${world.name()} leads to`));
    writeFileSync(list, `${world.name()}\n${world.name('macos/base:16')}\nnonsense\n`);
    running.kill('SIGHUP');
    await eventually(() => running.stderr.includes(`${world.name('macos/base:16')} leads to`));
    expect(running.stderr).toContain('nonsense is passed over: ');
    running.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ exitCode: 0, stdout: '' });
  });
});

describe('tartlet prefetch', () => {
  it('says what failed, and ends with 1; the status is for programs as well', async () => {
    const world = await rollout();
    const digest = await world.publish('one');
    const cleanup = new Cleanup();
    after(async () => cleanup.run());
    const user = new Workplace(cleanup);
    const missing = world.name('macos/missing:1');
    const ran = await user.run('prefetch', missing, world.name());
    expect(ran).toMatchObject({ exitCode: 1, stdout: '' });
    expect(ran.stderr).toMatch(/^error\[NOT_FOUND\]: \S+\/macos\/missing:1 is not ready: /);
    expect(ran.stderr).toContain(`${world.name()} leads to ${digest} now`);
    const status = await user.run('prefetch', '--status', '--format', 'json');
    expect(JSON.parse(status.stdout)).toMatchObject({
      schema: 'tartlet.prefetch-status/v1',
      images: [
        { name: world.name(), digest, previous: null, error: null, nextTry: null },
        { name: missing, digest: null, error: { code: 'NOT_FOUND' } },
      ],
    });
    expect((await user.run('prefetch', '--status')).stdout).toContain(digest.slice(7, 19));
    expect(await user.run('prefetch', 'forget', missing)).toMatchObject({ exitCode: 0 });
    expect(await user.run('prefetch', 'rollback', world.name())).toMatchObject({ exitCode: 1 });
    // The home is in order, by the doctor's word.
    expect(await user.run('doctor')).toMatchObject({ exitCode: 0, stdout: expect.not.stringContaining('note:') });
  });

  it.each([
    [[], 'which images?'],
    [['a.example/b', '--interval', '1h'], '--interval and --jitter are for --watch'],
    [['a.example/b', '--watch', '--format', 'json'], '--watch has no result'],
    [['a.example/b', '--orchard-worker', 'x'], '--orchard-worker is a worker of --orchard'],
    [['--list', 'https://u:p@a.example/list'], 'the address of the list is no URL of the web'],
    [['rollback'], 'rollback is of one image'],
    [['a.example/b', '--quiet-hours', '8-18'], 'a part of a day like 08:00-18:30'],
    [['a.example/b', '--disk-budget', 'much'], 'a size like 200GB or 150GiB'],
  ])('%j is wrong usage', async (words, message) => {
    const cleanup = new Cleanup();
    after(async () => cleanup.run());
    const ran = await new Workplace(cleanup).run('prefetch', ...words);
    expect(ran).toMatchObject({ exitCode: 64, stderr: expect.stringContaining(message) as unknown });
  });

  it.each([['127.0.0.1:1/macos/base:15'], ['--watch'], ['--list', 'images']])(
    'refuses what --status would leave undone: %s',
    async (...words) => {
      const cleanup = new Cleanup();
      after(async () => cleanup.run());
      const ran = await new Workplace(cleanup).run('prefetch', '--status', ...words);
      expect(ran).toMatchObject({ exitCode: 64, stdout: '' });
      expect(ran.stderr).toContain('--status brings nothing');
    },
  );
});
