import { describeError, type ErrorCode, isTartletError } from '../../errors.ts';
import type { BlobFetcher } from '../../registry/contract.ts';
import { systemClock } from '../../registry/request/clock.ts';

/** What may mend a failure while a guest waits for it to be mended. */
interface Remedy {
  /** What has failed: one part of the disk, all of them, or the work as a whole, which has to begin anew. */
  readonly failed: 'job' | 'all' | 'work';
  /** It is tried again after so long, then after twice as long, and so on up to `mostMs`. */
  readonly firstMs: number;
  readonly mostMs: number;
  /** `late`: it passes by itself as a rule, so that only who waits for long is told of it. */
  readonly isTold: 'at-once' | 'late';
}

/** The way to the registry: it is to be noticed within two seconds that it is there again. */
const WAY: Remedy = { failed: 'all', firstMs: 250, mostMs: 500, isTold: 'late' };
/** The registry, as a server that is ill. */
const SERVER: Remedy = { failed: 'job', firstMs: 1000, mostMs: 5000, isTold: 'late' };
/** A login, or a rule of this machine, that its user changes. */
const SETTING: Remedy = { failed: 'all', firstMs: 1000, mostMs: 30_000, isTold: 'at-once' };
/** One blob, which is not there, or wrong, until that is mended in the registry. */
const BLOB: Remedy = { failed: 'job', firstMs: 1000, mostMs: 30_000, isTold: 'at-once' };
/** What its publisher made wrong. Nothing mends that, as far as can be told; the other parts arrive all the same. */
const MADE_WRONG: Remedy = { failed: 'job', firstMs: 30_000, mostMs: 300_000, isTold: 'at-once' };
/** No room on this machine: that passes when something is deleted. */
const ROOM: Remedy = { failed: 'all', firstMs: 1000, mostMs: 30_000, isTold: 'at-once' };
/** What is on the disk of this machine, and where: nothing is known of it any more, and it is looked at anew. */
const WORK: Remedy = { failed: 'work', firstMs: 1000, mostMs: 30_000, isTold: 'at-once' };

/** All that can fail, with what is done about it. What has nothing to do with a pull stands with the rest. */
const REMEDIES: Readonly<Record<ErrorCode, Remedy>> = {
  NET_DNS: WAY,
  NET_CONNECT: WAY,
  NET_TLS: { ...WAY, isTold: 'at-once' },
  NET_PROXY: WAY,
  NET_TIMEOUT: WAY,
  NET_BROKEN: WAY,
  NET_PROTOCOL: { ...WAY, isTold: 'at-once' },
  RATE_LIMITED: { ...SETTING, isTold: 'at-once' },
  REG_UNAVAILABLE: SERVER,
  REG_REJECTED: BLOB,
  REG_BLOCKED: SETTING,
  REDIRECT_REFUSED: BLOB,
  AUTH_REQUIRED: SETTING,
  AUTH_DENIED: SETTING,
  AUTH_REALM: SETTING,
  AUTH_HELPER: SETTING,
  NOT_FOUND: BLOB,
  DIGEST_MISMATCH: BLOB,
  SIZE_MISMATCH: BLOB,
  RANGE_BROKEN: BLOB,
  CHUNK_CORRUPT: MADE_WRONG,
  DISK_FULL: ROOM,
  DISK_IO: WORK,
  DISK_READONLY: WORK,
  DISK_DENIED: WORK,
  DISK_UNSUPPORTED: WORK,
  STORE_DAMAGED: WORK,
  CONFIG_INVALID: WORK,
  BUSY: WORK,
  INTERNAL: WORK,
  INTERRUPTED: WORK,
  MANIFEST_INVALID: WORK,
  MANIFEST_TOO_LARGE: WORK,
  MEDIA_UNSUPPORTED: WORK,
  NAME_MALFORMED: WORK,
  NAME_COLLISION: WORK,
  DIGEST_MALFORMED: WORK,
  USAGE: WORK,
  UPLOAD_LOST: WORK,
  UPLOAD_REJECTED: WORK,
  VM_NOT_FOUND: WORK,
  VM_RUNNING: WORK,
  VM_NOT_RUNNING: WORK,
  VM_EXISTS: WORK,
  VM_INVALID: WORK,
  ARCHIVE_INVALID: WORK,
  NEEDS_MACOS: WORK,
  HOST_LACKS: WORK,
  GUEST_FAILED: WORK,
  GUEST_UNREACHABLE: WORK,
  GUEST_LATE: WORK,
};

