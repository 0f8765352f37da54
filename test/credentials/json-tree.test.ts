import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { isTartletError } from '../../src/errors.ts';
import { readJsonTree } from '../../src/credentials/json-tree.ts';

const accepts = (text: string): boolean => {
  try {
    readJsonTree(text, 'f');
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
  it.prop([fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))])('about objects', (object) => {
    const text = JSON.stringify(object, undefined, 2);
    const members = (readJsonTree(text, 'f').children ?? []).map((member) => {
      const [key, value] = member.children ?? [];
      const parsed: unknown = JSON.parse(text.slice(value!.offset, value!.offset + value!.length));
      return [key?.value as unknown, parsed];
    });
    expect(members).toEqual(Object.entries(JSON.parse(text) as object));
  });

  it.prop(
    [
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
      fc.nat(),
      fc.constantFrom(...Array.from('{}[]",:01-.e\\ \nx/*\u00A0\uFEFF')),
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
  ['{"auths": {"h": {"auth": "canary"} "x"', 'line 1, column 36: comma expected'],
  ['{\n\t"auths": {\n\t\tcanary', 'line 3, column 3: invalid symbol'],
  ['{\r\n  "auths": {},\r\n}', 'line 3, column 1: property name expected'],
  ['{"a": "canary', 'line 1, column 7: unexpected end of string'],
  ['{"a": canary}', 'line 1, column 7: invalid symbol'],
  ['{"a": 01}', 'line 1, column 8: comma expected'],
  ['canary', 'line 1, column 1: invalid symbol'],
  ['\n[]', 'line 2, column 1: an object was expected'],
  ['{} canary', 'line 1, column 4: invalid symbol'],
  ['{"a": 1', 'line 1, column 8: close brace expected (the file ends there)'],
  ['{"a": 1} // canary', 'line 1, column 10: invalid comment token'],
])('%j: the fault is in %s', (text, place) => {
  const read = (): unknown => readJsonTree(text, '/home/u/.docker/config.json');
  expect(read).toThrow(`/home/u/.docker/config.json is not valid JSON: ${place}`);
  expect(read).not.toThrow(/canary/);
});

it.each(['[', '{"a":'])('a million levels of %j are refused, not walked', (opening) => {
  expect(() => readJsonTree(`{"a":${opening.repeat(1_000_000)}`, 'f')).toThrow('nested too deep');
  expect(() => readJsonTree(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'f')).toThrow('nested too deep');
});
