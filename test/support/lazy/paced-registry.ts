import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { send, type StaticRegistry, startStaticRegistry } from '../static-registry.ts';
import type { TinyImage } from '../tart-image.ts';

/** A registry of one image that counts what it sends of its disk, and sends it as slowly as a test wants. */
export class PacedRegistry {
  /** How often each blob of the disk was asked for, by its digest. */
  readonly asked = new Map<string, number>();
  /** Bytes of blobs of the disk that were sent. */
  sentBytes = 0;
  /** Bytes of them that had been sent before. */
  again = 0;
  /** How long each answer takes, in milliseconds. */
  paceMs = 0;
  /** Parts of the disk from this one on wait until it is a later one. */
  heldFrom = Number.POSITIVE_INFINITY;
  /** Bytes of all blobs of the disk. */
  readonly diskBytes: number;
  readonly #registry: StaticRegistry;
  /** Blobs of the disk by their digests, in their order. */
  readonly #disk = new Map<string, Uint8Array>();
  readonly #sent = new Map<string, number>();
  #answered = 0;

  private constructor(registry: StaticRegistry, image: TinyImage) {
    this.#registry = registry;
    const { layers } = JSON.parse(Buffer.from(image.manifest).toString()) as {
      readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
    };
    for (const { mediaType, digest } of layers) {
      const blob = image.blobs.get(digest);
      if (mediaType.includes('disk') && blob !== undefined) this.#disk.set(digest, blob);
    }
    this.diskBytes = [...this.#disk.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Ends with the test. */
  static async start(image: TinyImage): Promise<PacedRegistry> {
    const registry = await startStaticRegistry({ latest: image });
    const paced = new PacedRegistry(registry, image);
    registry.intercept = (request, response) => {
      const digest = /\/blobs\/([^/]+)$/.exec(request.url ?? '')?.[1] ?? '';
      const blob = paced.#disk.get(digest);
      if (blob === undefined || request.method !== 'GET') return false;
      void paced.#answer(digest, response, () => {
        const bytes = blob.length - Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const sent = (paced.#sent.get(digest) ?? 0) + bytes;
        paced.again += Math.max(0, Math.min(bytes, sent - blob.length));
        paced.#sent.set(digest, sent);
        paced.sentBytes += bytes;
        send(request, response, blob, 'application/octet-stream');
      });
      return true;
    };
    return paced;
  }

  get address(): string {
    return this.#registry.address;
  }

  /** Blobs of the disk that were answered. */
  get answered(): number {
    return this.#answered;
  }

  get blobCount(): number {
    return this.#disk.size;
  }

  async #answer(digest: string, response: ServerResponse, answer: () => void): Promise<void> {
    this.asked.set(digest, (this.asked.get(digest) ?? 0) + 1);
    if (this.paceMs > 0) await delay(this.paceMs);
    const at = [...this.#disk.keys()].indexOf(digest);
    while (at >= this.heldFrom) {
      if (response.destroyed) return;
      await delay(5);
    }
    if (response.destroyed) return;
    this.#answered += 1;
    answer();
  }
}
