import { expect, it } from 'vitest';
import { TartletError } from '../src/errors.ts';

it('a fact that is undefined is no fact, and stands in the way of none', () => {
  const error = new TartletError('BUSY', 'in use', { subject: 'a', kept: undefined, status: undefined });
  expect(Object.keys(error.facts)).toEqual(['subject']);
  expect(Object.entries(error.with({ subject: 'b', kept: 'all of it' }).facts)).toEqual([
    ['subject', 'a'],
    ['kept', 'all of it'],
  ]);
});
