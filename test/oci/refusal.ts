import { type ErrorCode, TartletError } from '../../src/errors.ts';

/** The error that `act` throws, as `[code, message]`; any other outcome fails the test. */
export function refusal(act: () => unknown): readonly [ErrorCode, string] {
  let outcome: unknown;
  try {
    outcome = act();
  } catch (error) {
    if (error instanceof TartletError) return [error.code, error.message];
    throw error;
  }
  throw new Error(`nothing was refused, the outcome is ${JSON.stringify(outcome)?.slice(0, 200)}`);
}
