import { describe, expect, it } from 'vitest';
import { Repository } from '../../src/names/repository.ts';

const LONG = `${'a'.repeat(200)}/${'b'.repeat(200)}`;

describe('a repository, as Tart takes it', () => {
  it.each(['a', 'org/macos-base', 'UPPER/Case', 'a__b', 'a--b', 'a.', '9/8/7', LONG])('takes %s', (text) => {
    const repository = Repository.parse(text);
    expect(repository.text).toBe(text);
    expect(JSON.stringify({ repository })).toBe(`{"repository":"${text}"}`);
    expect(repository.equals(Repository.parse(text))).toBe(true);
    expect(repository.equals(Repository.parse('another'))).toBe(false);
  });

  it.each([
    ['', 1],
    ['/a', 1],
    ['a/', 3],
    ['a//b', 3],
    ['..', 1],
    ['../a', 1],
    ['a/../b', 3],
    ['a/.b', 3],
    ['_catalog', 1],
    ['a:b', 2],
    ['a@sha256:00', 2],
    ['a\\b', 2],
    ['a%2fb', 2],
    ['a\u0000b', 2],
    ['ä', 1],
    ['a'.repeat(256), 256],
  ])('refuses %j, which is wrong at character %d', (text, position) => {
    expect(() => Repository.parse(text)).toThrow(
      expect.objectContaining({
        code: 'NAME_MALFORMED',
        facts: expect.objectContaining({ position }) as unknown,
      }),
    );
    expect(Repository.tryParse(text)).toBeUndefined();
    expect(Repository.tryParseBySpec(text)).toBeUndefined();
  });

  it('shows the whole of what was typed, and counts the position in it', () => {
    expect(() => Repository.parse('a b', 'host/a b:1', 5)).toThrow(/^"host\/a b:1" is not .* \(at character 7\)$/);
  });
});

describe('a repository by the distribution specification', () => {
  it.each(['a', 'org/macos-base', 'a__b', 'a--b', 'a.b_c', '9/8/7'])('takes %s', (text) => {
    expect(Repository.tryParseBySpec(text)?.text).toBe(text);
  });

  it.each(['Upper', 'a.', 'a-', 'a/b_', LONG])('refuses %s, which Tart takes', (text) => {
    expect(Repository.tryParse(text)?.text).toBe(text);
    expect(Repository.tryParseBySpec(text)).toBeUndefined();
  });
});
