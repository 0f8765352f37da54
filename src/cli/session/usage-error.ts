import { TartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';

/** What to throw where two options were given of which one alone can hold: `USAGE`. */
export function excluding(one: string, other: string): TartletError {
  return new TartletError('USAGE', `${one} and ${other} exclude each other`, {
    next: { kind: 'in-words', words: 'choose one of them' },
  });
}

/**
 * A name for something new. Tart treats a bad one as wrong usage, not as a failure (tart-cli §1.2).
 * @throws TartletError `USAGE`
 */
export function newLocalName(text: string): LocalName {
  try {
    return LocalName.parse(text);
  } catch (cause) {
    if (cause instanceof TartletError) throw new TartletError('USAGE', cause.message, { ...cause.facts, cause });
    throw cause;
  }
}
