import { describe, expect, it } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';

describe('names of local VMs (tart-cli §3.1)', () => {
  it.each([
    'sequoia',
    'debian:latest',
    'with spaces',
    '.hidden',
    '...',
    'käse-😀',
    'a\\b',
    '-dash',
    '%3A',
    'a'.repeat(255),
    'ü'.repeat(127),
  ])('"%s" is one', (text) => {
    expect(LocalName.parse(text).toString()).toBe(text);
    expect(LocalName.tryParse(text)?.text).toBe(text);
    expect(JSON.stringify([LocalName.parse(text)])).toBe(JSON.stringify([text]));
  });

  it.each([
    ['', 'it is empty'],
    ['.', 'a directory of the file system'],
    ['..', 'a directory of the file system'],
    ['a/b', 'it contains "/"'],
    ['/etc', 'it contains "/"'],
    ['a\u0000b', 'control characters'],
    ['a\nb', 'control characters'],
    ['\u001b]0;x\u0007', 'control characters'],
    ['a\u202eb', 'control characters'],
    ['a'.repeat(256), 'longer than 255 bytes'],
    ['ü'.repeat(128), 'longer than 255 bytes'],
  ])('%j is not', (text, why) => {
    expect(() => LocalName.parse(text)).toThrow(expect.objectContaining({ code: 'NAME_MALFORMED' }));
    expect(() => LocalName.parse(text)).toThrow(why);
    expect(LocalName.tryParse(text)).toBeUndefined();
  });

  it('a refused name is shown without its control characters (S35)', () => {
    expect(() => LocalName.parse('a\u001b[2Jb')).toThrow('"a\\u001b[2Jb"');
  });
});

it('two names are equal when their text is', () => {
  expect(LocalName.parse('a').equals(LocalName.parse('a'))).toBe(true);
  expect(LocalName.parse('a').equals(LocalName.parse('A'))).toBe(false);
});
