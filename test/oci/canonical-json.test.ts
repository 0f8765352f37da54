import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue } from '../../src/oci/canonical-json.ts';

const text = (value: JsonValue): string => new TextDecoder().decode(canonicalJson(value));

describe('canonical JSON, byte for byte as Tart writes it', () => {
  it('sorts keys at every level and writes no white space', () => {
    expect(text({ b: [{ z: 1, a: null }], a: true })).toBe('{"a":true,"b":[{"a":null,"z":1}]}');
  });

  it('sorts by UTF-8 bytes: an emoji comes after a full-width tilde, although its UTF-16 units are smaller', () => {
    expect(text({ '\u{1F600}': 1, '\uFF5E': 2, é: 3, z: 4, Z: 5 })).toBe(
      '{"Z":5,"z":4,"é":3,"\uFF5E":2,"\u{1F600}":1}',
    );
  });

  it('keeps byte order for keys that look like array indexes, which JavaScript would move to the front', () => {
    expect(text({ '9': 1, '10': 2, '!': 3, a: 4 })).toBe('{"!":3,"10":2,"9":1,"a":4}');
  });

  it('a shorter key comes before the key it begins', () => {
    expect(text({ ab: 1, a: 2, '': 3 })).toBe('{"":3,"a":2,"ab":1}');
  });

  it('escapes every slash, in keys and in values', () => {
    expect(text({ 'a/b': '//' })).toBe(String.raw`{"a\/b":"\/\/"}`);
  });

  it('escapes quotes, backslashes and control characters in the short form where there is one', () => {
    expect(text('"\\\b\f\n\r\t\u0000\u001f\u000b')).toBe(String.raw`"\"\\\b\f\n\r\t\u0000\u001f\u000b"`);
  });

  it('writes DEL, line separators and everything beyond ASCII as it is', () => {
    expect(text('\u007f\u2028ü\u{1F600}')).toBe('"\u007f\u2028ü\u{1F600}"');
  });

  it('leaves absent members out and keeps empty objects and lists', () => {
    expect(text({ annotations: {}, layers: [], subject: undefined })).toBe('{"annotations":{},"layers":[]}');
  });

  it('writes a map like an object', () => {
    expect(
      text(
        new Map([
          ['b', 'x'],
          ['a', 'y'],
        ]),
      ),
    ).toBe('{"a":"y","b":"x"}');
    expect(text(new Map())).toBe('{}');
  });

  it('treats __proto__ as a key like any other', () => {
    expect(text(new Map([['__proto__', 'x']]))).toBe('{"__proto__":"x"}');
  });

  it('means the same as JSON.stringify, whatever the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(text(value as JsonValue))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('writes the keys of any object in byte order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary' }), { maxLength: 12 }), (keys) => {
        const members = keys
          .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
          .map((key) => `${JSON.stringify(key).replaceAll('/', '\\/')}:0`);
        expect(text(new Map(keys.map((key) => [key, 0])))).toBe(`{${members.join(',')}}`);
      }),
    );
  });
});
