import { readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { ImageDevice } from '../../../src/lazy-disk/image-device.ts';
import { keepPulling } from '../../../src/lazy-disk/keep-pulling.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { Session } from '../../../src/session/session.ts';
import type { GuestFill } from '../../../src/transfer/fill/disk-layers.ts';
import { Patience } from '../../../src/transfer/fill/patience.ts';
import { noise } from '../../codec/disk-data.ts';
import { eventually } from '../../support/held-pull.ts';
import { freshSession } from '../../support/home.ts';
import { type PiecedImage, piecedImage, understood } from '../../support/pieced-image.ts';
import { startStaticRegistry, type StaticRegistry } from '../../support/static-registry.ts';
import { sha256 } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;
const image = await piecedImage([noise(6 * MIB, 1)]);

/** A guest that reads, and processes that bring its image one after the other. */
class Takeover {
  readonly session: Session = freshSession();
  readonly name: RemoteName;
  readonly device: ImageDevice;
  readonly #registry: StaticRegistry;
  #stop = new AbortController();

  private constructor(registry: StaticRegistry) {
    this.#registry = registry;
    this.name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
    this.device = new ImageDevice(this.session, this.name, understood(image), {
      zeros: new Set(),
      onLate: () => undefined,
    });
    onTestFinished(async () => {
      this.#stop.abort(new Error('the test has ended'));
      await this.device.close();
    });
  }

  static async begin(): Promise<Takeover> {
    return new Takeover(await startStaticRegistry({ latest: image }));
  }

  /** Another process comes to bring the image, as long as it is not stopped. */
  bring(fill: GuestFill): Promise<void> {
    const pulling = keepPulling(this.session, this.name, {
      insecure: false,
      fill,
      signal: this.#stop.signal,
      onRetry: () => undefined,
      patience: new Patience({ onTrouble: () => undefined }),
    });
    pulling.catch(() => undefined);
    return pulling;
  }

  async stop(pulling: Promise<unknown>): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await pulling.catch(() => undefined);
    this.#stop = new AbortController();
    this.#registry.requests.length = 0;
  }

  get staging(): string {
    return `${this.session.home.stagingDirectory}/${image.digest.replace('sha256:', '')}`;
  }

  /** Lines of requests for the layer since the last stop. */
  get asked(): readonly string[] {
    return this.#registry.requests.filter((line) => line.includes(image.layers[0] ?? ''));
  }

  /** The registry has lost the index, and sends another layer than the one that the manifest names. */
  turnHostile(sendLayer: (response: ServerResponse, blob: Buffer) => void): void {
    const [layer = ''] = image.layers;
    this.#registry.intercept = ({ url = '', headers }: IncomingMessage, response) => {
      if (url.endsWith(sha256(image.index))) response.writeHead(404).end();
      else if (url.endsWith(layer) && headers.range === undefined) sendLayer(response, otherLayer(image));
      else return false;
      return true;
    };
  }

  mend(): void {
    this.#registry.intercept = undefined;
  }

  async read(at: number, length: number): Promise<Buffer> {
    await this.device.ready({ offset: at, length }, SIGNAL);
    return Buffer.from(await this.device.read({ offset: at, length }));
  }
}

/** Of the same length, and to be decoded as well: the bytes of its second piece are other ones. */
function otherLayer({ blobs, layers: [layer = ''], pieces: [pieces] }: PiecedImage): Buffer {
  const blob = Buffer.from(blobs.get(layer) ?? []);
  const at = (pieces?.piece(1).from ?? 0) + 1000;
  blob.writeUInt8(blob.readUInt8(at) ^ 255, at);
  return blob;
}

const ofDisk = (at: number, length: number): Buffer => Buffer.from(image.disk.subarray(at, at + length));

it('goes on by the index that came before, where the registry has lost it since, and fetches no piece again (S100)', async () => {
  const guest = await Takeover.begin();
  const first = guest.bring('waited-for');
  expect((await guest.read(0, 3 * MIB)).equals(ofDisk(0, 3 * MIB))).toBe(true);
  await guest.stop(first);
  guest.turnHostile((response, blob) => response.writeHead(200, { 'content-length': blob.length }).end(blob));
  await guest.bring('everything');
  expect((await guest.read(0, image.disk.length)).equals(image.disk)).toBe(true);
  expect(guest.asked.every((line) => line.includes('bytes='))).toBe(true);
  const cached = await guest.session.images.find(guest.name);
  expect(readFileSync(`${cached?.directory.path ?? ''}/disk.img`).equals(image.disk)).toBe(true);
});

it('gives a guest nothing that the next process writes over what it has read, before that is verified (S100)', async () => {
  const guest = await Takeover.begin();
  const first = guest.bring('waited-for');
  const before = await guest.read(0, 3 * MIB);
  await guest.stop(first);
  // While no process brings the image, what was verified can be read.
  expect((await guest.read(MIB, MIB)).equals(ofDisk(MIB, MIB))).toBe(true);
  rmSync(`${guest.staging}/.pieces`, { force: true });
  let goOn = (): void => undefined;
  guest.turnHostile((response, blob) => {
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 4 * MIB));
    goOn = () => void response.end(blob.subarray(4 * MIB));
  });
  const second = guest.bring('everything');
  const onDisk = (): Buffer => readFileSync(`${guest.staging}/disk.img`).subarray(MIB, 2 * MIB);
  await eventually(() => onDisk().equals(ofDisk(MIB, MIB))).toBe(false);
  const reading = guest.read(MIB, MIB);
  guest.mend();
  goOn();
  expect((await reading).equals(ofDisk(MIB, MIB))).toBe(true);
  await second;
  expect((await guest.read(0, 3 * MIB)).equals(before)).toBe(true);
});
