import { beforeEach, describe, expect, it } from 'vitest';
import type { MessageStream } from '../../../src/cli/terminal/message-stream.ts';
import type { ProgressTime } from '../../../src/cli/render/display.ts';
import { createProgress } from '../../../src/cli/render/progress.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';

/** A clock that stands still until it is told, and then rings every timer that is due. */
class FakeTime implements ProgressTime {
  #now = 1_000_000;
  readonly #timers = new Set<{ readonly every: number; next: number; readonly tick: () => void }>();

  monotonic(): number {
    return this.#now;
  }

  every(milliseconds: number, tick: () => void): () => void {
    const timer = { every: milliseconds, next: this.#now + milliseconds, tick };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  pass(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [due] = [...this.#timers].filter((each) => each.next <= end).sort((a, b) => a.next - b.next);
      if (due === undefined) break;
      this.#now = due.next;
      due.next += due.every;
      due.tick();
    }
    this.#now = end;
  }
}

/** A stream that keeps its writes, and for terminals shows what a person would see. */
class FakeStream implements MessageStream {
  readonly writes: string[] = [];
  isTTY: boolean;
  columns: number | undefined;
  rows: number | undefined;
  writableNeedDrain = false;

  constructor(isTTY: boolean, columns?: number) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): void {
    this.writes.push(text);
  }

  get text(): string {
    return this.writes.join('');
  }

  /** Plays the writes on a small terminal and gives its lines. */
  get screen(): string[] {
    const lines: string[] = [''];
    let row = 0;
    let column = 0;
    // oxlint-disable-next-line no-control-regex -- that is what a terminal reads
    for (const [token] of this.text.matchAll(/\u001b\[[0-9;]*[A-Za-z]|[^]/g)) {
      const line = lines[row] ?? '';
      if (token === '\n') {
        row += 1;
        column = 0;
        lines[row] ??= '';
      } else if (token === '\r') column = 0;
      else if (token === '\u001b[K') lines[row] = line.slice(0, column);
      else if (token === '\u001b[J') lines.splice(row, Infinity, line.slice(0, column));
      else if (token.endsWith('A') && token.length > 1) row -= Number(token.slice(2, -1));
      else if (!token.endsWith('m') || token.length === 1) {
        lines[row] = line.slice(0, column) + token + line.slice(column + 1);
        column += 1;
      }
      if (row < 0) throw new Error('the cursor left the screen');
    }
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  }
}

const BASE = 'registry.example:8221/macos/base:15';
const GB = 1_000_000_000;

let time: FakeTime;
beforeEach(() => {
  time = new FakeTime();
});

function open(stream: FakeStream, environment: Record<string, string> = { NO_COLOR: '1' }) {
  return createProgress({ notes: stream, reports: stream }, { environment, time });
}

function started(subject: string, bytesTotal = 10 * GB): TransferEvent {
  return { kind: 'started', subject, direction: 'pull', bytesTotal, diskBytes: 50 * GB, chunks: 40 };
}

/** A pull that takes a part of its disk from this machine. */
function startedWithPlan(subject: string): TransferEvent {
  const seed = { path: '/x', size: 50 * GB, kind: 'image', name: 'registry.example/base:14' } as const;
  return {
    kind: 'started',
    subject,
    direction: 'pull',
    bytesTotal: GB,
    diskBytes: 50 * GB,
    chunks: 100,
    plan: {
      fetchBytes: GB,
      diskBytes: 50 * GB,
      reused: [
        { seed, bytes: 40 * GB, chunks: 80 },
        { seed: { ...seed, kind: 'vm', name: 'ci\n' }, bytes: 2 * GB, chunks: 4 },
        { seed: { ...seed, kind: 'partial', name: 'sha256:0' }, bytes: GB, chunks: 2 },
      ],
      zeroBytes: 3 * GB,
      partialBytes: 2 * GB,
      storedBytes: 0,
      chunks: { fetch: 4, reuse: 86, zero: 6, partial: 4 },
    },
  };
}

