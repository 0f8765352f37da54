import { type ErrorCode, TartletError } from '../../src/errors.ts';

/** The code and the message of an error. */
export type Refusal = readonly [ErrorCode, string];

/** What `act` refuses with; that it refuses nothing fails the test, and so does any error that is not ours. */
export function refusal(act: () => unknown): Refusal {
  const refused = refusalIfAny(act);
  if (refused === undefined) throw new Error('nothing was refused');
  return refused;
}

/** Like {@link refusal}, with undefined when `act` returns. */
export function refusalIfAny(act: () => unknown): Refusal | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof TartletError) return [error.code, error.message];
    throw error;
  }
}

/** What the parsers of manifests say: `invalid('config is missing')`. */
export function invalid(rest: string): Refusal {
  return ['MANIFEST_INVALID', `the manifest is invalid: ${rest}`];
}