/** A longer wait is not taken from a registry: by then it may want to be asked again. */
const MOST_ASKED_MS = 3_600_000;

/** Parts that are told of by name, until something else is amiss. */
const MOST_NAMED = 5;

/** Why something does not come. */
export interface Trouble {
  readonly error: unknown;
  /** Whether only a part of the disk is concerned, and the others go on arriving. */
  readonly isPart: boolean;
}

export interface PatienceOptions {
  /** Told of each trouble that does not pass by itself as a rule, once, and of another one in its place. */
  readonly onTrouble: (trouble: Trouble) => void;
}

/** A failure of something that is tried again until it is there. */
interface Failing {
  /** Times in a row. */
  readonly times: number;
  readonly error: unknown;
}

/**
 * What is done about failures for as long as a guest waits for its disk: none is final. Each is tried again, more and
 * more seldom, and what has nothing to do with it goes on meanwhile.
 */
export class Patience {
  readonly #options: PatienceOptions;
  /** By what failed; that of all parts has no name. */
  readonly #failing = new Map<string, Failing>();
  /** What was told, each with the part that failed for it last: until that comes, it is told. */
  readonly #told = new Map<string, string>();
  #named = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Why something does not come now: what concerns all before what concerns a part, and the latest. */
  get trouble(): string | undefined {
    const failing = this.#failing.get('') ?? [...this.#failing.values()].at(-1);
    return failing === undefined ? undefined : describeError(failing.error);
  }

  /** A part came: that of this name, and with it what all parts need. */
  came(part: string): void {
    for (const name of ['', part]) this.#failing.delete(name);
    // What the work as a whole failed for is over when any part comes.
    for (const [what, failed] of this.#told) if (failed === part || failed === '') this.#told.delete(what);
    if (this.#failing.size === 0) this.#named = 0;
  }

  /**
   * A part failed.
   *
   * @param part its name, which is not shown.
   * @param tookMs how long it was tried.
   * @returns when it is to be tried again; undefined when the work has to begin anew.
   */
  afterPart(
    part: string,
    error: unknown,
    tookMs: number,
  ): { readonly afterMs: number; readonly failed: 'job' | 'all' } | undefined {
    const { failed } = remedyFor(error);
    if (failed === 'work') return undefined;
    const afterMs = this.#fail(failed === 'all' ? '' : part, part, error);
    // The others get at least as much of the network as one that comes in vain.
    return { afterMs: failed === 'all' ? afterMs : Math.max(afterMs, tookMs), failed };
  }

  /**
   * Does a part by itself until it is done.
   * @throws the signal's reason, and what only a new beginning of the work can mend.
   */
  async untilDone(
    part: string,
    work: () => Promise<void>,
    { client, signal }: { readonly client: BlobFetcher; readonly signal: AbortSignal },
  ): Promise<void> {
    for (;;) {
      try {
        await work();
        this.came(part);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const next = this.afterPart(part, error, 0);
        if (next === undefined) throw error;
        await systemClock.sleep(next.afterMs, signal);
        client.askAllAgain?.();
      }
    }
  }

  /** The work as a whole failed. @returns after how many milliseconds it begins anew. */
  afterWork(error: unknown): number {
    return this.#fail('', '', error);
  }

  #fail(name: string, part: string, error: unknown): number {
    const { firstMs, mostMs, isTold } = remedyFor(error);
    const times = (this.#failing.get(name)?.times ?? 0) + 1;
    this.#failing.delete(name); // It is the latest then.
    this.#failing.set(name, { times, error });
    const asked = isTartletError(error) ? (error.facts.retryAfterMs ?? 0) : 0;
    if (isTold === 'at-once') this.#tell(name, part, error);
    return Math.max(Math.min(firstMs * 2 ** (times - 1), mostMs), Math.min(asked, MOST_ASKED_MS));
  }

  #tell(name: string, part: string, error: unknown): void {
    // Of what concerns all, the words change from try to try: who asks, and until when to wait.
    const what = name === '' && isTartletError(error) ? error.code : describeError(error);
    const isSame = this.#told.has(what);
    this.#told.set(what, part);
    if (isSame) return;
    if (name !== '') this.#named += 1;
    if (name === '' || this.#named <= MOST_NAMED) this.#options.onTrouble({ error, isPart: name !== '' });
  }
}

function remedyFor(error: unknown): Remedy {
  return isTartletError(error) ? REMEDIES[error.code] : WORK;
}
