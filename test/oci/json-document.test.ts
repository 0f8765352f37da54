import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonDocument } from '../../src/oci/json-document.ts';
import { json } from '../support/tart-image.ts';
import { refusal, refusalIfAny } from './refusal.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const parse = (document: Uint8Array): unknown => parseJsonDocument(document, 'manifest');

describe('a document that tools could read differently is refused', () => {
  it.each<[string, Uint8Array, string]>([
    ['a byte order mark (C17)', bytes([0xef, 0xbb, 0xbf], '{}'), 'it starts with a byte order mark'],
    ['UTF-16 with its mark', bytes([0xff, 0xfe], [0x7b, 0, 0x7d, 0]), 'it is not UTF-8 text'],
    ['UTF-16 without', bytes([0x7b, 0, 0x7d, 0]), 'it is not JSON'],
    ['an overlong encoding', bytes('{"a":"', [0xc0, 0xaf], '"}'), 'it is not UTF-8 text'],
    ['a cut-off character', bytes('{"a":"', [0xf0, 0x9f], '"}'), 'it is not UTF-8 text'],
    ['an encoded surrogate', bytes('{"a":"', [0xed, 0xa0, 0x80], '"}'), 'it is not UTF-8 text'],
    ['an escaped high surrogate', utf8(String.raw`{"a":"\ud83d"}`), 'a string in it has half of a surrogate pair'],
    ['an escaped low surrogate', utf8(String.raw`["x\uDE00"]`), 'a string in it has half of a surrogate pair'],
    ['a swapped pair', utf8(String.raw`["\ude00\ud83d"]`), 'a string in it has half of a surrogate pair'],
    ['a surrogate in a key', utf8(String.raw`{"\ud83d":1}`), 'a string in it has half of a surrogate pair'],
    ['a NUL in a string', bytes('{"a":"x', [0], '"}'), 'it is not JSON'],
    ['a NUL after the end', bytes('{}', [0]), 'it is not JSON'],
    ['text after the end', utf8('{} x'), 'it is not JSON'],
    ['two documents', utf8('{}\n{}'), 'it is not JSON'],
    ['no document', utf8(''), 'it is empty'],
    ['an open string', utf8('{"a'), 'it is not JSON'],
    ['an escape at the end', utf8('"\\'), 'it is not JSON'],
    ['a comment', utf8('{} // x'), 'it is not JSON'],
    ['NaN', utf8('{"a":NaN}'), 'it is not JSON'],
    ['a login page', utf8('\n<!DOCTYPE html><html>'), 'it is a web page, not JSON'],
    ['a key twice (C15, S17)', utf8('{"a":1,"b":2,"a":3}'), 'the key "a" appears twice in one object'],
    ['a key twice, once escaped', utf8(String.raw`{"a":1,"\u0061":2}`), 'the key "a" appears twice in one object'],
    ['a key twice, below', utf8('[{"x":{"a":1,"a":1}}]'), 'the key "a" appears twice in one object'],
    ['__proto__ twice', utf8('{"__proto__":1,"__proto__":2}'), 'the key "__proto__" appears twice in one object'],
    ['a key twice behind a value', utf8('{"a":{"a":[{"a":1}]},"a":2}'), 'the key "a" appears twice in one object'],
    [
      'a case variant (C15, S17)',
      utf8('{"layers":[],"Layers":[]}'),
      'the keys "layers" and "Layers" differ only in letter case',
    ],
    ['a long s', utf8('{"layers":[],"layerſ":[]}'), 'the keys "layers" and "layerſ" differ only in letter case'],
    ['a Kelvin sign', utf8('{"kind":1,"\u212Aind":2}'), 'the keys "kind" and "\u212Aind" differ only in letter case'],
    ['an annotation twice', utf8('{"annotations":{"a":"1","a":"2"}}'), 'the key "a" appears twice in one object'],
    [
      'variants below annotations',
      utf8('{"annotations":{"x":{"a":1,"A":2}}}'),
      'the keys "a" and "A" differ only in letter case',
    ],
    [
      'variants in a list of labels',
      utf8('{"labels":[{"a":1,"A":2}]}'),
      'the keys "a" and "A" differ only in letter case',
    ],
    [
      'variants beside annotations',
      utf8('{"annotations":{},"a":1,"A":2}'),
      'the keys "a" and "A" differ only in letter case',
    ],
  ])('%s', (_, document, why) => {
    expect(refusal(() => parse(document))).toEqual(['MANIFEST_INVALID', `the manifest cannot be read: ${why}`]);
  });

  it('a million open brackets, closed or not, and as objects (C14)', () => {
    const why = ['MANIFEST_INVALID', 'the manifest cannot be read: it is nested more than 32 levels deep'];
    expect(refusal(() => parse(utf8('['.repeat(1e6) + ']'.repeat(1e6))))).toEqual(why);
    expect(refusal(() => parse(utf8('['.repeat(1e6))))).toEqual(why);
    expect(refusal(() => parse(utf8(`${'{"a":'.repeat(1e6)}1${'}'.repeat(1e6)}`)))).toEqual(why);
  });

  it('33 levels are too many, 32 are not, and brackets in strings do not count', () => {
    expect(refusal(() => parse(utf8('['.repeat(33) + ']'.repeat(33))))[0]).toBe('MANIFEST_INVALID');
    expect(parse(utf8('['.repeat(32) + ']'.repeat(32)))).toHaveLength(1);
    expect(parse(utf8(`[${Array(40).fill('[],{}').join(',')}]`))).toHaveLength(80);
    expect(parse(json(['['.repeat(100), '\\"[['.repeat(20)]))).toEqual(['['.repeat(100), '\\"[['.repeat(20)]);
  });

  it('a key that would move the cursor is shown escaped and cut in the message', () => {
    const key = `\u001b[2J\u202e${'x'.repeat(200)}`;
    const [, message] = refusal(() => parse(utf8(`{${JSON.stringify(key)}:1,${JSON.stringify(key)}:2}`)));
    expect(message).toBe(
      `the manifest cannot be read: the key "\\u001b[2J\\u202e${'x'.repeat(75)}…" appears twice in one object`,
    );
  });
});

