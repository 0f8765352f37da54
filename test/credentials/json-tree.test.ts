import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { isTartletError } from '../../src/errors.ts';
import { memberOf, readJsonText } from '../../src/credentials/json-text.ts';

const accepts = (text: string): boolean => {
  try {
    readJsonText(text, 'f');
    return true;
  } catch (error) {
    if (isTartletError(error, 'CONFIG_INVALID')) return false;
    throw error;
  }
};

const parses = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};

describe('agrees with JSON.parse', () => {
  test.prop([fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))])('about objects', (object) => {
    const text = JSON.stringify(object, undefined, 2);
    const root = readJsonText(text, 'f');
    for (const [key, value] of Object.entries(object)) {
      const member = memberOf(root, key)!;
      expect(JSON.parse(text.slice(member.value.start, member.value.end))).toEqual(
        JSON.parse(JSON.stringify(value) ?? 'null'),
      );
    }
  });

  test.prop(
    [
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
      fc.nat(),
      fc.constantFrom(...Array.from('{}[]",:01-.e\\ \nx')),
    ],
    {
      numRuns: 1000,
    },
  )('about objects with one character changed', (object, at, character) => {
    const text = JSON.stringify(object);
    const index = at % text.length;
    for (const changed of [
      text.slice(0, index) + character + text.slice(index + 1),
      text.slice(0, index) + character + text.slice(index),
      text.slice(0, index),
    ]) {
      expect({ changed, accepted: accepts(changed) }).toEqual({ changed, accepted: parses(changed) });
    }
  });
});

it.each([
  ['{"auths": {"h": {"auth": "canary"} "x"', 'line 1, column 36'],
  ['{\n\t"auths": {\n\t\tcanary', 'line 3, column 3'],
  ['{\n  "auths": {},\n}', 'line 3, column 1'],
  ['{"a": "canary', 'line 1, column 7'],
  ['{"a": canary}', 'line 1, column 7'],
  ['{"a": 01}', 'line 1, column 7'],
  ['canary', 'line 1, column 1'],
  ['[]', 'line 1, column 1'],
  ['{} canary', 'line 1, column 4'],
  ['{"a": 1', 'line 1, column 8'],
])('%j: the fault is in %s', (text, place) => {
  const read = (): unknown => readJsonText(text, '/home/u/.docker/config.json');
  expect(read).toThrow(`/home/u/.docker/config.json is not valid JSON: ${place}`);
  expect(read).not.toThrow(/canary/);
});

it('a million brackets are refused, not walked', () => {
  expect(() => readJsonText(`{"a":${'['.repeat(1_000_000)}`, 'f')).toThrow('nested more than 32 levels');
});
