import { readWindow } from '../chunks/disk-window.ts';
import { verifyChunk } from '../chunks/chunk-fetch.ts';
import { lz4Backend } from '../chunks/lz4-backend.ts';
import type { EncoderWorkspace } from '../codec/lz4-backend.ts';
import { TartletError } from '../errors.ts';
import { fileState } from '../fs/file-state.ts';
import { holdImage, TO_READ } from '../home/images/image-lock.ts';
import { markedState } from '../home/unmodified-marker.ts';
import { ContentEncoder } from '../peering/content-encoder.ts';
import type { Session } from '../session/session.ts';
import type { ContentIndex, ContentPlace } from './content-index.ts';

/** Contents that are remembered as verified; the oldest are forgotten first. */
const MOST_PROOFS = 200_000;

/** A content that was verified and is held: no process deletes or replaces it before {@link release}. */
export interface HeldContent {
  /** Bytes. */
  readonly size: number;
  /**
   * The stream of it from a byte on, see `content-stream.ts`.
   * @throws TartletError `CHUNK_CORRUPT` when the file was changed meanwhile: the stream has no end then.
   */
  stream(from: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  release(): Promise<void>;
}

type SourceSession = Pick<Session, 'home' | 'images' | 'platform'>;

/**
 * Reads contents from cached images. A byte leaves only when it is known to be right: the disk has its unmodified
 * marker, or the content was hashed since the file was changed last.
 */
export class ContentSource {
  readonly #session: SourceSession;
  readonly #index: ContentIndex;
  /** How files were when a content of theirs was hashed; `wrong` stands before it where it was another one. */
  readonly #proofs = new Map<string, string>();
  #workspace: EncoderWorkspace | undefined;

  constructor(session: SourceSession, index: ContentIndex) {
    this.#session = session;
    this.#index = index;
  }

  /** Whether a content should be here. */
  has(content: string): boolean {
    return this.#index.find(content) !== undefined;
  }

  /**
   * Holds a content for reading. Hashing it may take a second.
   * @returns undefined where it is not here, is changed by another process, or is not what it should be.
   */
  async hold(content: string, signal: AbortSignal): Promise<HeldContent | undefined> {
    const place = this.#index.find(content);
    if (place === undefined) return undefined;
    const held = await holdImage(this.#session.images, place.image, { ...TO_READ, wait: false }, async () =>
      this.#provenState(content, place, signal),
    );
    if (held === 'busy') return undefined;
    if (held.seen !== undefined) {
      this.#workspace ??= lz4Backend().encoderWorkspace();
      const stream = streaming(place, held.seen, this.#workspace);
      return { size: place.size, stream, release: held.release };
    }
    await held.release();
    return undefined;
  }

  /** How the file is while the content in it is right; undefined when it is not. */
  async #provenState(content: string, place: ContentPlace, signal: AbortSignal): Promise<string | undefined> {
    const state = await stateOf(place);
    if (state === undefined) return undefined;
    const { directory, image, file, offset, size } = place;
    if (file.startsWith(`${directory}/`)) {
      if ((await markedState(directory, image, this.#session.platform)) === state) return state;
    }
    const key = `${file} ${offset} ${content}`;
    const known = this.#proofs.get(key);
    if (known === state) return state;
    if (known === `wrong ${state}`) return undefined;
    const job = { kind: 'verify', disk: file, offset, contentSize: size, contentDigest: content } as const;
    const isIntact = await verifyChunk(job, signal).then(
      ({ intact }) => intact,
      () => false,
    );
    signal.throwIfAborted();
    if ((await stateOf(place)) !== state) return undefined;
    this.#remember(key, isIntact ? state : `wrong ${state}`);
    return isIntact ? state : undefined;
  }

  #remember(key: string, state: string): void {
    this.#proofs.delete(key);
    this.#proofs.set(key, state);
    const [oldest] = this.#proofs.keys();
    if (this.#proofs.size > MOST_PROOFS && oldest !== undefined) this.#proofs.delete(oldest);
  }
}

async function stateOf({ file }: ContentPlace): Promise<string | undefined> {
  return fileState(file).then(
    ({ touched }) => touched,
    () => undefined,
  );
}

/** @param state of the file, when it was right. */
function streaming(place: ContentPlace, state: string, workspace: EncoderWorkspace): HeldContent['stream'] {
  const { file, offset, size } = place;
  return async function* stream(from, signal) {
    const encoder = new ContentEncoder(workspace);
    let last: Uint8Array[] = [];
    for await (const piece of readWindow(file, offset + from, size - from, signal)) {
      yield* last;
      last = encoder.push(piece);
    }
    last.push(...encoder.finish());
    // Before the last bytes: without them it is worth nothing.
    if ((await stateOf(place)) !== state) {
      throw new TartletError('CHUNK_CORRUPT', `${file} was changed while it was read`, { subject: file });
    }
    yield* last;
  };
}
