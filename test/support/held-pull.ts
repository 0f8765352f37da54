import { expect, onTestFinished } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { pull, type PullOutcome } from '../../src/transfer/pull/pull.ts';
import { freshSession } from './home.ts';
import { patternBytes } from './memory-device.ts';
import { NbdClient } from './nbd-client.ts';
import { send, startStaticRegistry } from './static-registry.ts';
import { tinyImage } from './tart-image.ts';

export const CHUNK = 128 * 1024;
export const NUMBERS = [0, 1, 2, 3, 4, 5];
export const image = tinyImage({ chunks: NUMBERS.map((at) => patternBytes(CHUNK, `chunk ${at}`)) });
/** Under load everything takes its time. */
export const eventually: typeof expect.poll = (look) => expect.poll(look, { timeout: 20_000 });

/** Behind the stub, the configuration and the NVRAM come the blobs of the disk. */
const DISK_BLOBS = [...image.blobs].slice(3);

/** A pull of one chunk at a time, whose registry answers the request for a chunk when it is let go. */
export class HeldPull {
  readonly session: Session = freshSession();
  /** Chunks that were asked for, in this order. */
  readonly asked: number[] = [];
  readonly #held = new Map<number, () => void>();
  #stop = new AbortController();
  /** Of the image, with its digest. */
  name: RemoteName = RemoteName.parse(`127.0.0.1:1/org/vm@${image.digest}`);
  outcome: Promise<PullOutcome> = Promise.reject(new Error('not begun'));

  constructor() {
    this.outcome.catch(() => undefined);
  }

  static async begin(): Promise<HeldPull> {
    const held = new HeldPull();
    const registry = await startStaticRegistry({ latest: image });
    registry.intercept = (request, response) => {
      const at = DISK_BLOBS.findIndex(([digest]) => request.url?.endsWith(digest) === true);
      if (at < 0) return false;
      held.asked.push(at);
      held.#held.set(at, () => send(request, response, DISK_BLOBS[at]?.[1], 'application/octet-stream'));
      return true;
    };
    held.name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
    held.pull();
    await eventually(() => held.asked).toStrictEqual([0]);
    return held;
  }

  /** Begins another one, as another command would. */
  pull(): void {
    const session = this.session.with({ signal: this.#stop.signal });
    this.outcome = pull(session, this.name, { concurrency: 1 });
    this.outcome.catch(() => undefined);
  }

  /** Ends those that are under way. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await this.outcome.catch(() => undefined);
    // Answers to one that has ended reach none that asks again.
    this.#held.clear();
    this.#stop = new AbortController();
  }

  get staging(): string {
    return `${this.session.home.stagingDirectory}/${image.digest.replace('sha256:', '')}`;
  }

  async letGo(...chunks: readonly number[]): Promise<void> {
    for (const at of chunks) {
      await eventually(() => this.#held.has(at)).toBe(true);
      this.#held.get(at)?.();
    }
  }

  async reader(): Promise<NbdClient> {
    const client = await NbdClient.at(`${this.staging}/.fill.sock`);
    onTestFinished(() => void client.stream.destroy());
    await client.choose('', { structured: false });
    return client;
  }
}
