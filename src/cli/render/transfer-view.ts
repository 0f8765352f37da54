import { unreachable } from '../../errors.ts';
import { type Direction, type TransferEvent, TransferTotals } from '../../session/progress.ts';
import { type Bound, boundOf } from '../../chunks/time-spent.ts';
import { type Printable, printable } from '../terminal/printable.ts';
import { withHint } from './hint/text.ts';
import { reuseText } from './pull-preview.ts';
import { counted, humanBytes, humanDuration, humanRate, unusedFor } from './quantity.ts';
import { RateMeter } from '../../session/rate.ts';

const RATE_WINDOW_MS = 5000;
/** Where less has moved, how fast it did says nothing: the time went elsewhere. */
const WORTH_A_RATE_BYTES = 1_000_000;
/** A retry stays on the screen at least so long that a user can read it. */
const SHORTEST_NOTICE_MS = 2000;

/** The numbers of a transfer, in words; undefined is what is not known yet. */
export interface Figures {
  readonly percent: string;
  readonly amount: string;
  readonly rate: string | undefined;
  readonly left: string | undefined;
}

/** A chunk that is under way, in words. */
export interface ChunkFigures {
  readonly name: Printable;
  /** From 0 to 1. */
  readonly fraction: number;
  readonly percent: string;
  readonly amount: string;
}

/** One image as a person sees it travel. Times are monotonic milliseconds. */
export class TransferView {
  readonly subject: Printable;
  readonly totals = new TransferTotals();
  readonly #meter = new RateMeter(RATE_WINDOW_MS);
  #startedAt: number | undefined;
  #startedBytes = 0;
  /** When the first byte came after that: what was looked at before says nothing of how fast they come. */
  #firstByteAt: number | undefined;
  /** The chunks that are under way, by their index, in the order in which they began. */
  readonly #chunks = new Map<number, { readonly done: number; readonly of: number }>();
  #waiting: string | undefined;
  #spent: Extract<TransferEvent, { kind: 'spent' }> | undefined;
  #retrying: { readonly text: string; readonly until: number } | undefined;
  /** Retries since they were asked for. */
  #retries = 0;

  constructor(subject: string) {
    this.subject = printable(subject);
  }

  add(event: TransferEvent, now: number): void {
    this.totals.add(event);
    this.#follow(event);
    if (event.kind === 'spent') this.#spent = event;
    this.#waiting = event.kind === 'waiting' ? waitingText(event) : undefined;
    if (event.kind === 'started') {
      this.#startedAt = now;
      this.#startedBytes = this.totals.bytes;
      this.#meter.measure(this.totals.bytes, now);
    }
    if (event.kind === 'bytes' && event.count > 0 && this.#startedAt !== undefined) this.#firstByteAt ??= now;
    if (event.kind === 'retrying') {
      const text = `trying again in ${humanDuration(event.waitMs)}: ${printable(event.reason)}`;
      this.#retrying = { text, until: now + Math.max(SHORTEST_NOTICE_MS, event.waitMs) };
      this.#retries += 1;
    }
  }

  #follow(event: TransferEvent): void {
    if (event.kind === 'chunk-under-way' && event.done < event.of) {
      this.#chunks.set(event.index, { done: Math.max(0, event.done), of: event.of });
    } else if (event.kind === 'chunk-under-way' || event.kind === 'chunk-done' || event.kind === 'chunk-reused') {
      this.#chunks.delete(event.index);
    }
  }

