import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/*
 * The 21 must-haves of `run` that real drivers taught (run-fleet-demand §8): each is a test whose title begins with its
 * number, so that none is lost when tests are moved or rewritten.
 */

const TESTS = path.resolve(import.meta.dirname, '..');
/** `M14: …`, or `M1, M14: …` where one test shows several. */
const TITLE = /['"`]((?:M[0-9]+, )*M[0-9]+): /g;

function numbersIn(file: string): number[] {
  const titles = readFileSync(path.join(TESTS, file), 'utf8').matchAll(TITLE);
  return Array.from(titles).flatMap(([, names = '']) => names.split(', ').map((name) => Number(name.slice(1))));
}

describe('the must-haves of run', () => {
  const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.test.ts') && path.join(TESTS, file) !== import.meta.filename,
  );
  const tested = new Set(files.flatMap(numbersIn));

  it('are all tested by name', () => {
    const all = Array.from({ length: 21 }, (_, index) => index + 1);
    expect(all.filter((number) => !tested.has(number))).toEqual([]);
  });
});
