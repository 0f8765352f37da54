import { TartletError } from '../../../errors.ts';
import { LocalName } from '../../../names/local-name.ts';
import type { RunEnding } from '../../../run/run.ts';
import { RunRequests } from '../../../run/run-request.ts';
import { excluding } from '../../session/usage-error.ts';
import { handOver } from '../../session/hand-over.ts';
import { ask, nameProcess, remarks, runHere, tell, tellEnding } from '../../session/own-run.ts';
import { parseRunFlags, type RunFlags } from '../../session/run-settings.ts';
import type { LifeFlags } from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { takeSignals } from '../../session/signals.ts';
import { withoutErrorListeners } from '../../terminal/broken-output.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/**
 * Runs a VM in the foreground, until it ends. What it prints on stdout is parsed by the programs that drive it, word by
 * word (tart-cli §1.3), and little else is printed: some keep all of it in memory, others show it to their users
 * (run-fleet-demand §8, 12).
 */
export async function runRun(
  terminal: Terminal,
  text: string,
  words: readonly string[],
  flags: RunFlags & LifeFlags,
): Promise<number> {
  const other = await otherLife(terminal, text, words, flags);
  if (other !== undefined) return other;
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  refuseCommand(words);
  const settings = parseRunFlags(terminal, flags);
  nameProcess(terminal);
  const requests = new RunRequests();
  // Before the VM counts as running: a command that sees it run may send a signal at once (run-fleet-demand §8, 7).
  const giveBack = takeSignals((signal) => ask(requests, signal, terminal.stdin.isTTY === true));
  try {
    return await withSession(
      terminal,
      async (session) => {
        for (const event of remarks(terminal, flags)) tell(terminal, event);
        const run = async (): Promise<RunEnding> =>
          runHere(terminal, {
            session,
            name: LocalName.ofExisting(text),
            settings,
            requests,
            onEvent: (event) => tell(terminal, event),
          });
        // A driver that has died reads no more; the next one stops the VM (run-fleet-demand §8, 10).
        return withoutErrorListeners(terminal.stdout, async () => tellEnding(terminal, await run()));
      },
      { cache: 'untouched' },
    );
  } finally {
    giveBack();
  }
}

/** What lives otherwise than until its VM ends; undefined for what does not. Loaded only then. */
async function otherLife(
  terminal: Terminal,
  text: string,
  words: readonly string[],
  flags: RunFlags & LifeFlags,
): Promise<number | undefined> {
  if (flags.rm === true) {
    if (flags.detach === true) throw excluding('--rm', '--detach');
    if (flags.name !== undefined) throw excluding('--rm', '--name');
    return (await import('./run-disposable.ts')).runDisposable(terminal, text, words, flags);
  }
  if (flags.lazy !== undefined) {
    refuseCommand(words);
    const { lazy, name: _, ...rest } = flags;
    const made = await (await import('./run-from-image.ts')).makeFromImage(terminal, text, { ...flags, lazy });
    return runRun(made.terminal, made.name, words, rest);
  }
  if (flags.name !== undefined) throw nameless();
  if (flags.detach === true) return (await import('./run-detached.ts')).runDetached(terminal, text, flags);
  if (flags.waitFor !== undefined) return (await import('./run-awaited.ts')).runAwaited(terminal, text, flags);
  return undefined;
}

function refuseCommand(words: readonly string[]): void {
  if (words.length === 0) return;
  throw new TartletError('USAGE', `what is to be done with "${words.join(' ')}"? Only with --rm run takes a command`, {
    next: { kind: 'in-words', words: 'run it in a running VM with exec or ssh' },
  });
}

function nameless(): TartletError {
  return new TartletError('USAGE', '--name is for the VM that --lazy makes of an image', {
    next: { kind: 'in-words', words: 'leave it out, or give --lazy and an image' },
  });
}
