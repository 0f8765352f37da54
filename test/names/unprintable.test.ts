import { describe, expect, it } from 'vitest';
import { shown } from '../../src/oci/shown.ts';
import { malformed } from '../../src/names/malformed.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { spelledOut, spelledOutByLine, UNPRINTABLE } from '../../src/names/unprintable.ts';
import { cleanText } from '../../src/registry/request/redact.ts';
import { renderJson } from '../../src/cli/render/json.ts';
import { printable } from '../../src/cli/terminal/printable.ts';

/** One of each kind, and what it is called. */
const CHARACTERS: readonly (readonly [what: string, character: string, spelled: string])[] = [
  ['the end of a C string', '\u0000', '\\u0000'],
  ['a backspace', '\u0008', '\\u0008'],
  ['escape', '\u001b', '\\u001b'],
  ['delete', '\u007f', '\\u007f'],
  ['the C1 next line', '\u0085', '\\u0085'],
  ['the C1 control sequence introducer', '\u009b', '\\u009b'],
  ['the C1 operating system command', '\u009d', '\\u009d'],
  ['a soft hyphen', '\u00ad', '\\u00ad'],
  ['an Arabic letter mark', '\u061c', '\\u061c'],
  ['a zero width space', '\u200b', '\\u200b'],
  ['a left-to-right mark', '\u200e', '\\u200e'],
  ['a right-to-left override', '\u202e', '\\u202e'],
  ['a line separator', '\u2028', '\\u2028'],
  ['a paragraph separator', '\u2029', '\\u2029'],
  ['a word joiner', '\u2060', '\\u2060'],
  ['a first strong isolate', '\u2068', '\\u2068'],
  ['a byte order mark', '\ufeff', '\\ufeff'],
  ['an interlinear annotation', '\ufff9', '\\ufff9'],
  ['a Hangul filler', '\u3164', '\\u3164'],
  ['half of a Hangul filler', '\uffa0', '\\uffa0'],
  ['a combining grapheme joiner', '\u034f', '\\u034f'],
  ['an invisible sign of music', '\u{1d173}', '\\ud834\\udd73'],
  ['a tag character', '\u{e0041}', '\\udb40\\udc41'],
  ['half of a character', '\ud800', '\\ud800'],
];

describe.each(CHARACTERS)('%s (S35)', (_what, character, spelled) => {
  it('is spelled out wherever a text of others is shown', () => {
    expect(spelledOut(`a${character}b`)).toBe(`a${spelled}b`);
    expect(spelledOutByLine(`a${character}\n${character}b`)).toBe(`a${spelled}\n${spelled}b`);
    expect(printable(`a${character}b`)).toBe(`a${spelled}b`);
    expect(shown(`a${character}b`)).toBe(`a${spelled}b`);
    expect(malformed(`a${character}b`, 1, 'no').message).toContain(`"a${spelled}b"`);
  });

  it('is in no name of a VM, and in nothing that a registry says', () => {
    expect(LocalName.tryParse(`a${character}b`)).toBeUndefined();
    expect(cleanText(`a${character}${character}b`)).toMatch(/^a b$|^a$/);
  });

  it('is in JSON only as an escape, which means the same', () => {
    const json = renderJson({ [`key${character}`]: `value${character}` });
    expect(json.replaceAll('\n', '')).not.toMatch(UNPRINTABLE);
    expect(JSON.parse(json)).toEqual({ [`key${character}`]: `value${character}` });
  });
});

it.each(['', 'macOS 15', 'naïve', '日本語', '👩‍💻', '☁️', 'می‌خواهم'])(
  '%j is shown as it is, joiners and variants included',
  (text) => {
    expect(UNPRINTABLE.test(text)).toBe(false);
    expect(printable(text)).toBe(text);
    expect(LocalName.tryParse(text === '' ? 'x' : text)?.text).toBe(text === '' ? 'x' : text);
    expect(JSON.parse(renderJson([text]))).toEqual([text]);
  },
);

it('line breaks and tabs of others become a space', () => {
  expect(printable('one\r\n\ttwo')).toBe('one two');
});
