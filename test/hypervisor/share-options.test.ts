import { describe, expect, it } from 'vitest';
import { parseShareText, sharesByTag } from '../../src/hypervisor/share-options.ts';

const TART = 'com.apple.virtio-fs.automount';

describe('M2: a directory to share, in all forms that drivers write', () => {
  it.each([
    ['/src', undefined, '/src', false, TART],
    ['/src:ro', undefined, '/src', true, TART],
    ['name:/src', 'name', '/src', false, TART],
    ['name:/src:ro', 'name', '/src', true, TART],
    ['/src:tag=T', undefined, '/src', false, 'T'],
    ['name:/src:tag=T', 'name', '/src', false, 'T'],
    ['name:/src:tag=T,ro', 'name', '/src', true, 'T'],
    ['name:/src:ro,tag=T', 'name', '/src', true, 'T'],
    ['/builds:tag=tart.virtiofs.buildsdir.12345678', undefined, '/builds', false, 'tart.virtiofs.buildsdir.12345678'],
    // Unknown options beside a known one are passed over; alone they are a part of the path.
    ['/src:ro,fast', undefined, '/src', true, TART],
    ['name:/src:fast', 'name', '/src:fast', false, TART],
    ['./a:b', undefined, './a:b', false, TART],
    ['/a:b', undefined, '/a:b', false, TART],
    ['src', undefined, 'src', false, TART],
  ])('%s', (text, name, path, readOnly, tag) => {
    expect(parseShareText(text)).toEqual({ name, source: { kind: 'path', path }, readOnly, tag });
  });

  it.each([
    ['https://example.com/a.tar.gz', undefined, 'https://example.com/a.tar.gz', false],
    ['http://example.com:8080/a.tar.gz:ro', undefined, 'http://example.com:8080/a.tar.gz', true],
    ['tools:https://example.com/a.tar.gz', 'tools', 'https://example.com/a.tar.gz', false],
    ['tools:http://example.com/a.tar.gz:ro', 'tools', 'http://example.com/a.tar.gz', true],
  ])('an archive: %s', (text, name, href, readOnly) => {
    expect(parseShareText(text)).toEqual({
      name,
      source: { kind: 'archive', url: new URL(href) },
      readOnly,
      tag: TART,
    });
  });
});

it.each([
  ['', 'names no directory'],
  ['name:', 'names no directory'],
  [':/src', 'gives a directory a name that no directory can have'],
  ['..:/src', 'gives a directory a name that no directory can have'],
  ['/src:tag=', 'a tag cannot be empty'],
  [`/src:tag=${'t'.repeat(37)}`, 'has 37 bytes, and guests read 36'],
  ['http://', 'is no usable address of an archive'],
])('"%s" is refused: it %s', (text, why) => {
  expect(() => parseShareText(text)).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(why) }),
  );
});

it.each([
  [['/a', 'b:/b'], 'need a name each'],
  [['/a', '/b'], 'need a name each'],
  [['a:/a', 'a:/b'], 'are called "a"'],
])('%j under one tag are refused', (texts, why) => {
  expect(() => sharesByTag(texts.map(parseShareText))).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(why) }),
  );
});

it('several with names share a tag, and one without has its own', () => {
  const shares = ['a:/a', 'b:/b:ro', '/c:tag=c'].map(parseShareText);
  expect([...sharesByTag(shares)].map(([tag, those]) => [tag, those.length])).toEqual([
    [TART, 2],
    ['c', 1],
  ]);
});
