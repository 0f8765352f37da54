import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { freshSession } from '../../support/home.ts';
import { patternBytes } from '../../support/memory-device.ts';
import { type StaticRegistry, startStaticRegistry } from '../../support/static-registry.ts';
import { tinyImage } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const repeated = patternBytes(MIB, 'repeated');
// Chunks of one, two, one and two MiB; the first and the last MiB are one blob.
const image = tinyImage({
  chunks: [repeated, patternBytes(2 * MIB, 'two'), patternBytes(MIB, 'three'), patternBytes(2 * MIB, 'four'), repeated],
});
const BLOBS = [...image.blobs.keys()].slice(3);

/** Which blobs of the disk were asked for, in this order. */
function asked(registry: StaticRegistry): number[] {
  return registry
    .blobRequests()
    .map((line) => BLOBS.findIndex((digest) => line.includes(digest)))
    .filter((at) => at >= 0);
}

async function pulled(order: readonly number[] | undefined): Promise<{ asked: readonly number[]; disk: string }> {
  const registry = await startStaticRegistry({ latest: image });
  const session = freshSession();
  const name = RemoteName.parse(`${registry.address}/org/vm:latest`);
  const { digest } = await pull(session, name, { concurrency: 1, order });
  const found = await session.images.require(name.withDigest(digest), 'read');
  return { asked: asked(registry), disk: `${found.directory.path}/disk.img` };
}

it.each([
  ['without an order, in that of the disk', undefined, [0, 1, 2, 3]],
  ['in the order of first touch, and the rest as it lies on the disk', [5, 3], [3, 2, 0, 1]],
  ['a blob at several places by its first touch', [6, 2], [0, 1, 2, 3]],
  ['each once, whatever is repeated or not of the disk (S99)', [900_000_000, 4, 4, 5, -1, 3, 4], [3, 2, 0, 1]],
])('fetches %s', async (_, order, expected) => {
  const { asked: found, disk } = await pulled(order);
  expect(found).toStrictEqual(expected);
  expect(readFileSync(disk).equals(image.disk)).toBe(true);
});