/** Numbers from 0 to 1, the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

const PLAN =
  'a/b:1: 1.0 GB to pull, for a disk of 50.0 GB in 100 chunks: 40.0 GB from registry.example/base:14, ' +
  '2.0 GB from the VM ci , 1.0 GB from an unfinished pull of sha256:0, 2.0 GB from an earlier try, 3.0 GB zero';

describe('on a terminal', () => {
  it('a pull begins with its plan, which stays', () => {
    const stream = new FakeStream(true, 300);
    const progress = open(stream);
    progress.handle(startedWithPlan('a/b:1'));
    time.pass(100);
    expect(stream.screen).toEqual([PLAN, 'a/b:1  [                    ]    0%  0 B of 1.0 GB']);
  });

  it('a new total counts as soon as it is known', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started('a/b:1', GB));
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: GB });
    progress.handle({ kind: 'replanned', subject: 'a/b:1', bytesTotal: 4 * GB });
    time.pass(100);
    expect(stream.screen[0]).toContain('25%  1.0 GB of 4.0 GB');
  });

  it('an image has one line, painted over and over, and a summary in the end', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started(BASE));
    for (let second = 0; second < 4; second += 1) {
      progress.handle({ kind: 'bytes', subject: BASE, count: 500_000_000 });
      time.pass(1000);
    }
    expect(stream.screen).toEqual([`${BASE}  [====                ]   20%  2.0 GB of 10.0 GB  500.0 MB/s  16s left`]);
    progress.handle({ kind: 'bytes', subject: BASE, count: 8 * GB });
    time.pass(6000);
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.screen).toEqual([`${BASE}: 10.0 GB fetched in 10s (1.0 GB/s)`]);
    expect(time.timers).toBe(0);
  });

  it('the summary names no rate, and nothing that limits it, where next to nothing had to move', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle({ kind: 'bytes', subject: BASE, count: 279 });
    time.pass(2000);
    progress.handle({ kind: 'spent', subject: BASE, threads: 2, spent: { processorMs: 100, diskMs: 3000 } });
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.screen).toEqual([`${BASE}: 279 B fetched in 2s`]);
  });

  it('the summary says what kept it from being faster, when that was counted', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle({ kind: 'bytes', subject: BASE, count: 10 * GB });
    time.pass(10_000);
    const spent = { processorMs: 4000, diskMs: 1000 };
    progress.handle({ kind: 'spent', subject: BASE, threads: 2, spent });
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.screen).toEqual([
      `${BASE}: 10.0 GB fetched in 10s (1.0 GB/s); limited by the registry or the network`,
    ]);
  });

  it.each([
    ['disk', { processorMs: 4000, diskMs: 14_000 }, 'limited by the disk (2.0 GB/s read or written)'],
    [
      'processors',
      { processorMs: 14_000, diskMs: 4000 },
      'limited by the processors (2.0 GB/s of disk hashed and coded)',
    ],
  ])('where that was the %s, it counts what they did beside what crossed the network', (_, spent, expected) => {
    const stream = new FakeStream(true, 200);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle({ kind: 'bytes', subject: BASE, count: GB / 100 });
    progress.handle({ kind: 'chunk-done', subject: BASE, index: 0, bytes: 5 * GB });
    progress.handle({ kind: 'chunk-reused', subject: BASE, index: 1, bytes: 15 * GB });
    progress.handle({ kind: 'chunk-reused', subject: BASE, index: 2, bytes: 7 * GB, isZero: true });
    time.pass(10_000);
    progress.handle({ kind: 'spent', subject: BASE, threads: 2, spent });
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.screen).toEqual([
      `${BASE}: 10.0 MB fetched in 10s (1.0 MB/s), 15.0 GB of the disk reused, 7.0 GB zero; ${expected}`,
    ]);
  });

  it('is painted at most ten times a second, whatever comes in', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started(BASE));
    for (let step = 0; step < 1000; step += 1) {
      progress.handle({ kind: 'bytes', subject: BASE, count: 1000 });
      time.pass(1);
    }
    expect(stream.writes.length).toBe(10);
  });

  it('what is over within a moment is never painted', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle({ kind: 'resolved', subject: BASE, digest: 'sha256:0' });
    time.pass(50);
    progress.close();
    expect(stream.text).toBe('');
    expect(time.timers).toBe(0);
  });

  it('several images have a line each, with bars below each other', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle(started('short/name:1', 2 * GB));
    progress.handle({ kind: 'bytes', subject: 'short/name:1', count: GB });
    time.pass(100);
    expect(stream.screen).toEqual([
      `${BASE}  [                    ]    0%  0 B of 10.0 GB`,
      `short/name:1                         [==========          ]   50%  1.0 GB of 2.0 GB`,
    ]);
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.screen).toEqual([
      `${BASE}: 0 B fetched in 1s`,
      `short/name:1  [==========          ]   50%  1.0 GB of 2.0 GB`,
    ]);
  });

  it('says what it waits for, and why it tries again', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle({ kind: 'resolved', subject: 'a/b:1', digest: 'sha256:0' });
    time.pass(100);
    expect(stream.screen).toEqual(['a/b:1  looking at what is here']);
    progress.handle({ kind: 'waiting', subject: 'a/b:1', reason: 'another command is using this image' });
    time.pass(100);
    expect(stream.screen).toEqual(['a/b:1  waiting: another command is using this image']);
    progress.handle(started('a/b:1'));
    progress.handle({ kind: 'retrying', subject: 'a/b:1', waitMs: 4000, reason: 'the connection\nbroke\u001b[2J' });
    time.pass(100);
    expect(stream.screen).toEqual([
      'a/b:1  [                    ]    0%  0 B of 10.0 GB',
      '  trying again in 4s: the connection broke\\u001b[2J',
    ]);
    time.pass(4000);
    expect(stream.screen).toHaveLength(1);
  });

  it('notes and lines of others stay, above the picture', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started('a/b:1'));
    time.pass(100);
    progress.handle({ kind: 'note', subject: 'a/b:1', text: 'the registry ignores ranges' });
    progress.print('warning: no helper');
    expect(stream.screen).toEqual([
      'a/b:1: the registry ignores ranges',
      'warning: no helper',
      'a/b:1  [                    ]    0%  0 B of 10.0 GB',
    ]);
  });

  it('closing takes the picture away, as after an abort, and the cursor was never hidden', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started('a/b:1'));
    progress.handle(started('c/d:1'));
    time.pass(1000);
    expect(stream.screen).toHaveLength(2);
    progress.close();
    progress.close();
    expect(stream.screen).toEqual([]);
    expect(stream.text).not.toContain('\u001b[?');
    expect(time.timers).toBe(0);
    time.pass(10_000);
    expect(stream.screen).toEqual([]);
  });

  it.each([20, 30, 45, 60, 79, 80, 100, 140])('no line reaches the last of %i columns', (columns) => {
    const stream = new FakeStream(true, columns);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle({ kind: 'bytes', subject: BASE, count: 3 * GB });
    progress.handle({ kind: 'retrying', subject: BASE, waitMs: 60_000, reason: 'x'.repeat(200) });
    progress.handle({ kind: 'resolved', subject: `${BASE}-and-another-quite-long-one`, digest: 'sha256:0' });
    time.pass(3000);
    for (const line of stream.screen) expect(line.length).toBeLessThan(columns);
    expect(stream.screen.join('\n')).toContain('30%');
  });

  it('no line is wider than the terminal, and each image keeps its tag, for any name and number', () => {
    const random = seeded(26);
    const pick = (most: number): number => Math.floor(random() * most);
    for (let round = 0; round < 80; round += 1) {
      const columns = 30 + pick(120);
      const stream = new FakeStream(true, columns);
      stream.rows = 3 + pick(60);
      const progress = open(stream);
      const segments = Array.from({ length: 1 + pick(5) }, () => 'a-name-and-more'.slice(0, 1 + pick(15)));
      const subject = `registry${pick(2) === 0 ? '' : '-of-a-long-name'}.example:8221/${segments.join('/')}:1.${round}`;
      const bytesTotal = pick(3) === 0 ? undefined : Math.floor(10 ** (random() * 14));
      const direction = bytesTotal === undefined ? 'push' : 'pull';
      const diskBytes = Math.floor(10 ** (3 + random() * 11));
      progress.handle({ kind: 'started', subject, direction, bytesTotal, diskBytes, chunks: 1 + pick(1000) });
      for (let step = 0; step < 4; step += 1) {
        progress.handle({ kind: 'bytes', subject, count: Math.floor(random() * (bytesTotal ?? diskBytes)) });
        progress.handle({ kind: 'chunk-done', subject, index: step, bytes: Math.floor(random() * diskBytes) });
        for (let under = pick(12); under > 0; under -= 1) {
          const of = Math.floor(10 ** (random() * 12));
          progress.handle({ kind: 'chunk-under-way', subject, index: pick(1000), done: pick(of), of });
        }
        time.pass(1000);
        const { screen } = stream;
        expect(screen.length).toBeLessThanOrEqual(Math.max(2, stream.rows - 10));
        expect(Math.max(...screen.map((line) => line.length))).toBeLessThan(columns);
        expect(screen[0]).toContain(`:1.${round}`);
      }
      progress.handle({ kind: 'finished', subject });
      for (const line of stream.screen) expect(line.split(' ').length === 1 || line.length <= columns, line).toBe(true);
    }
  });

  it('80 columns have room for the bar and all numbers, below the name', () => {
    const stream = new FakeStream(true, 80);
    const progress = open(stream);
    progress.handle(started(BASE));
    progress.handle({ kind: 'bytes', subject: BASE, count: 999_900_000 });
    time.pass(2000);
    expect(stream.screen).toEqual([BASE, '  [=                   ]    9%  999.9 MB of 10.0 GB  499.9 MB/s  18s left']);
    progress.handle({ kind: 'bytes', subject: BASE, count: 999_900_000 });
    time.pass(2000);
    expect(stream.screen).toEqual([BASE, '  [===                 ]   19%  2.0 GB of 10.0 GB  499.9 MB/s  16s left']);
  });

  it.each([
    [50, '  0%', 'registry.example:8221/…/of-images/macos/base:15'],
    [80, '  [                    ]    0%', 'registry.example:8221/a-team-with-a-long-name/of-images/macos/base:15'],
  ])('%i columns keep the end of the repository and the tag, and drop the bar first', (columns, begins, name) => {
    const stream = new FakeStream(true, columns);
    const progress = open(stream);
    progress.handle(started('registry.example:8221/a-team-with-a-long-name/of-images/macos/base:15'));
    time.pass(2000);
    expect(stream.screen[0]).toBe(name);
    expect(stream.screen[1]).toContain(begins);
    expect(stream.screen[1]).toContain('0 B of 10.0 GB  0 B/s');
  });

  it.each([0, undefined])('a terminal of %s columns counts as 80', (columns) => {
    const stream = new FakeStream(true, columns);
    const progress = open(stream);
    progress.handle(started(BASE));
    time.pass(100);
    expect(stream.screen).toEqual([BASE, '  [                    ]    0%  0 B of 10.0 GB']);
  });

  it('more images than lines are cut, so that the picture can be painted over', () => {
    const stream = new FakeStream(true, 120);
    stream.rows = 4;
    const progress = open(stream);
    for (const subject of ['a/a:1', 'b/b:1', 'c/c:1', 'd/d:1']) progress.handle(started(subject));
    time.pass(200);
    expect(stream.screen.map((line) => line.slice(0, 5))).toEqual(['a/a:1', 'b/b:1', '…']);
  });

  describe('the chunks that are under way', () => {
    /** A picture of a pull with so many chunks of 50 MB under way, on so many rows. */
    function picture(rows: number, chunks: number, columns = 120): string[] {
      const stream = new FakeStream(true, columns);
      stream.rows = rows;
      const progress = open(stream);
      progress.handle(started('a/b:1'));
      for (let index = 0; index < chunks; index += 1) {
        progress.handle({ kind: 'chunk-under-way', subject: 'a/b:1', index, done: index * 1_000_000, of: 50_000_000 });
      }
      time.pass(100);
      return stream.screen;
    }
    const IMAGE = 'a/b:1  [                    ]    0%  0 B of 10.0 GB';

    it('have a line each on a tall terminal', () => {
      expect(picture(60, 3)).toEqual([
        IMAGE,
        '    chunk  1 of 40  [                    ]    0%  0 B of 50.0 MB',
        '    chunk  2 of 40  [                    ]    2%  1.0 MB of 50.0 MB',
        '    chunk  3 of 40  [                    ]    4%  2.0 MB of 50.0 MB',
      ]);
    });

    it('lose their bar first on a narrow one, then their bytes', () => {
      expect(picture(60, 3, 50).slice(-3)).toEqual([
        '    chunk  1 of 40    0%  0 B of 50.0 MB',
        '    chunk  2 of 40    2%  1.0 MB of 50.0 MB',
        '    chunk  3 of 40    4%  2.0 MB of 50.0 MB',
      ]);
      expect(picture(60, 2, 30).at(-1)).toBe('    chunk  2 of 40    2%');
    });

    it.each([
      [14, 3, 4, '    chunk  3 of 40  [                    ]    4%  2.0 MB of 50.0 MB'],
      [13, 3, 3, '    … and 2 more chunks'],
      [12, 1, 2, '    chunk  1 of 40  [                    ]    0%  0 B of 50.0 MB'],
      [12, 2, 1, IMAGE],
      [11, 1, 1, IMAGE],
      [24, 40, 14, '    … and 28 more chunks'],
    ])('leave ten of %i rows alone: %i chunks', (rows, chunks, lines, last) => {
      const shown = picture(rows, chunks);
      expect([shown.length, shown.at(-1)]).toEqual([lines, last]);
    });

    it('go when they are done, reused, or have all their bytes', () => {
      const stream = new FakeStream(true, 120);
      const progress = open(stream);
      const subject = 'a/b:1';
      progress.handle(started(subject));
      for (const index of [3, 1, 4, 5]) {
        progress.handle({ kind: 'chunk-under-way', subject, index, done: 10, of: 40 });
      }
      progress.handle({ kind: 'chunk-done', subject, index: 3, bytes: 100 });
      progress.handle({ kind: 'chunk-reused', subject, index: 1, bytes: 100 });
      progress.handle({ kind: 'chunk-under-way', subject, index: 4, done: 40, of: 40 });
      time.pass(100);
      expect(stream.screen.slice(1)).toEqual(['    chunk  6 of 40  [=====               ]   25%  10 B of 40 B']);
      progress.handle({ kind: 'finished', subject });
      expect(stream.screen).toEqual([`${subject}: 0 B fetched in 1s, 100 B of the disk reused`]);
    });
  });

  it('a terminal that does not read gets no more pictures', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started('a/b:1'));
    stream.writableNeedDrain = true;
    time.pass(5000);
    expect(stream.writes).toEqual([]);
    stream.writableNeedDrain = false;
    time.pass(100);
    expect(stream.writes).toHaveLength(1);
  });

  it('bytes that have to come again count once, and never make more than all', () => {
    const stream = new FakeStream(true, 120);
    const progress = open(stream);
    progress.handle(started('a/b:1', GB));
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: GB });
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: -GB });
    time.pass(100);
    expect(stream.screen[0]).toContain('0%  0 B of 1.0 GB');
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: 3 * GB });
    time.pass(100);
    expect(stream.screen[0]).toContain('100%  1.0 GB of 1.0 GB');
  });
});

