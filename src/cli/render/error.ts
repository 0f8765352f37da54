import { describeError, type ErrorFacts, isTartletError, TartletError } from '../../errors.ts';
import { coloursFor, type MaybeTerminal } from './colour.ts';
import { ERROR_KINDS } from './error-kind.ts';
import { hintText } from './hint/text.ts';
import { calledBy } from '../terminal/dialect.ts';
import { joined, type Printable, printable, printed } from '../terminal/printable.ts';

/**
 * An error for people, on lines of its own: `error[CODE]: what failed and why.`, then what was kept and what to do next
 * (reliability §0.3); after wrong usage, if there is no advice, that is the usage, which the caller adds. The first
 * line says it all, because programs that drive us show only the first line of stderr that is not empty.
 *
 * @param stream where it will be written; decides about colours.
 * @param programName what we were called by: commands are named so.
 * @param environment with `TARTLET_DEBUG` set to anything, the places in the code follow.
 */
export function renderError(
  error: unknown,
  stream: MaybeTerminal,
  environment: Readonly<Record<string, string | undefined>>,
  programName = 'tartlet',
): Printable {
  const colours = coloursFor(stream, environment);
  const { code, message, facts } = asTartletError(error);
  const mark = colours.red(colours.bold(printed`error[${printable(code)}]:`));
  const lines = [printed`${mark} ${printable(sentence(message))}`];
  if (facts.kept !== undefined) lines.push(printed`${colours.bold(printed`kept:`)} ${printable(facts.kept)}`);
  if (facts.removed !== undefined) {
    lines.push(printed`${colours.bold(printed`deleted:`)} ${printable(facts.removed.join(', '))}`);
  }
  const next = nextText(facts) ?? (code === 'USAGE' ? undefined : ERROR_KINDS[code].next);
  if (next !== undefined)
    lines.push(printed`${colours.bold(printed`next:`)} ${printable(calledBy(programName, next))}`);
  if ((environment['TARTLET_DEBUG'] ?? '') !== '') lines.push(...places(error).map((line) => colours.dim(line)));
  return joined(lines.map((line) => printed`${line}\n`));
}

function nextText({ next }: ErrorFacts): string | undefined {
  return next === undefined ? undefined : hintText(next);
}

/** Whether this is what an aborted `AbortSignal` makes Node's own functions throw. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function asTartletError(error: unknown): TartletError {
  if (isTartletError(error)) return error;
  if (isAbort(error)) return new TartletError('INTERRUPTED', 'interrupted', { cause: error });
  return new TartletError('INTERNAL', `unexpected: ${describeError(error)}`, { cause: error });
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/**
 * The stacks of an error and of what caused it; only text, since fields of foreign errors may hold headers (reliability
 * S34).
 */
function places(error: unknown): Printable[] {
  const lines: Printable[] = [];
  const seen = new Set<unknown>();
  for (let each = error; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each);
    lines.push(...(each.stack ?? describeError(each)).split('\n').map((line) => printed`  ${printable(line.trim())}`));
  }
  return lines;
}
