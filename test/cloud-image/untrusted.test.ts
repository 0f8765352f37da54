import { fc, it } from '@fast-check/vitest';
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { efiPartitions } from '../../src/cloud-image/efi-partition.ts';
import { namesInFat } from '../../src/cloud-image/fat-directory.ts';
import { kindOfImage } from '../../src/cloud-image/image-kind.ts';
import { readIso, writeIso } from '../../src/cloud-image/iso.ts';
import { qcow2DiskBytes } from '../../src/cloud-image/qcow2-header.ts';
import { isTartletError } from '../../src/errors.ts';
import { makeCloudDisk } from '../support/cloud-disk.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** Bytes to change, by their places. */
const changes = (below: number): fc.Arbitrary<readonly (readonly [number, number])[]> =>
  fc.array(fc.tuple(fc.nat(below - 1), fc.nat(255)), { minLength: 1, maxLength: 12 });

function changed(bytes: Buffer, by: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, value] of by) copy[at] = value;
  return copy;
}

describe('what an image from elsewhere says of itself', () => {
  it.prop([fc.uint8Array({ minLength: 112, maxLength: 200 })])('is a size, or a refusal', (rest) => {
    try {
      expect(qcow2DiskBytes(rest, 'image')).toBeGreaterThan(0);
    } catch (error) {
      expect(isTartletError(error, 'MEDIA_UNSUPPORTED')).toBe(true);
    }
  });

  it.prop([fc.uint8Array({ maxLength: 600 })])('is a kind, or a refusal', (head) => {
    try {
      expect(['raw', 'qcow2', 'packed']).toContain(kindOfImage(head, 'image').kind);
    } catch (error) {
      expect(isTartletError(error, 'MEDIA_UNSUPPORTED')).toBe(true);
    }
  });

  const iso = writeIso('cidata', [{ name: 'user-data', content: Buffer.from('#cloud-config') }]);
  it.prop([changes(600)])('is files of a CD, or none', (by) => {
    const moved = by.map(([at, value]) => [32_768 + at * 20, value] as const).filter(([at]) => at < iso.length);
    const files = readIso(changed(iso, moved));
    for (const { content } of files ?? []) expect(content.length).toBeLessThanOrEqual(iso.length);
  });
});

describeWithParts('a disk whose tables were forged (S76)', ['sfdisk', 'mformat'], () => {
  const loaded: Buffer[] = [];
  const disk = (): Buffer => {
    if (loaded[0] !== undefined) return loaded[0];
    const file = `${temporaryDirectory()}/disk`;
    makeCloudDisk(file, { loaders: ['BOOTX64.EFI'] });
    loaded[0] = readFileSync(file).subarray(0, 4 * 1024 * 1024);
    return loaded[0];
  };

  it.prop([changes(1024), changes(1024), changes(0x1_0000)], { numRuns: 300 })(
    'is read to an end, within bounds',
    async (table, volume, rest) => {
      const bytes = changed(disk(), [
        ...table,
        ...volume.map(([at, value]) => [1024 * 1024 + at, value] as const),
        ...rest.map(([at, value]) => [1024 * 1024 + at, value] as const),
      ]);
      let reads = 0;
      const read = async (at: number, length: number): Promise<Buffer> => {
        reads += 1;
        if (!Number.isSafeInteger(at) || at < 0) return Buffer.alloc(0);
        return bytes.subarray(at, at + Math.min(length, 1024 * 1024));
      };
      for (const start of await efiPartitions(read)) await namesInFat(read, start, ['EFI', 'BOOT']);
      expect(reads).toBeLessThan(10_000);
    },
  );
});
