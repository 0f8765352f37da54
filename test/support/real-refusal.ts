import { expect } from 'vitest';
import type { Workplace } from './real-command.ts';

/** What a user must be told when something is refused. */
export interface Refusal {
  /** The word in `error[…]`. */
  readonly code: string;
  /** Default 1. */
  readonly exitCode?: 1 | 2;
  /** What the one line must name: the thing, and why. */
  readonly says: readonly string[];
  /** A part of the next step. */
  readonly next: string;
  /** What may be left behind: nothing at all (default), or a staging directory in which the next pull continues. */
  readonly leaves?: 'nothing' | 'staging';
}

/**
 * Runs a command that must be refused: by its exit code, one line that names the thing, a next step, nothing on stdout,
 * and nothing changed in the home.
 */
export async function expectRefusal(
  workplace: Workplace,
  args: readonly string[],
  refusal: Refusal,
): Promise<{ readonly stderr: string }> {
  const state = (): string[] => (refusal.leaves === 'staging' ? workplace.visibleFiles() : workplace.snapshot());
  const before = state();
  const { exitCode, stdout, stderr } = await workplace.run(...args);

  expect(exitCode, stderr).toBe(refusal.exitCode ?? 1);
  // After some seconds there are lines of progress, each with the name in front.
  expect(stdout).toMatch(/^(?:\S+: [^\n]*\n)*$/);
  const line = stderr.split('\n').find((each) => each.startsWith('error['));
  expect(line, stderr).toMatch(new RegExp(`^error\\[${refusal.code}\\]: `));
  for (const part of refusal.says) expect(line).toContain(part);
  expect(stderr.split('\n').find((each) => each.startsWith('next: '))).toContain(refusal.next);
  expect(state()).toEqual(before);
  return { stderr };
}
