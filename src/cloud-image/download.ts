import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { isTartletError, TartletError, type ErrorCode } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import type { Digest } from '../names/digest.ts';
import { Backoff } from '../registry/request/backoff.ts';
import { hostAndPort } from '../registry/request/network-error.ts';
import { classifyFailure } from '../registry/request/retry-policy.ts';
import { redactUrl } from '../registry/request/redact.ts';
import type { RegistryResponse } from '../registry/request/request.ts';
import { parseContentRange } from '../registry/blobs/content-range.ts';
import { refuseTooLarge } from './sparse-file.ts';
import type { Session } from '../session/session.ts';

/** A file of a web server. */
export interface WebFile {
  readonly url: URL;
  /** What its publisher says of it; undefined: it is taken as it comes. */
  readonly digest: Digest | undefined;
  /** Most that the disk in it may have: a server can send without end. */
  readonly diskBytes: number;
}

/** What the server says of the file that it began to send: a file that was replaced meanwhile is not continued. */
interface Version {
  readonly total: number | undefined;
  readonly tag: string | undefined;
}

/**
 * Fetches a file of a web server into a new file. What is cut off is continued where it stopped, and begun anew where
 * the server cannot do that, or has another file by then.
 *
 * @throws TartletError `NET_*`, `NOT_FOUND`, `AUTH_*`, `REG_*`, `DIGEST_MISMATCH`, `DISK_*`
 */
export async function download(session: Session, { url, digest, diskBytes }: WebFile, file: string): Promise<void> {
  const subject = redactUrl(url);
  const connection = await session.web(url, subject);
  const handle = await onDisk('create', file, async () => createFile(file, 'refuse'));
  try {
    const task = new Download(session, { subject, file: handle, path: file, diskBytes }, digest?.algorithm ?? 'sha256');
    const backoff = new Backoff(connection.timing);
    while (!(await task.attempt(url, backoff, connection.send))) {
      // The next one continues.
    }
    session.emit({ kind: 'finished', subject });
    if (digest !== undefined && task.hex() !== digest.hex) throw otherDigest(subject, digest, task.hex());
  } catch (error) {
    throw isTartletError(error, 'NET_CONNECT', 'NET_DNS') ? ofNoRegistry(error) : error;
  } finally {
    await handle.close();
    await connection.close();
  }
}

/** Where a download goes, and what it may be at most. */
interface Target {
  /** What messages call it. */
  readonly subject: string;
  readonly file: FileHandle;
  readonly path: string;
  readonly diskBytes: number;
}

class Download {
  readonly #session: Session;
  readonly #subject: string;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #diskBytes: number;
  readonly #algorithm: string;
  #hash: Hash;
  #offset = 0;
  /** Up to where failures were forgiven: there was progress. */
  #forgiven = 0;
  #version: Version | undefined;

  constructor(session: Session, { subject, file, path, diskBytes }: Target, algorithm: string) {
    this.#session = session;
    this.#subject = subject;
    this.#file = file;
    this.#path = path;
    this.#diskBytes = diskBytes;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  hex(): string {
    return this.#hash.copy().digest('hex');
  }

