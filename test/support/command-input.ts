import { spawn } from 'node:child_process';
import { secretsIn } from './canary.ts';
import { COMMAND, type Ran, type Workplace } from './real-command.ts';

/** Nothing here takes a fraction of this, in milliseconds. */
const TOO_LONG_MS = 60_000;

export interface InputOptions {
  /** Variables beside those of the workplace. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs the command with a text on its stdin. */
export async function runWithInput(
  workplace: Workplace,
  input: string | Uint8Array,
  args: readonly string[],
  { environment = {} }: InputOptions = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { ...workplace.environment, ...environment },
    timeout: TOO_LONG_MS,
  });
  const ran = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ran.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ran.stderr += text;
  });
  child.stdin.on('error', () => undefined); // Commands that want no input end before they have read it.
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const typed = args.includes('--password-stdin') ? String(input) : undefined;
      const told = secretsIn(`${ran.stdout}${ran.stderr}`, { ...workplace.environment, ...environment }, typed);
      if (told.length > 0) reject(new Error(`${args.join(' ')} told ${told.join(', ')}`));
      else resolve({ exitCode: code ?? undefined, ...ran });
    });
  });
}

/** What somebody does at a terminal: waits until a text is shown, then types, or does something elsewhere. */
export type Step = readonly [shown: string, typed: string | (() => void)];

/**
 * Runs a shell script on a pseudo terminal of `script` (util-linux), with `$TARTLET` as the command, and types.
 * @returns everything that was shown, echo included.
 */
export async function runOnTerminal(
  workplace: Workplace,
  shellScript: string,
  steps: readonly Step[],
): Promise<{ readonly exitCode: number | undefined; readonly screen: string }> {
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', shellScript, '/dev/null'], {
    env: { ...workplace.environment, SHELL: '/bin/sh', TERM: 'xterm', TARTLET: `${process.execPath} ${COMMAND}` },
    timeout: TOO_LONG_MS,
  });
  let screen = '';
  let read = 0;
  const left = [...steps];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    const [shown, typed] = left[0] ?? [undefined, ''];
    const at = shown === undefined ? -1 : screen.indexOf(shown, read);
    if (shown === undefined || at < 0) return;
    read = at + shown.length;
    left.shift();
    if (typeof typed === 'string') child.stdin.write(typed);
    else typed();
  });
  child.stdin.on('error', () => undefined);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ exitCode: code ?? undefined, screen }));
  });
}
