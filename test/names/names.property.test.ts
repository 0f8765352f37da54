import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { Digest } from '../../src/names/digest.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Repository } from '../../src/names/repository.ts';
import { Tag } from '../../src/names/tag.ts';

const letters = fc.stringMatching(/^[A-Za-z0-9]{1,8}$/);
const label = fc.stringMatching(/^[A-Za-z0-9]{1,6}(-[A-Za-z0-9]{1,6}){0,2}$/);
const domain = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
  // What ends in a number is an IPv4 address or nothing, and not every Punycode stands for something.
  .filter((text) => URL.canParse(`https://${text}/`));
const host = fc.oneof(
  domain,
  fc.ipV4(),
  fc.ipV6().map((literal) => `[${literal}]`),
);
const port = fc.integer({ min: 1, max: 65_535 });
const address = fc
  .tuple(host, fc.option(port, { nil: undefined }))
  .map(([where, number]) => (number === undefined ? where : `${where}:${number}`));

const separator = fc.constantFrom('.', '_', '__', '-', '--', '---');
const part = fc.oneof(
  fc
    .tuple(letters, fc.array(fc.tuple(separator, letters), { maxLength: 3 }), fc.constantFrom('', '', '.', '_', '-'))
    .map(([first, rest, last]) => first + rest.map(([between, word]) => between + word).join('') + last),
  fc.constantFrom('a'.repeat(255), `${'A'.repeat(126)}__${'9'.repeat(127)}`, 'a__b', 'UPPER'),
);
const repository = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const tag = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/), fc.constant('t'.repeat(255)));
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const suffix = fc.oneof(
  fc.constant(''),
  tag.map((text) => `:${text}`),
  digest.map((hex) => `@sha256:${hex}`),
  fc.tuple(tag, digest).map(([text, hex]) => `:${text}@sha256:${hex}`),
);

/** Texts near the border: the alphabet of names, their separators and a few strangers, in any order. */
const nearlyName = fc
  .array(
    fc.constantFrom(
      ...Array.from('aB0._-/:@[]%\n é😀\ud800'),
      '__',
      '::1',
      'sha256:',
      'https://',
      'ghcr.io',
      'localhost:5000',
      'xn--',
      'a'.repeat(64),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => pieces.join(''));

describe('any legal name', () => {
  it.prop([address, repository, suffix])(
    'keeps every part, and its canonical form reads back as itself',
    (...parts) => {
      const [where, path, reference] = parts;
      const name = RemoteName.parse(`${where}/${path}${reference}`);
      expect(name.registry.equals(RegistryAddress.parse(where))).toBe(true);
      expect(name.repository.text).toBe(path);
      expect(name.toString()).toBe(`${name.registry.toString()}/${path}${reference === '' ? ':latest' : reference}`);
      const again = RemoteName.parse(name.toString());
      expect(again.toString()).toBe(name.toString());
      expect(again.reference).toEqual(name.reference);
    },
  );

  it.prop([address])('has an address whose canonical form is a fixed point and keeps the port', (text) => {
    const parsed = RegistryAddress.parse(text);
    expect(RegistryAddress.parse(parsed.toString()).equals(parsed)).toBe(true);
    expect(parsed.toString()).toBe(parsed.toString().toLowerCase());
    expect(parsed.port).toBe(/:\d+$/.test(text.replace(/^\[.*\]/, '')) ? Number(/\d+$/.exec(text)?.[0]) : undefined);
  });

  it.prop([address, repository, tag, digest])('can be rebuilt from its parts', (where, path, word, hex) => {
    const registry = RegistryAddress.parse(where);
    const tagged = RemoteName.of(registry, Repository.parse(path), { tag: Tag.parse(word) });
    expect([tagged.repository.text, tagged.tag?.text, tagged.digest]).toEqual([path, word, undefined]);
    const pinned = tagged.withDigest(Digest.sha256(hex));
    expect([pinned.repository.text, pinned.tag?.text, pinned.digest?.hex]).toEqual([path, undefined, hex]);
  });
});

it('every port from 1 to 65535 survives, and no other number does', () => {
  for (let number = 1; number <= 65_535; number += 1) {
    if (RegistryAddress.parse(`h:${number}`).toString() !== `h:${number}`) throw new Error(`port ${number} was lost`);
  }
  expect(RegistryAddress.tryParse('h:0')).toBeUndefined();
  expect(RegistryAddress.tryParse('h:65536')).toBeUndefined();
});

describe('any text at all', () => {
  it.prop([fc.oneof(fc.string({ unit: 'binary' }), nearlyName)], { numRuns: 1000 })(
    'is a name, or is refused with a position inside it',
    (text) => {
      let name: RemoteName;
      try {
        name = RemoteName.parse(text);
      } catch (error) {
        expect(error).toBeInstanceOf(TartletError);
        const { code, facts, message } = error as TartletError;
        expect(code).toBe('NAME_MALFORMED');
        expect(facts.position).toBeGreaterThanOrEqual(1);
        expect(facts.position).toBeLessThanOrEqual(text.length + 1);
        expect(message).not.toMatch(/\p{Cc}/u);
        return;
      }
      expect(RemoteName.parse(name.toString()).toString()).toBe(name.toString());
      expect(name.toString()).toMatch(/^[\w.:@/[\]-]+$/);
      expect(name.toString()).not.toMatch(/\/\.\.?(\/|$)/);
    },
  );

  it.prop([fc.oneof(fc.string({ unit: 'binary' }), nearlyName)])('is an address, or refused as one', (text) => {
    try {
      const parsed = RegistryAddress.parse(text);
      expect(RegistryAddress.parse(parsed.toString()).equals(parsed)).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ code: 'NAME_MALFORMED' });
    }
  });

  it.prop([fc.oneof(fc.string({ unit: 'binary' }), nearlyName)])('is a local name, or refused as one', (text) => {
    const name = LocalName.tryParse(text);
    if (name === undefined) {
      expect(() => LocalName.parse(text)).toThrow(expect.objectContaining({ code: 'NAME_MALFORMED' }));
    } else {
      expect(name.toString()).toBe(text);
      expect(text).not.toContain('/');
    }
  });
});