  /** One request, and what comes of it. @returns whether all is there. */
  async attempt(url: URL, backoff: Backoff, send: Awaited<ReturnType<Session['web']>>['send']): Promise<boolean> {
    const { signal } = this.#session;
    const response = await send(
      {
        method: 'GET',
        url,
        headers: this.#offset === 0 ? {} : { range: `bytes=${this.#offset}-` },
        access: { action: 'pull' },
        idempotent: true,
        backoff,
      },
      signal,
    );
    let failure: TartletError;
    try {
      if (!(await this.#begin(response, backoff))) return false;
      await this.#take(response, backoff);
      if (this.#version?.total === undefined || this.#offset >= this.#version.total) return true;
      failure = new TartletError('SIZE_MISMATCH', `${this.#subject} ended after ${this.#offset} bytes`, {
        subject: this.#subject,
        expected: String(this.#version.total),
        retryable: true,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!isTartletError(error)) throw error;
      failure = error;
    }
    const failureKind = classifyFailure(failure, response.url);
    if (failureKind === undefined || !backoff.shouldRetry(failureKind)) throw failure;
    await backoff.pause(failure.message, signal);
    return false;
  }

  /**
   * Makes of an answer where it goes on. @returns false: it is of no use, and the next is asked for from the beginning.
   */
  async #begin(response: RegistryResponse, backoff: Backoff): Promise<boolean> {
    if (response.status === 200) {
      await this.#restart(versionOf(response, contentLength(response)));
      return true;
    }
    const range = parseContentRange(response.headers.get('content-range') ?? '');
    if (response.status === 206 && range?.start === this.#offset) {
      const { total, tag } = versionOf(response, range.total);
      if (total === this.#version?.total && tag === this.#version?.tag) return true;
    } else if (response.status !== 206 && response.status !== 416) {
      await response.body.discard();
      throw refusedBy(response, this.#subject);
    }
    response.body.destroy();
    if (!backoff.shouldRetry('broken')) throw neverTheSame(this.#subject);
    await this.#restart(undefined);
    return false;
  }

  async #restart(version: Version | undefined): Promise<void> {
    this.#session.emit({ kind: 'bytes', subject: this.#subject, count: -this.#offset });
    this.#offset = 0;
    this.#forgiven = 0;
    this.#hash = createHash(this.#algorithm);
    this.#version = version;
    await onDisk('write', this.#path, async () => this.#file.truncate(0));
    if (version === undefined) return;
    const { total } = version;
    this.#session.emit({
      kind: 'started',
      subject: this.#subject,
      direction: 'download',
      bytesTotal: total,
      diskBytes: total ?? 0,
      chunks: 1,
    });
  }

  async #take({ body }: RegistryResponse, backoff: Backoff): Promise<void> {
    for await (const piece of body) {
      refuseTooLarge(this.#offset + piece.length, this.#diskBytes, this.#subject);
      for (let done = 0; done < piece.length; ) {
        const at = done;
        const write = async (): Promise<number> =>
          (await this.#file.write(piece, at, piece.length - at, this.#offset + at)).bytesWritten;
        done += await onDisk('write', this.#path, write);
      }
      this.#hash.update(piece);
      this.#offset += piece.length;
      this.#session.emit({ kind: 'bytes', subject: this.#subject, count: piece.length });
      if (this.#offset - this.#forgiven < this.#session.limits.progressBytes) continue;
      this.#forgiven = this.#offset;
      backoff.reset();
    }
  }
}

/** What helps against these with a registry does not with a file. */
function ofNoRegistry({ code, message, facts }: TartletError): TartletError {
  return new TartletError(code, message, { ...facts, kept: 'nothing was made', next: { kind: 'check-image-address' } });
}

function versionOf({ headers }: RegistryResponse, total: number | undefined): Version {
  return { total, tag: headers.get('etag') ?? headers.get('last-modified') };
}

function contentLength({ headers }: RegistryResponse): number | undefined {
  const value = headers.get('content-length');
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [401, 'AUTH_REQUIRED'],
  [403, 'AUTH_DENIED'],
  [404, 'NOT_FOUND'],
  [410, 'NOT_FOUND'],
]);

function refusedBy(response: RegistryResponse, subject: string): TartletError {
  const { status, url } = response;
  const code = CODES.get(status) ?? (status >= 500 ? 'REG_UNAVAILABLE' : 'REG_REJECTED');
  return new TartletError(code, `cannot download ${subject}: ${hostAndPort(url)} answered ${status}`, {
    subject,
    status,
    kept: 'nothing was made',
    retryable: status >= 500,
    next: { kind: 'check-image-address' },
  });
}

function neverTheSame(subject: string): TartletError {
  return new TartletError('RANGE_BROKEN', `${subject} is another file each time that its download is to go on`, {
    subject,
    kept: 'nothing was made',
    next: { kind: 'check-image-address' },
  });
}

function otherDigest(subject: string, expected: Digest, found: string): TartletError {
  return new TartletError('DIGEST_MISMATCH', `${subject} is not the image that its digest is of`, {
    subject,
    expected: expected.toString(),
    found: `${expected.algorithm}:${found}`,
    kept: 'nothing was made',
    next: { kind: 'check-image-digest' },
  });
}
