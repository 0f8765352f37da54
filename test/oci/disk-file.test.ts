import { describe, expect, it } from 'vitest';
import { configLayer, diskLayer, fakeDigest, manifestOf, nvramLayer, tinyManifest } from '../support/tart-image.ts';
import { chunk, CONTENT, COUNT, DISK_SIZE, FILE, read, SIZE, why } from './reading.ts';
import { invalid } from './refusal.ts';

describe('numbers that decide what is written (C10, C11)', () => {
  it.each([[''], ['0'], ['-1'], ['1e3'], ['0x10'], [' 12 '], ['1.5'], ['9007199254740993'], ['18446744073709551616']])(
    'a chunk cannot have %j bytes',
    (size) => {
      const layers = [configLayer(), chunk('4', 10), diskLayer({}, { [SIZE]: size }), nvramLayer()];
      expect(why(manifestOf(layers))).toEqual(
        invalid(`disk chunk 1 has the annotation ${SIZE} "${size}", not a usable number`),
      );
    },
  );

  it.each<[string, Record<string, unknown>, string]>([
    ['no size', { [SIZE]: undefined }, `disk chunk 0 has no annotation ${SIZE}`],
    ['no content digest', { [CONTENT]: undefined }, `disk chunk 0 has no annotation ${CONTENT}`],
    ['half a content digest', { [CONTENT]: 'sha256:12' }, `disk chunk 0: ${CONTENT} is not a digest: "sha256:12"`],
    ['an empty file digest', { [FILE]: '' }, `disk chunk 0: ${FILE} is not a digest: ""`],
    ['a count of chunks', { [COUNT]: '1' }, `disk chunk 0 has the annotation ${COUNT}, which only overlays have`],
  ])('a chunk cannot be annotated with %s', (_, annotations, rest) => {
    expect(why(manifestOf([configLayer(), diskLayer({}, annotations), nvramLayer()]))).toEqual(invalid(rest));
  });

  it('an algorithm we cannot check is unsupported', () => {
    const layer = diskLayer({}, { [CONTENT]: 'md5:d41d8cd98f00b204e9800998ecf8427e' });
    expect(why(manifestOf([configLayer(), layer, nvramLayer()]))).toEqual([
      'MEDIA_UNSUPPORTED',
      `disk chunk 0: ${CONTENT} of the manifest is a md5 digest, only sha256 and sha512 are supported`,
    ]);
  });

  it.each([[FILE], [COUNT]])('only the first chunk may say where a file starts, in %s', (key) => {
    const layers = [configLayer(), chunk('4', 10), diskLayer({}, { [key]: fakeDigest('9') }), nvramLayer()];
    expect(why(manifestOf(layers))).toEqual(
      invalid(`disk chunk 1 has the annotation ${key}, which belongs to the first chunk of a file`),
    );
  });

  it('a chunk cannot decode to more than LZ4 can make of it', () => {
    const layers = (size: number): Uint8Array =>
      manifestOf([configLayer(), diskLayer({}, { [SIZE]: String(size) }), nvramLayer()]);
    expect(read(layers(1024 * 256)).base.size).toBe(262144);
    expect(why(layers(1024 * 256 + 1))).toEqual(
      invalid('disk chunk 0 claims to decode 1024 bytes to 262145, which LZ4 cannot'),
    );
  });

  it('a disk cannot be larger than 16 TiB, however the chunks share it', () => {
    const half = (digit: string, more = 0): Record<string, unknown> => chunk(digit, 8 * 1024 ** 4 + more);
    expect(read(manifestOf([configLayer(), half('4'), half('5'), nvramLayer()])).base.size).toBe(17592186044416);
    expect(why(manifestOf([configLayer(), half('4'), half('5', 1), nvramLayer()]))).toEqual(
      invalid('the disk is larger than 16 TiB'),
    );
  });

  it.each<[string, string]>([
    ['4095', 'says 4095 bytes, the chunks add up to 4096'],
    ['8192', 'says 8192 bytes, the chunks add up to 4096'],
    ['0', 'is "0", not a usable number'],
    ['', 'is "", not a usable number'],
    ['4e3', 'is "4e3", not a usable number'],
    ['\u001b[2J', String.raw`is "\u001b[2J", not a usable number`],
  ])('the disk cannot have %j bytes while its chunks have 4096', (size, rest) => {
    expect(why(tinyManifest({ annotations: { [DISK_SIZE]: size } }))).toEqual(
      invalid(`annotations["${DISK_SIZE}"] ${rest}`),
    );
  });

  it('one blob cannot decode to two things', () => {
    const rest = `chunks of the blob ${fakeDigest('2')} claim that it decodes to different contents`;
    const again = (annotations: Record<string, string>): Uint8Array =>
      manifestOf([configLayer(), diskLayer(), diskLayer({}, annotations), nvramLayer()]);
    expect(why(again({ [SIZE]: '4097' }))).toEqual(invalid(rest));
    expect(why(again({ [CONTENT]: fakeDigest('4') }))).toEqual(invalid(rest));
  });
});