describe('a document with one meaning is read', () => {
  it.each<[string, unknown]>([
    ['{"annotations":{"Key":"1","key":"2"}}', { annotations: { Key: '1', key: '2' } }],
    ['{"config":{"Labels":{"A":"1","a":"2"}}}', { config: { Labels: { A: '1', a: '2' } } }],
    ['{"labels":{"A":"1","a":"2"}}', { labels: { A: '1', a: '2' } }],
    ['{"a":{"x":1},"b":{"x":2}}', { a: { x: 1 }, b: { x: 2 } }],
    ['[{"x":1},{"x":2}]', [{ x: 1 }, { x: 2 }]],
    ['{"a":"b","b":"a","c":["a","a","a"]}', { a: 'b', b: 'a', c: ['a', 'a', 'a'] }],
    [String.raw`{"a":"\ud83d\ude00 \\ud83d \" , {"}`, { a: '\u{1F600} \\ud83d " , {' }],
    [' \t\r\n{ "a" : 1 } \n', { a: 1 }],
    ['0', 0],
    ['"x"', 'x'],
    ['null', null],
  ])('%s', (text, value) => {
    expect(parse(utf8(text))).toEqual(value);
  });

  it('keys named after parts of the language change no prototype (C16)', () => {
    const value = parse(utf8('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1}'));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor', 'toString']);
  });

  it('whatever was written with unique keys comes back equal', () => {
    fc.assert(
      fc.property(values(), (value) => {
        expect(parse(json(value))).toEqual(value);
      }),
    );
  });

  it('annotations may have any keys at all', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), dictionary),
        (annotations) => {
          expect(parse(json({ annotations }))).toEqual({ annotations });
        },
      ),
    );
  });
});

describe('whatever the bytes', () => {
  it('a document is read or refused with our error, nothing else happens', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), almostJson()), (document) => {
        const [code] = refusalIfAny(() => parse(document)) ?? [];
        expect([undefined, 'MANIFEST_INVALID']).toContain(code);
      }),
      { numRuns: 1000 },
    );
  });

  it('a refused repetition is always a real one: the same pairs with other keys are read', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-zA-Z]{1,2}$/), { maxLength: 6 }), (keys) => {
        const document = utf8(`{${keys.map((key) => `"${key}":0`).join(',')}}`);
        const distinct = new Set(keys.map((key) => key.toLowerCase())).size === keys.length;
        expect(refusalIfAny(() => parse(document)) === undefined).toBe(distinct);
      }),
    );
  });
});

const dictionary = { maxKeys: 6, noNullPrototype: true };

/** Values whose keys have no letter case, so that no two of them can meet. */
function values(): fc.Arbitrary<unknown> {
  const key = fc.string({
    unit: fc.constantFrom('a', 'b', 'z', '0', '19', '_', '.', '"', '\\', '/', '\u0000', '\n', '😀', '中'),
    maxLength: 5,
  });
  return fc.letrec((again) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (number === 0 ? 0 : number)),
      fc.boolean(),
      fc.constant(null),
      fc.array(again('value'), { maxLength: 5 }),
      fc.dictionary(key, again('value'), dictionary),
    ),
  })).value;
}

/** JSON with a few characters changed: gets further than noise does. */
function almostJson(): fc.Arbitrary<Uint8Array> {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '"A"',
    '\\',
    '\\u',
    'd800',
    '1',
    'null',
    ' ',
    'é',
  );
  return fc.array(pieces, { maxLength: 30 }).map((parts) => utf8(parts.join('')));
}
