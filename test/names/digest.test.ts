import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../src/names/digest.ts';

const HEX64 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const HEX128 = HEX64 + HEX64;

describe('digests that are accepted (C20)', () => {
  it.each([
    [`sha256:${HEX64}`, 'sha256', HEX64],
    [`sha512:${HEX128}`, 'sha512', HEX128],
  ])('%s', (text, algorithm, hex) => {
    const digest = Digest.parse(text);
    expect(digest.algorithm).toBe(algorithm);
    expect(digest.hex).toBe(hex);
    expect(digest.toString()).toBe(text);
    expect(JSON.stringify({ digest })).toBe(JSON.stringify({ digest: text }));
  });

  it('from what a hash of Node prints', () => {
    expect(Digest.sha256(createHash('sha256').digest('hex')).toString()).toBe(`sha256:${HEX64}`);
  });
});

describe('digests that are refused (C20, S19)', () => {
  it.each([
    ['', 'no algorithm'],
    [HEX64, 'no algorithm'],
    [`:${HEX64}`, 'only sha256 and sha512'],
    [`md5:${HEX64}`, 'only sha256 and sha512'],
    [`SHA256:${HEX64}`, 'only sha256 and sha512'],
    [`sha256+b64:${HEX64}`, 'only sha256 and sha512'],
    [`sha256-${HEX64}`, 'no algorithm'],
    [` sha256:${HEX64}`, 'only sha256 and sha512'],
    ['sha256:', '64 hex digits, this has 0'],
    [`sha256:${HEX64.slice(1)}`, '64 hex digits, this has 63'],
    [`sha256:${HEX64}0`, '64 hex digits, this has 65'],
    [`sha256:${HEX64}\n`, '64 hex digits, this has 65'],
    [`sha256:${HEX64.slice(1)}\n`, '0-9 and a-f, in lower case'],
    [`sha512:${HEX64}`, '128 hex digits, this has 64'],
    [`sha256:${HEX64.toUpperCase()}`, '0-9 and a-f, in lower case'],
    [`sha256:${'g'.repeat(64)}`, '0-9 and a-f, in lower case'],
    ['sha256:../../x', '64 hex digits'],
    [`sha256:${'../'.repeat(21)}x`, '0-9 and a-f, in lower case'],
  ])('%j', (text, why) => {
    expect(() => Digest.parse(text)).toThrow(expect.objectContaining({ code: 'DIGEST_MALFORMED' }));
    expect(() => Digest.parse(text)).toThrow(why);
    expect(Digest.tryParse(text)).toBeUndefined();
  });

  it('a very long one is not quoted in full', () => {
    expect(() => Digest.parse(`sha256:${'a'.repeat(10_000)}`)).toThrow(/^.{1,200}$/);
  });
});

it('two digests are equal when algorithm and hex are', () => {
  const digest = Digest.sha256(HEX64);
  expect(digest.equals(Digest.parse(`sha256:${HEX64}`))).toBe(true);
  expect(digest.equals(Digest.sha256('0'.repeat(64)))).toBe(false);
  expect(Digest.parse(`sha512:${HEX128}`).equals(digest)).toBe(false);
});

describe('the digest of bytes', () => {
  const BYTES = new TextEncoder().encode('abc');
  const SHA256 = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  const SHA512 =
    'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f';

  it('in memory, by either algorithm (FIPS 180-2, appendices B.1 and C.1)', () => {
    expect(Digest.of(BYTES).toString()).toBe(SHA256);
    expect(Digest.of(BYTES, 'sha512').toString()).toBe(SHA512);
    expect(Digest.of(new Uint8Array()).toString()).toBe(`sha256:${HEX64}`);
  });

  it('in pieces, with their number', async () => {
    async function* pieces() {
      await Promise.resolve();
      yield* [BYTES.subarray(0, 1), new Uint8Array(), BYTES.subarray(1)];
    }
    const { digest, size } = await Digest.ofPieces(pieces());
    expect([digest.toString(), size]).toEqual([SHA256, 3]);
    expect((await Digest.ofPieces(pieces(), 'sha512')).digest.toString()).toBe(SHA512);
  });
});
