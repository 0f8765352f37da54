import { fc, test as propertyTest } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { Tag } from '../../../src/names/tag.ts';
import { tagFileName, tagOfFileName } from '../../../src/server/store/tag-file.ts';

describe('the file of a tag', () => {
  const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);

  it.each([
    ['latest', 'latest'],
    ['V1', 'v1%1'],
    ['aBcD-E', 'abcd-e%2a'],
    ['1.0-RC', '1.0-rc%30'],
    ['A'.repeat(128), `${'a'.repeat(128)}%${'f'.repeat(32)}`],
  ])('of %s is called as in every data directory before', (text, fileName) => {
    expect(tagFileName(Tag.parse(text))).toBe(fileName);
    expect(tagOfFileName(fileName)?.text).toBe(text);
  });

  propertyTest.prop([tag])('leads back to the tag and fits into a directory', (text) => {
    const fileName = tagFileName(Tag.parse(text));
    expect(tagOfFileName(fileName)?.text).toBe(text);
    expect(fileName.length).toBeLessThanOrEqual(255);
  });

  propertyTest.prop([tag, tag])('differs from that of another tag also where case is ignored', (one, other) => {
    const same = tagFileName(Tag.parse(one)).toLowerCase() === tagFileName(Tag.parse(other)).toLowerCase();
    expect(same).toBe(one === other);
  });

  it.each(['V1', 'a%', 'a%0', 'a%01', 'a%2', 'a%10', '1%1', '%1', 'a%1%1', 'a%F', '..', ''])(
    'is never called "%s"',
    (fileName) => {
      expect(tagOfFileName(fileName)).toBeUndefined();
    },
  );
});
