import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { describeError } from '../../src/errors.ts';
import { ImageDevice } from '../../src/lazy-disk/image-device.ts';
import { keepPulling } from '../../src/lazy-disk/keep-pulling.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { type FlatImage, parseTartImage } from '../../src/oci/tart-image.ts';
import { Patience } from '../../src/transfer/fill/patience.ts';
import { CHUNK, eventually, image } from '../support/held-pull.ts';
import { freshSession } from '../support/home.ts';
import { send, type StaticRegistry, startStaticRegistry } from '../support/static-registry.ts';

const SIGNAL = new AbortController().signal;
/** Behind the stub, the configuration and the NVRAM come the blobs of the disk. */
const DISK_BLOBS = [...image.blobs].slice(3);

function understood(): FlatImage {
  const parsed = parseTartImage(requireImage(parseManifest(image.manifest), 'the image'), 'the image');
  if (parsed.layout !== 'flat') throw new Error('stacked');
  return parsed;
}

type Fault = (response: ServerResponse, request: IncomingMessage) => void;

/** A guest that waits for its disk, and a registry with faults. */
class WaitingGuest {
  readonly troubles: string[] = [];
  readonly device: ImageDevice;
  readonly pulling: Promise<void>;
  /** What the user has logged in with. */
  password = 'old';
  readonly session = freshSession({
    credentials: () => ({
      find: async (registry) => ({
        kind: 'password',
        registry,
        username: 'ci',
        password: this.password,
        source: 'the test',
      }),
    }),
  });
  /** By number of a chunk. */
  readonly faults = new Map<number, Fault>();
  readonly registry: StaticRegistry;

  private constructor(registry: StaticRegistry) {
    this.registry = registry;
    registry.intercept = (request, response) => {
      const at = DISK_BLOBS.findIndex(([digest]) => request.url?.endsWith(digest) === true);
      const fault = this.faults.get(at);
      fault?.(response, request);
      return fault !== undefined;
    };
    const name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
    this.device = new ImageDevice(this.session, name, understood(), {
      zeros: new Set(),
      onLate: () => undefined,
    });
    onTestFinished(async () => this.device.close());
    const ended = new AbortController();
    onTestFinished(() => ended.abort(new Error('ended')));
    this.pulling = keepPulling(this.session, name, {
      insecure: false,
      manifest: understood().manifest,
      signal: ended.signal,
      patience: new Patience({
        onTrouble: ({ error, isPart }) => this.troubles.push(`${isPart ? 'part' : 'all'}: ${describeError(error)}`),
      }),
      onRetry: () => undefined,
    });
    this.pulling.catch(() => undefined);
  }

  static async begin(faults: ReadonlyMap<number, Fault>): Promise<WaitingGuest> {
    const registry = await startStaticRegistry({ latest: image });
    const guest = new WaitingGuest(registry);
    for (const [at, fault] of faults) guest.faults.set(at, fault);
    return guest;
  }

  async read(chunk: number): Promise<boolean> {
    const range = { offset: chunk * CHUNK, length: CHUNK };
    await this.device.ready(range, SIGNAL);
    return Buffer.from(await this.device.read(range)).equals(image.disk.subarray(range.offset, range.offset + CHUNK));
  }

  asked(chunk: number): number {
    return this.registry.blobRequests().filter((line) => line.includes(DISK_BLOBS[chunk]?.[0] ?? '')).length;
  }
}

function blobAt({ url }: IncomingMessage): Uint8Array | undefined {
  return DISK_BLOBS.find(([digest]) => url?.endsWith(digest) === true)?.[1];
}

/** Another byte than there should be, and the right length. */
function damaged(chunk: number): Fault {
  const bytes = Buffer.from(DISK_BLOBS[chunk]?.[1] ?? []);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
  return (response) => void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
}

it('gives nothing of a part whose digest is wrong and names it once, while all others arrive, and goes on when it is mended (C35)', async () => {
  const guest = await WaitingGuest.begin(new Map([[5, damaged(5)]]));
  const reading = guest.read(5);
  reading.catch(() => undefined);
  await eventually(() => guest.troubles.join()).toContain(DISK_BLOBS[5]?.[0]);
  for (const other of [0, 1, 2, 3, 4]) expect(await guest.read(other)).toBe(true);
  await eventually(() => guest.asked(5)).toBeGreaterThanOrEqual(4);
  expect(await Promise.race([reading, Promise.resolve('waits')])).toBe('waits');
  guest.faults.clear();
  expect(await reading).toBe(true);
  await guest.pulling;
  expect(guest.troubles).toHaveLength(1);
  expect(guest.troubles[0]).toMatch(/^part: /);
  expect([0, 1, 2, 3, 4].map((other) => guest.asked(other))).toStrictEqual([1, 1, 1, 1, 1]);
  // What the guest was made with is known: the registry need not have it any more.
  expect(guest.registry.requests.filter((line) => line.includes('/manifests/'))).toStrictEqual([]);
});

it.each([
  ['is not there', 404, [expect.stringMatching(/^part: cannot read blob .*: /)]],
  ['is forbidden', 403, [expect.stringMatching(/^all: .* does not let us pull org\/vm/)]],
  ['cannot be given', 500, []],
])('waits for a part that %s while the others arrive, and goes on when it is mended (N71)', async (_, status, told) => {
  const guest = await WaitingGuest.begin(new Map([[2, (response) => void response.writeHead(status).end()]]));
  const reading = guest.read(2);
  reading.catch(() => undefined);
  await eventually(() => guest.asked(2)).toBeGreaterThanOrEqual(4);
  for (const other of [0, 1, 3, 4, 5]) expect(await guest.read(other)).toBe(true);
  expect(guest.troubles).toStrictEqual(told);
  guest.faults.clear();
  expect(await reading).toBe(true);
  await guest.pulling;
});

it('waits while a login is refused, says so once, and takes another one when there is one (N74)', async () => {
  let accepted = 'old';
  const isAllowed = ({ headers }: IncomingMessage): boolean =>
    headers.authorization === `Basic ${Buffer.from(`ci:${accepted}`).toString('base64')}`;
  const refuse: Fault = (response, request) => {
    if (isAllowed(request)) send(request, response, blobAt(request), 'application/octet-stream');
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="here"' }).end();
  };
  const guest = await WaitingGuest.begin(new Map([0, 1, 2, 3, 4, 5].map((at) => [at, refuse])));
  expect(await guest.read(0)).toBe(true);
  accepted = 'new';
  const reading = guest.read(5);
  reading.catch(() => undefined);
  await eventually(() => guest.troubles).toHaveLength(1);
  expect(guest.troubles[0]).toMatch(/^all: .*"ci" from the test/);
  guest.password = 'new';
  expect(await reading).toBe(true);
  await guest.pulling;
  expect(guest.troubles).toHaveLength(1);
});
