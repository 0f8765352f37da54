import { expect, it } from 'vitest';
import { Tag } from '../../src/names/tag.ts';

it.each(['latest', '15.1', 'V1', '_', 'a-', '1', 't'.repeat(128)])('%s is a tag', (text) => {
  const tag = Tag.parse(text);
  expect(tag.text).toBe(text);
  expect(JSON.stringify({ tag })).toBe(`{"tag":"${text}"}`);
  expect(Tag.tryParseBySpec(text)?.equals(tag)).toBe(true);
});

it.each([
  ['', 1],
  ['.', 1],
  ['..', 1],
  ['-a', 1],
  ['a/b', 2],
  ['a:b', 2],
  ['sha256:00', 7],
  ['a b', 2],
  ['a\n', 2],
  ['é', 1],
  ['t'.repeat(256), 256],
])('%j is none: wrong at character %d', (text, position) => {
  expect(() => Tag.parse(text)).toThrow(
    expect.objectContaining({ code: 'NAME_MALFORMED', facts: expect.objectContaining({ position }) as unknown }),
  );
  expect(Tag.tryParse(text)).toBeUndefined();
  expect(Tag.tryParseBySpec(text)).toBeUndefined();
});

it('a tag of more than 128 characters is one of a cache, but none of a registry', () => {
  expect(Tag.tryParse('t'.repeat(129))?.text).toBe('t'.repeat(129));
  expect(Tag.tryParseBySpec('t'.repeat(129))).toBeUndefined();
});

it('two spellings that differ in case are two tags', () => {
  expect(Tag.parse('V1').equals(Tag.parse('v1'))).toBe(false);
});
