import { readFileSync, writeFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { describeError } from '../../src/errors.ts';
import { ImageDevice } from '../../src/lazy-disk/image-device.ts';
import { keepPulling } from '../../src/lazy-disk/keep-pulling.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { TransferEvent } from '../../src/session/progress.ts';
import type { Session, SessionOptions } from '../../src/session/session.ts';
import type { GuestFill } from '../../src/transfer/fill/disk-layers.ts';
import { Patience } from '../../src/transfer/fill/patience.ts';
import { pull, type PullOptions } from '../../src/transfer/pull/pull.ts';
import { temporaryDirectory } from './directory.ts';
import { freshSession } from './home.ts';
import { type PiecedImage, understood } from './pieced-image.ts';
import { startStaticRegistry, type StaticRegistry } from './static-registry.ts';

/** A registry of an image, a home, and what comes from the one into the other. */
export class PiecedWorld {
  readonly registry: StaticRegistry;
  readonly image: PiecedImage;
  readonly session: Session;
  readonly events: TransferEvent[] = [];
  readonly name: RemoteName;
  #stop = new AbortController();

  private constructor(registry: StaticRegistry, of: PiecedImage, options: Partial<SessionOptions>) {
    this.registry = registry;
    this.image = of;
    this.session = freshSession({ onEvent: (event) => this.events.push(event), ...options });
    this.name = RemoteName.parse(`${registry.address}/org/vm@${of.digest}`);
    onTestFinished(() => this.#stop.abort(new Error('the test has ended')));
  }

  static async of(pieced: PiecedImage, options: Partial<SessionOptions> = {}): Promise<PiecedWorld> {
    return new PiecedWorld(await startStaticRegistry({ latest: pieced }), pieced, options);
  }

  /** With a mirror of the registry. */
  static async mirrored(image: PiecedImage): Promise<{ readonly world: PiecedWorld; readonly mirror: StaticRegistry }> {
    const [registry, mirror] = [
      await startStaticRegistry({ latest: image }),
      await startStaticRegistry({ latest: image }),
    ];
    const directory = temporaryDirectory();
    const table = `[[registry]]\nlocation = "${registry.address}"\n`;
    writeFileSync(
      `${directory}/registries.conf`,
      `${table}[[registry.mirror]]\nlocation = "${mirror.address}/cache"\n`,
    );
    const environment = { TARTLET_MIRRORS: `${directory}/registries.conf`, HOME: directory };
    return { world: new PiecedWorld(registry, image, { environment }), mirror };
  }

  /** As a run pulls for its guest. */
  guest(fill: GuestFill): Promise<void> {
    const signal = this.#stop.signal;
    const pulling = keepPulling(this.session, this.name, {
      insecure: false,
      fill,
      signal,
      onRetry: () => undefined,
      patience: new Patience({ onTrouble: ({ error }) => this.troubles.push(describeError(error)) }),
      onNote: (text) => this.told.push(text),
    });
    pulling.catch(() => undefined);
    return pulling;
  }

  readonly troubles: string[] = [];
  readonly told: string[] = [];

  /** As a command does. */
  pull(options: PullOptions = {}): ReturnType<typeof pull> {
    const pulling = pull(this.session.with({ signal: this.#stop.signal }), this.name, { concurrency: 1, ...options });
    pulling.catch(() => undefined);
    return pulling;
  }

  /** Ends what pulls, as the end of its process would. */
  async stop(pulling: Promise<unknown>): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await pulling.catch(() => undefined);
    this.#stop = new AbortController();
    this.registry.requests.length = 0;
  }

  device(): ImageDevice {
    const device = new ImageDevice(this.session, this.name, understood(this.image), {
      zeros: new Set(),
      onLate: () => undefined,
    });
    onTestFinished(async () => device.close());
    return device;
  }

  /**
   * Bytes of each layer that were asked for: first and last, or `all`. What was closed while something else was urgent,
   * and asked for again from where it was to the same end, counts once.
   */
  asked(): string[] {
    const ends = new Map<string, number>();
    for (const line of this.registry.requests) {
      const layer = this.image.layers.findIndex((digest) => line.includes(digest));
      if (layer < 0) continue;
      const [, from = '0', to = ''] = /bytes=(\d+)-(\d*)$/.exec(line) ?? [];
      const end = `${layer} ${to === '' ? (this.image.pieces[layer]?.size ?? 0) - 1 : to}`;
      ends.set(end, Math.min(Number(from), ends.get(end) ?? Number.POSITIVE_INFINITY));
    }
    return [...ends].map(([end, from]) => {
      const [layer = '', to = ''] = end.split(' ');
      const isAll = from === 0 && Number(to) + 1 === this.image.pieces[Number(layer)]?.size;
      return `${layer} ${isAll ? 'all' : `${from}-${to}`}`;
    });
  }

  /** Bytes of layers that were asked for. */
  askedBytes(): number {
    return this.asked().reduce((sum, line) => {
      const [layer = '', range = ''] = line.split(' ');
      const [from = '', to = ''] = range.split('-');
      return sum + (range === 'all' ? (this.image.pieces[Number(layer)]?.size ?? 0) : Number(to) - Number(from) + 1);
    }, 0);
  }

  /** How the bytes of pieces are asked for. */
  range(layer: number, first: number, last = first): string {
    const pieces = this.image.pieces[layer];
    return `${layer} ${pieces?.piece(first).from}-${(pieces?.piece(last).to ?? 0) - 1}`;
  }

  notes(): string[] {
    return [...this.told, ...this.events.flatMap((event) => (event.kind === 'note' ? [event.text] : []))];
  }

  async cachedDisk(): Promise<Buffer> {
    const found = await this.session.images.find(this.name);
    return readFileSync(`${found?.directory.path ?? ''}/disk.img`);
  }
}
