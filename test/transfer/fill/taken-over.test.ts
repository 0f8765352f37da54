import { readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import type { ImageDevice } from '../../../src/lazy-disk/image-device.ts';
import { noise } from '../../codec/disk-data.ts';
import { eventually } from '../../support/held-pull.ts';
import { type PiecedImage, piecedImage } from '../../support/pieced-image.ts';
import { PiecedWorld } from '../../support/pieced-world.ts';
import { sha256 } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;
const image = await piecedImage([noise(6 * MIB, 1)]);

/** A guest that reads, and processes that bring its image one after the other. */
class Takeover {
  readonly world: PiecedWorld;
  readonly #device: ImageDevice;

  private constructor(world: PiecedWorld) {
    this.world = world;
    this.#device = world.device();
  }

  static async begin(): Promise<Takeover> {
    return new Takeover(await PiecedWorld.of(image));
  }

  get staging(): string {
    return `${this.world.session.home.stagingDirectory}/${image.digest.replace('sha256:', '')}`;
  }

  /** Lines of requests for the layer since the last stop. */
  get asked(): readonly string[] {
    return this.world.registry.requests.filter((line) => line.includes(image.layers[0] ?? ''));
  }

  /** The registry has lost the index, and sends another layer than the one that the manifest names. */
  turnHostile(sendLayer: (response: ServerResponse, blob: Buffer) => void): void {
    const [layer = ''] = image.layers;
    this.world.registry.intercept = ({ url = '', headers }: IncomingMessage, response) => {
      if (url.endsWith(sha256(image.index))) response.writeHead(404).end();
      else if (url.endsWith(layer) && headers.range === undefined) sendLayer(response, otherLayer(image));
      else return false;
      return true;
    };
  }

  mend(): void {
    this.world.registry.intercept = undefined;
  }

  async read(at: number, length: number): Promise<Buffer> {
    await this.#device.ready({ offset: at, length }, SIGNAL);
    return Buffer.from(await this.#device.read({ offset: at, length }));
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
  const first = guest.world.guest('waited-for');
  expect((await guest.read(0, 3 * MIB)).equals(ofDisk(0, 3 * MIB))).toBe(true);
  await guest.world.stop(first);
  guest.turnHostile((response, blob) => response.writeHead(200, { 'content-length': blob.length }).end(blob));
  await guest.world.guest('everything');
  expect((await guest.read(0, image.disk.length)).equals(image.disk)).toBe(true);
  expect(guest.asked.every((line) => line.includes('bytes='))).toBe(true);
  expect((await guest.world.cachedDisk()).equals(image.disk)).toBe(true);
});

it('gives a guest nothing that the next process writes over what it has read, before that is verified (S100)', async () => {
  const guest = await Takeover.begin();
  const first = guest.world.guest('waited-for');
  const before = await guest.read(0, 3 * MIB);
  await guest.world.stop(first);
  // While no process brings the image, what was verified can be read.
  expect((await guest.read(MIB, MIB)).equals(ofDisk(MIB, MIB))).toBe(true);
  rmSync(`${guest.staging}/.pieces`, { force: true });
  let goOn = (): void => undefined;
  guest.turnHostile((response, blob) => {
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 4 * MIB));
    goOn = () => void response.end(blob.subarray(4 * MIB));
  });
  const second = guest.world.guest('everything');
  const onDisk = (): Buffer => readFileSync(`${guest.staging}/disk.img`).subarray(MIB, 2 * MIB);
  await eventually(() => onDisk().equals(ofDisk(MIB, MIB))).toBe(false);
  const reading = guest.read(MIB, MIB);
  guest.mend();
  goOn();
  expect((await reading).equals(ofDisk(MIB, MIB))).toBe(true);
  await second;
  expect((await guest.read(0, 3 * MIB)).equals(before)).toBe(true);
});