describe('hostile texts take linear time', () => {
  /** Thousands of characters that a backtracking parser would try in every grouping, and one that spoils them all. */
  const HOSTILE: readonly (readonly [string, (length: number) => string])[] = [
    ['letters in a host', (length) => `${'a'.repeat(length)}!/x`],
    ['labels in a host', (length) => `${'a.'.repeat(length / 2)}!/x`],
    ['dashes in a host', (length) => `${'a-'.repeat(length / 2)}!/x`],
    ['digits in a port', (length) => `h:${'1'.repeat(length)}!/x`],
    ['colons in brackets', (length) => `[${':'.repeat(length)}!/x`],
    ['letters in a repository', (length) => `h/${'a'.repeat(length)}!`],
    ['parts of a repository', (length) => `h/${'a/'.repeat(length / 2)}!`],
    ['dashes in a repository', (length) => `h/a${'-'.repeat(length)}!`],
    ['separators in a repository', (length) => `h/${'a-'.repeat(length / 2)}!`],
    ['letters in a tag', (length) => `h/x:${'a'.repeat(length)}!`],
    ['hex in a digest', (length) => `h/x@sha256:${'a'.repeat(length)}!`],
    ['colons before an at sign', (length) => `${':'.repeat(length)}@/x`],
    ['at signs', (length) => `h/${'@'.repeat(length)}`],
  ];

  it.each(HOSTILE)(
    '%s',
    (_, make) => {
      // 4,000 characters a thousand times: milliseconds when linear, hours when quadratic in the wrong place.
      const text = make(4000);
      const registry = text.slice(0, text.indexOf('/'));
      for (let round = 0; round < 1000; round += 1) {
        if (RemoteName.tryParse(text) !== undefined) throw new Error('accepted');
        if (RegistryAddress.tryParse(`${registry}!`) !== undefined) throw new Error('accepted');
      }
    },
    10_000,
  );
});