describe('elsewhere', () => {
  it('there is a line at the start, one every five seconds and one at the end, without escape sequences', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle({ kind: 'resolved', subject: BASE, digest: 'sha256:0' });
    progress.handle(started(BASE));
    progress.handle({ kind: 'chunk-reused', subject: BASE, index: 0, bytes: GB });
    progress.handle({ kind: 'bytes', subject: BASE, count: GB });
    time.pass(5000);
    progress.handle({ kind: 'bytes', subject: BASE, count: 4 * GB });
    time.pass(5000);
    progress.handle({ kind: 'bytes', subject: BASE, count: 5 * GB });
    progress.handle({ kind: 'finished', subject: BASE });
    time.pass(60_000);
    expect(stream.text).toBe(
      `${BASE}: 10.0 GB to pull, for a disk of 50.0 GB in 40 chunks\n` +
        `${BASE}: 10%, 1.0 GB of 10.0 GB, 200.0 MB/s, 45s left\n` +
        `${BASE}: 50%, 5.0 GB of 10.0 GB, 800.0 MB/s, 10s left\n` +
        `${BASE}: 10.0 GB fetched in 10s (1.0 GB/s), 1.0 GB of the disk reused\n`,
    );
    expect(time.timers).toBe(0);
  });

  it('a push does not know its bytes beforehand, and counts by its disk', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: 1000 });
    progress.handle({
      kind: 'started',
      subject: 'a/b:1',
      direction: 'push',
      bytesTotal: undefined,
      diskBytes: 50 * GB,
      chunks: 40,
    });
    progress.handle({ kind: 'chunk-reused', subject: 'a/b:1', index: 0, bytes: 10 * GB });
    progress.handle({ kind: 'chunk-done', subject: 'a/b:1', index: 1, bytes: 2 * GB, isZero: true });
    progress.handle({ kind: 'chunk-reused', subject: 'a/b:1', index: 2, bytes: 2 * GB, isZero: true });
    progress.handle({ kind: 'chunk-done', subject: 'a/b:1', index: 3, bytes: 6 * GB });
    progress.handle({ kind: 'bytes', subject: 'a/b:1', count: 2 * GB });
    time.pass(5000);
    progress.handle({ kind: 'finished', subject: 'a/b:1' });
    expect(stream.text).toBe(
      'a/b:1: pushing a disk of 50.0 GB in 40 chunks\n' +
        'a/b:1: 40%, 2.0 GB sent, 400.0 MB/s, 19s left\n' +
        'a/b:1: 2.0 GB sent in 5s (400.0 MB/s), 10.0 GB of the disk reused, 4.0 GB zero\n',
    );
  });

  it('a push shows what is hashed, encoded and sent before the first chunk is done, and never goes back', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    const subject = 'a/b:1';
    const [diskBytes, chunks] = [50 * GB, 2];
    progress.handle({ kind: 'started', subject, direction: 'push', bytesTotal: undefined, diskBytes, chunks });
    progress.handle({ kind: 'to-hash', subject, diskBytes });
    const events: TransferEvent[] = [
      { kind: 'hashed', subject, diskBytes: 25 * GB },
      { kind: 'hashed', subject, diskBytes: 25 * GB },
      { kind: 'chunk-reused', subject, index: 0, bytes: 25 * GB },
      { kind: 'worked', subject, diskBytes: 12.5 * GB },
      { kind: 'worked', subject, diskBytes: 12.5 * GB },
      { kind: 'chunk-done', subject, index: 1, bytes: 25 * GB },
    ];
    for (const event of events) {
      progress.handle(event);
      time.pass(5000);
    }
    expect(stream.text.split('\n').slice(1, -1)).toEqual([
      'a/b:1: 10%, 0 B sent, 0 B/s, 45s left',
      'a/b:1: 20%, 0 B sent, 0 B/s, 40s left',
      'a/b:1: 60%, 0 B sent, 0 B/s, 30s left',
      'a/b:1: 80%, 0 B sent, 0 B/s, 10s left',
      'a/b:1: 100%, 0 B sent, 0 B/s, 1s left',
      'a/b:1: 100%, 0 B sent, 0 B/s, 1s left',
    ]);
  });

  it('work that was for nothing does not count', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    const subject = 'a/b:1';
    progress.handle({
      kind: 'started',
      subject,
      direction: 'push',
      bytesTotal: undefined,
      diskBytes: 4 * GB,
      chunks: 2,
    });
    progress.handle({ kind: 'worked', subject, diskBytes: GB });
    progress.handle({ kind: 'worked', subject, diskBytes: -GB });
    progress.handle({ kind: 'chunk-reused', subject, index: 0, bytes: 2 * GB });
    time.pass(5000);
    expect(stream.text).toContain('a/b:1: 50%, 0 B sent');
  });

  it('the time left of a pull follows from all that came, so that a moment of another speed does not make it jump', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle(started('a/b:1'));
    time.pass(20_000); // What is here is hashed: that says nothing of how fast the rest comes.
    for (const count of [0, 1, 1, 0, 0, 4]) {
      progress.handle({ kind: 'bytes', subject: 'a/b:1', count: count * GB });
      time.pass(5000);
    }
    expect(stream.text.split('\n').slice(5, -1)).toEqual([
      'a/b:1: 0%, 0 B of 10.0 GB, 0 B/s',
      'a/b:1: 10%, 1.0 GB of 10.0 GB, 200.0 MB/s, 45s left',
      'a/b:1: 20%, 2.0 GB of 10.0 GB, 200.0 MB/s, 40s left',
      'a/b:1: 20%, 2.0 GB of 10.0 GB, 0 B/s, 1m 0s left',
      'a/b:1: 20%, 2.0 GB of 10.0 GB, 0 B/s, 1m 20s left',
      'a/b:1: 60%, 6.0 GB of 10.0 GB, 800.0 MB/s, 17s left',
    ]);
  });

  it('what a copy need not move is what is there already', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    const subject = 'a/b:1';
    progress.handle({ kind: 'started', subject, direction: 'copy', bytesTotal: GB, diskBytes: 3 * GB, chunks: 7 });
    progress.handle({ kind: 'chunk-reused', subject, index: 0, bytes: 2 * GB });
    progress.handle({ kind: 'bytes', subject, count: GB });
    time.pass(2000);
    progress.handle({ kind: 'finished', subject });
    expect(stream.text).toBe('a/b:1: 1.0 GB copied in 2s (500.0 MB/s), 2.0 GB there already\n');
  });

  it.each([4000, 5000])('the plan of a pull that takes %i ms is told once', (milliseconds) => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle(startedWithPlan('a/b:1'));
    progress.handle({ kind: 'chunk-reused', subject: 'a/b:1', index: 0, bytes: GB });
    time.pass(milliseconds);
    progress.handle({ kind: 'finished', subject: 'a/b:1' });
    expect(stream.text.split(PLAN)).toHaveLength(2);
  });

  it('nothing is said about a transfer that fails within seconds', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle(started('a/b:1'));
    progress.handle({ kind: 'retrying', subject: 'a/b:1', waitMs: 1000, reason: 'timeout' });
    time.pass(4000);
    progress.close();
    expect(stream.text).toBe('');
  });

  it('how far it is goes elsewhere than notes and the summary', () => {
    const [notes, reports] = [new FakeStream(false), new FakeStream(false)];
    const progress = createProgress({ notes, reports }, { environment: {}, time });
    progress.handle(started('a/b:1'));
    time.pass(5000);
    progress.handle({ kind: 'note', subject: 'a/b:1', text: 'something to know' });
    progress.handle({ kind: 'finished', subject: 'a/b:1' });
    expect(reports.text).toBe(
      'a/b:1: 10.0 GB to pull, for a disk of 50.0 GB in 40 chunks\na/b:1: 0%, 0 B of 10.0 GB, 0 B/s\n',
    );
    expect(notes.text).toBe('a/b:1: something to know\na/b:1: 0 B fetched in 5s\n');
  });

  it('where nothing can take how far it is, only notes and the summary are left', () => {
    const notes = new FakeStream(false);
    const progress = createProgress({ notes, reports: undefined }, { environment: {}, time });
    progress.handle(started('a/b:1'));
    time.pass(60_000);
    expect(notes.text).toBe('');
    progress.handle({ kind: 'finished', subject: 'a/b:1' });
    expect(notes.text).toBe('a/b:1: 0 B fetched in 1m 0s\n');
  });

  it('a terminal for how far it is gets the live display, although notes could go elsewhere', () => {
    const [notes, reports] = [new FakeStream(false), new FakeStream(true, 120)];
    const progress = createProgress({ notes, reports }, { environment: { NO_COLOR: '1' }, time });
    progress.handle(started('a/b:1'));
    time.pass(100);
    expect(reports.screen).toEqual(['a/b:1  [                    ]    0%  0 B of 10.0 GB']);
  });

  it('retries are counted in the next line, silence and waiting are reported', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle({ kind: 'waiting', subject: 'a/b:1', reason: 'another command is using this image' });
    time.pass(5000);
    progress.handle(started('a/b:1'));
    progress.handle({ kind: 'retrying', subject: 'a/b:1', waitMs: 1000, reason: 'timeout' });
    progress.handle({ kind: 'retrying', subject: 'a/b:1', waitMs: 2000, reason: 'reset' });
    time.pass(10_000);
    progress.handle({ kind: 'note', subject: 'a/b:1', text: 'something to know' });
    progress.close();
    expect(stream.text).toBe(
      'a/b:1: waiting: another command is using this image\n' +
        'a/b:1: 10.0 GB to pull, for a disk of 50.0 GB in 40 chunks\n' +
        'a/b:1: 0%, 0 B of 10.0 GB, 0 B/s, 2x trying again in 2s: reset\n' +
        'a/b:1: 0%, 0 B of 10.0 GB, 0 B/s\n' +
        'a/b:1: something to know\n',
    );
    expect(time.timers).toBe(0);
  });

  it('an image that was there leaves no line', () => {
    const stream = new FakeStream(false);
    const progress = open(stream, {});
    progress.handle({ kind: 'resolved', subject: BASE, digest: 'sha256:0' });
    progress.handle({ kind: 'finished', subject: BASE });
    expect(stream.text).toBe('');
    expect(time.timers).toBe(0);
  });

  it.each([
    [false, {}],
    [false, { FORCE_COLOR: '1' }],
    [true, { CI: 'true' }],
    [true, { TERM: 'dumb' }],
  ])('a stream with isTTY %s and %j gets lines', (isTTY, environment) => {
    const stream = new FakeStream(isTTY, 80);
    const progress = open(stream, environment);
    progress.handle(started('a/b:1'));
    time.pass(5000);
    progress.handle({ kind: 'finished', subject: 'a/b:1' });
    expect(stream.text).not.toContain('\u001b');
    expect(stream.text.split('\n')).toHaveLength(4);
  });
});