  /** The chunks that are under way, those that began first before. */
  get chunksUnderWay(): ChunkFigures[] {
    const noun = this.totals.direction === 'copy' ? 'blob' : 'chunk';
    const all = String(this.totals.chunks);
    return [...this.#chunks].map(([index, { done, of }]) => ({
      name: printable(`${noun} ${String(index + 1).padStart(all.length)} of ${all}`),
      fraction: of === 0 ? 1 : done / of,
      percent: `${Math.floor((100 * done) / of)}%`,
      amount: `${humanBytes(done, 1)} of ${humanBytes(of, 1)}`,
    }));
  }

  get hasStarted(): boolean {
    return this.#startedAt !== undefined;
  }

  /** From 0 to 1. */
  get fraction(): number {
    return this.totals.fraction;
  }

  /** What keeps it from going on, when something does. */
  notice(now: number): string | undefined {
    if (this.#waiting !== undefined) return `waiting: ${this.#waiting}`;
    return this.#retrying !== undefined && now < this.#retrying.until ? this.#retrying.text : undefined;
  }

  /** The last retry and how many there were since the last call. */
  takeRetries(): { readonly count: number; readonly last: string } | undefined {
    const count = this.#retries;
    this.#retries = 0;
    return count === 0 ? undefined : { count, last: this.#retrying?.text ?? '' };
  }

  /**
   * What it sets out to do:
   * `1.2 GB to pull, for a disk of 50.0 GB in 40 chunks: 45.1 GB from registry.example/base:14, 3.0 GB zero`.
   */
  announcement(): string {
    const { bytesTotal, diskBytes, chunks, direction, plan } = this.totals;
    if (direction === 'copy') return `${humanBytes(bytesTotal ?? 0, 1)} to copy, of ${humanBytes(diskBytes, 1)} in all`;
    if (direction === 'download')
      return `${bytesTotal === undefined ? 'an image' : humanBytes(bytesTotal, 1)} to download`;
    const disk = `a disk of ${humanBytes(diskBytes, 1)} in ${counted(chunks, 'chunk')}`;
    if (bytesTotal === undefined) return `${direction}ing ${disk}`;
    const reused = plan === undefined ? undefined : reuseText(plan);
    return `${humanBytes(bytesTotal, 1)} to ${direction}, for ${disk}${reused === undefined ? '' : `: ${reused}`}`;
  }

  figures(now: number): Figures {
    const { bytes, bytesTotal, direction } = this.totals;
    const rate = this.#meter.measure(bytes, now);
    const leftMs = this.#leftMs(now);
    return {
      percent: `${Math.floor(this.fraction * 100)}%`,
      amount:
        bytesTotal === undefined
          ? `${humanBytes(bytes, 1)} ${UNDER_WAY[direction ?? 'push']}`
          : `${humanBytes(Math.min(bytes, bytesTotal), 1)} of ${humanBytes(bytesTotal, 1)}`,
      rate: rate === undefined ? undefined : humanRate(rate),
      left: leftMs === undefined ? undefined : `${humanDuration(leftMs)} left`,
    };
  }

  /**
   * What was done:
   * `12.3 GB fetched in 1m 52s (110.2 MB/s), 3.0 GB of the disk reused; limited by the registry or the network`.
   * What `limited by` means, docs/guide/compatibility.md tells people.
   */
  summary(now: number): string {
    const { bytes, direction = 'pull', peerBytes } = this.totals;
    const elapsedMs = now - (this.#startedAt ?? now);
    const speed = this.#speed(elapsedMs);
    const [rate, limit] = speed === undefined ? ['', ''] : [` (${speed.network})`, speed.limit];
    const peers = peerBytes === 0 ? '' : ` (${humanBytes(peerBytes, 1)} from peers)`;
    const moved = `${humanBytes(bytes, 1)} ${DONE[direction]}${peers}`;
    return `${moved} in ${humanDuration(elapsedMs)}${rate}${this.#savedText()}${limit}`;
  }

  /** What did not have to move. The disk is counted as it is decoded, not as it would have crossed the network. */
  #savedText(): string {
    const { direction, reusedDiskBytes, zeroDiskBytes, reusedZeroBytes } = this.totals;
    const reused = Math.max(0, reusedDiskBytes - reusedZeroBytes);
    if (direction === 'copy') return reused === 0 ? '' : `, ${humanBytes(reused, 1)} there already`;
    const parts = [
      ...(reused === 0 ? [] : [[reused, 'reused'] as const]),
      ...(zeroDiskBytes === 0 ? [] : [[zeroDiskBytes, 'zero'] as const]),
    ].map(([count, what], index) => `, ${humanBytes(count, 1)}${index === 0 ? ' of the disk' : ''} ${what}`);
    return parts.join('');
  }

  /**
   * How fast it was on average, and what kept it from being faster, where that was counted; undefined where next to
   * nothing moved.
   */
  #speed(elapsedMs: number): { readonly network: string; readonly limit: string } | undefined {
    const { bytes, doneDiskBytes, reusedDiskBytes, reusedZeroBytes } = this.totals;
    const moved = bytes - this.#startedBytes;
    if (elapsedMs < 1000 || moved < WORTH_A_RATE_BYTES) return undefined;
    const perSecond = (count: number): string => humanRate((count * 1000) / elapsedMs);
    const network = perSecond(moved);
    if (this.#spent === undefined || this.#spent.threads === 0) return { network, limit: '' };
    // What disk and processors had to do with has little to do with what crossed the network; zeros cost them nothing.
    const disk = perSecond(doneDiskBytes + Math.max(0, reusedDiskBytes - reusedZeroBytes));
    const bound = boundOf(this.#spent.spent, elapsedMs, this.#spent.threads);
    return { network, limit: `; limited by ${limitText(bound, disk)}` };
  }

  /** By what was done since it began, so that it does not jump with the speed of the moment. */
  #leftMs(now: number): number | undefined {
    const { bytes, bytesTotal, diskWork } = this.totals;
    if (bytesTotal === undefined) return timeLeft(this.#startedAt, now, diskWork);
    const done = bytes - this.#startedBytes;
    return timeLeft(this.#firstByteAt, now, { done, left: Math.max(0, bytesTotal - bytes) });
  }
}

/** What a transfer did with its bytes. */
const DONE: Readonly<Record<Direction, string>> = {
  pull: 'fetched',
  push: 'sent',
  copy: 'copied',
  export: 'exported',
  import: 'imported',
  check: 'checked',
  download: 'downloaded',
};

/** The same while it shows only underway how many there are. */
const UNDER_WAY: Readonly<Record<Direction, string>> = { ...DONE, export: 'written' };

function limitText(bound: Bound, disk: string): string {
  switch (bound) {
    case 'registry':
      return 'the registry or the network';
    case 'disk':
      return `the disk (${disk} read or written)`;
    case 'processors':
      return `the processors (${disk} of disk hashed and coded)`;
    default:
      return unreachable(bound);
  }
}

/** Undefined for less than a second of experience, or none. */
function timeLeft(
  since: number | undefined,
  now: number,
  { done, left }: { readonly done: number; readonly left: number },
): number | undefined {
  if (since === undefined || done <= 0 || now - since < 1000) return undefined;
  return ((now - since) * left) / done;
}

function waitingText({ reason, done }: Extract<TransferEvent, { kind: 'waiting' }>): string {
  if (done === undefined) return printable(reason);
  return `${printable(reason)}, ${humanBytes(done.diskBytes, 1)} of ${humanBytes(done.ofDiskBytes, 1)} done`;
}

/** What is said once and stays on the screen, whatever moves below it. */
export function lastingText(event: TransferEvent): string | undefined {
  const subject = printable(event.subject);
  if (event.kind === 'note') return `${subject}: ${printable(withHint(event.text, event.next))}`;
  if (event.kind !== 'deleted') return undefined;
  const why = event.why === 'room' ? 'room was needed' : 'its last tag moved';
  return (
    `deleted ${printable(event.name)}: last used ${unusedFor(event.unusedMs)}, ` +
    `${humanBytes(event.bytes, 1)}, ${why}`
  );
}
