import { TartletError } from '../../errors.ts';

/** What to throw where two options were given of which one alone can hold: `USAGE`. */
export function excluding(one: string, other: string): TartletError {
  return new TartletError('USAGE', `${one} and ${other} exclude each other`, {
    next: { kind: 'in-words', words: 'choose one of them' },
  });
}
