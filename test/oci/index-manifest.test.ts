import { describe, expect, it } from 'vitest';
import { type IndexManifest, parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { fakeDigest, indexEntry, tinyIndex } from '../support/tart-image.ts';
import { invalid, type Refusal, refusal } from './refusal.ts';

const why = (document: Uint8Array): Refusal => refusal(() => parseManifest(document));

describe('an index', () => {
  it('knows its entries and their platforms', () => {
    const manifest = parseManifest(tinyIndex()) as IndexManifest;
    expect(manifest.manifests.map((each) => [each.digest.toString(), each.platform])).toEqual([
      [fakeDigest('1'), 'linux/amd64'],
      [fakeDigest('2'), 'darwin/arm64'],
      [fakeDigest('3'), undefined],
    ]);
  });

  it('is no VM image, and the message lists what it offers instead (Q19)', () => {
    expect(refusal(() => requireImage(parseManifest(tinyIndex()), 'ghcr.io/org/img:1'))).toEqual([
      'MEDIA_UNSUPPORTED',
      `ghcr.io/org/img:1 is an image index, not a VM image; it offers linux/amd64 ${fakeDigest('1')}, ` +
        `darwin/arm64 ${fakeDigest('2')}, ${fakeDigest('3')}`,
    ]);
  });

  it('with nothing in it says so', () => {
    expect(refusal(() => requireImage(parseManifest(tinyIndex({ manifests: [] })), 'h/x'))[1]).toBe(
      'h/x is an image index, not a VM image; it offers nothing',
    );
  });

  it('with eight entries lists them all', () => {
    const manifests = Array.from({ length: 8 }, (_, each) => indexEntry('1', { os: 'os', architecture: String(each) }));
    expect(refusal(() => requireImage(parseManifest(tinyIndex({ manifests })), 'h/x'))[1]).toBe(
      `h/x is an image index, not a VM image; it offers ${[0, 1, 2, 3, 4, 5, 6, 7].map((each) => `os/${each} ${fakeDigest('1')}`).join(', ')}`,
    );
  });

  it('with many entries or hostile platforms still makes one short line', () => {
    const manifests = Array.from({ length: 11 }, () =>
      indexEntry('1', { os: '\u001b]0;x\u0007\n', architecture: 'arm64' }),
    );
    const [, message] = refusal(() => requireImage(parseManifest(tinyIndex({ manifests })), 'h/x'));
    const shown = `${String.raw`\u001b]0;x\u0007\u000a/arm64`} ${fakeDigest('1')}`;
    expect(message).toBe(`h/x is an image index, not a VM image; it offers ${Array(8).fill(shown).join(', ')}, 3 more`);
  });

  it.each<[unknown]>([['linux/amd64'], [null], [{ os: 'linux' }], [{ os: 1, architecture: 2 }]])(
    'ignores a platform like %j',
    (platform) => {
      const manifest = parseManifest(tinyIndex({ manifests: [indexEntry('1', platform)] })) as IndexManifest;
      expect(manifest.manifests[0]?.platform).toBeUndefined();
    },
  );

  it('with a broken entry is refused by its place', () => {
    expect(why(tinyIndex({ manifests: [indexEntry('1'), {}] }))).toEqual(invalid('manifests[1].mediaType is missing'));
    expect(why(tinyIndex({ manifests: 'x' }))).toEqual(invalid('manifests is not a list'));
  });

  it('an index of 10,001 entries is too large', () => {
    const manifests = Array.from({ length: 10_001 }, () => indexEntry('1'));
    expect(why(tinyIndex({ manifests }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the manifest has 10001 manifests, the limit is 10000',
    ]);
  });
});
