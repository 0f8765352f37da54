import { describe, expect, it } from 'vitest';
import { parseDescriptor } from '../../src/oci/descriptor.ts';
import { fakeDigest } from '../support/tart-image.ts';
import { invalid, type Refusal, refusal } from './refusal.ts';

const EMPTY_SHA256 = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const EMPTY_SHA512 =
  'sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e';

const parse = (overrides: Record<string, unknown>): ReturnType<typeof parseDescriptor> =>
  parseDescriptor({ mediaType: 'text/plain', digest: fakeDigest('1'), size: 5, ...overrides }, 'layers[3]');
const why = (overrides: Record<string, unknown>): Refusal => refusal(() => parse(overrides));

describe('a descriptor', () => {
  it('is a type, a digest, a size and annotations; other keys are ignored (C22, S14)', () => {
    const descriptor = parse({ annotations: { a: 'b', __proto: 'c' }, urls: ['https://x.example'], data: 'aGVsbG8=' });
    expect(descriptor.mediaType).toBe('text/plain');
    expect(descriptor.digest.toString()).toBe(fakeDigest('1'));
    expect(descriptor.size).toBe(5);
    expect([...descriptor.annotations]).toEqual([
      ['a', 'b'],
      ['__proto', 'c'],
    ]);
    expect(Object.keys(descriptor).toSorted()).toEqual(['annotations', 'digest', 'mediaType', 'size']);
  });

  it.each([[undefined], [null], [{}]])('with the annotations %j has none', (annotations) => {
    expect(parse({ annotations }).annotations.size).toBe(0);
  });

  it('takes an annotation named __proto__ like any other', () => {
    const { annotations } = parseDescriptor(
      JSON.parse(`{"mediaType":"x","digest":"${fakeDigest('1')}","size":1,"annotations":{"__proto__":"y"}}`),
      'config',
    );
    expect(annotations.get('__proto__')).toBe('y');
    expect(annotations.get('toString')).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [undefined, 'layers[3] is missing'],
    [null, 'layers[3] is not an object'],
    ['x', 'layers[3] is not an object'],
    [[], 'layers[3] is not an object'],
  ])('is not %j', (value, rest) => {
    expect(refusal(() => parseDescriptor(value, 'layers[3]'))).toEqual(invalid(rest));
  });

  it.each<[Record<string, unknown>, string]>([
    [{ mediaType: undefined }, 'layers[3].mediaType is missing'],
    [{ mediaType: '' }, 'layers[3].mediaType is missing'],
    [{ mediaType: 7 }, 'layers[3].mediaType is not a string'],
    [{ annotations: [] }, 'layers[3].annotations is not an object'],
    [{ annotations: 'x' }, 'layers[3].annotations is not an object'],
    [{ annotations: { key: 4096 } }, 'layers[3].annotations["key"] is not a string'],
    [{ annotations: { 'a\nb': null } }, String.raw`layers[3].annotations["a\u000ab"] is not a string`],
    [{ Size: 6 }, 'layers[3] has the key "Size", which is spelled "size"'],
    [{ Annotations: {} }, 'layers[3] has the key "Annotations", which is spelled "annotations"'],
    [{ ſize: 6 }, 'layers[3] has the key "ſize", which is spelled "size"'],
  ])('with %j is refused by the name of the field', (overrides, rest) => {
    expect(why(overrides)).toEqual(invalid(rest));
  });
});

describe('the size of a descriptor (C12)', () => {
  it.each([[1], [5], [2 ** 53 - 1]])('may be %d', (size) => {
    expect(parse({ size }).size).toBe(size);
  });

  it.each<[unknown]>([[-1], [1.5], ['5'], [2 ** 53], [1e300], [null], [true], [[5]], [{}]])('cannot be %j', (size) => {
    expect(why({ size })).toEqual(invalid('layers[3].size is not a whole number of bytes'));
  });

  it('cannot be absent', () => {
    expect(why({ size: undefined })).toEqual(invalid('layers[3].size is missing'));
  });

  it('is 0 with the digest of nothing, and only with it', () => {
    expect(parse({ size: 0, digest: EMPTY_SHA256 }).size).toBe(0);
    expect(parse({ size: 0, digest: EMPTY_SHA512 }).size).toBe(0);
    expect(why({ size: 0 })).toEqual(invalid('layers[3].size is 0, which cannot be with the digest beside it'));
    expect(why({ size: 1, digest: EMPTY_SHA256 })).toEqual(
      invalid('layers[3].size is 1, which cannot be with the digest beside it'),
    );
  });
});

describe('the digest of a descriptor (C20)', () => {
  it.each([[`sha256:${'0a'.repeat(32)}`], [`sha512:${'0a'.repeat(64)}`]])('may be %s', (digest) => {
    expect(parse({ digest }).digest.toString()).toBe(digest);
  });

  it.each<[string]>([
    [''],
    ['sha256'],
    ['sha256:'],
    [`sha256:${'a'.repeat(63)}`],
    [`sha256:${'a'.repeat(65)}`],
    [`sha256:${'A'.repeat(64)}`],
    [`SHA256:${'a'.repeat(64)}`],
    [`sha512:${'a'.repeat(64)}`],
    [` sha256:${'a'.repeat(64)}`],
    [`sha256:${'a'.repeat(64)}/`],
    ['sha256:../../x'],
    ['md5:../../x'],
    ['../../../etc/passwd'],
  ])('cannot be %j', (digest) => {
    const shown = digest.length > 80 ? `${digest.slice(0, 80)}…` : digest;
    expect(why({ digest })).toEqual(invalid(`layers[3].digest is not a digest: "${shown}"`));
  });

  it('is shown without what would break the line', () => {
    expect(why({ digest: 'sha256:\n\u001b[0m' })).toEqual(
      invalid(String.raw`layers[3].digest is not a digest: "sha256:\u000a\u001b[0m"`),
    );
  });

  it('cannot be absent or a number', () => {
    expect(why({ digest: undefined })).toEqual(invalid('layers[3].digest is missing'));
    expect(why({ digest: 1 })).toEqual(invalid('layers[3].digest is not a string'));
  });

  it.each([
    ['md5', 'md5:d41d8cd98f00b204e9800998ecf8427e'],
    ['blake3', `blake3:${'a'.repeat(64)}`],
    ['sha256+b64', 'sha256+b64:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU='],
  ])('of %s is well formed, but not one we verify', (algorithm, digest) => {
    expect(why({ digest })).toEqual([
      'MEDIA_UNSUPPORTED',
      `layers[3].digest of the manifest is a ${algorithm} digest, only sha256 and sha512 are supported`,
    ]);
  });
});

describe('the annotations of a descriptor (C13)', () => {
  it('may have 64 KiB together, keys included, and not a byte more', () => {
    expect(parse({ annotations: { ab: 'x'.repeat(65534) } }).annotations.get('ab')).toHaveLength(65534);
    expect(why({ annotations: { ab: 'x'.repeat(65535) } })).toEqual([
      'MANIFEST_TOO_LARGE',
      'layers[3].annotations of the manifest has 65537 bytes, the limit is 64 KiB',
    ]);
  });

  it('are counted in bytes, not in characters', () => {
    expect(why({ annotations: { ab: '中'.repeat(30000) } })[0]).toBe('MANIFEST_TOO_LARGE');
  });

  it('of a mebibyte are too large', () => {
    expect(why({ annotations: { ab: 'x'.repeat(2 ** 20) } })[0]).toBe('MANIFEST_TOO_LARGE');
  });
});
