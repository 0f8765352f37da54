import { LocalName } from '../../../names/local-name.ts';
import { waitForGuest } from '../../../run/wait-for.ts';
import type { Session } from '../../../session/session.ts';
import { type LiveRun, runByTart } from '../../session/live-run.ts';
import { runByUs } from '../../session/own-run.ts';
import type { RunFlags } from '../../session/run-settings.ts';
import { type LifeFlags, tartWords } from '../../session/run-words.ts';
import { planRun, probeOf, type RunPlan } from '../../session/run-plan.ts';
import { withSession } from '../../session/session.ts';
import { takeSignals } from '../../session/signals.ts';
import { lateError } from '../../session/waiting.ts';
import { printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/**
 * `run` in the foreground with `--wait-for`: a guest that does not come in time ends it, so that nothing waits for it
 * in vain.
 */
export async function runAwaited(terminal: Terminal, text: string, flags: RunFlags & LifeFlags): Promise<number> {
  const plan = await planRun(terminal, flags);
  return withSession(terminal, async (session) => runWatched(terminal, session, LocalName.ofExisting(text), plan), {
    cache: 'untouched',
  });
}

/**
 * Runs a VM until it ends, or does not do in time what it is waited for.
 * @param whenLate `end` for a guest whose disk is thrown away.
 */
export async function runWatched(
  terminal: Terminal,
  session: Session,
  name: LocalName,
  plan: RunPlan,
  whenLate: 'stop' | 'end' = 'stop',
): Promise<number> {
  const live = startRun(terminal, session, name, plan, false);
  const giveBack = takeSignals((signal) => live.signal(signal));
  try {
    const { condition, seconds } = plan;
    if (condition === undefined) return await live.ended;
    const outcome = await waitForGuest(session, probeOf(session, plan, name), condition, {
      directory: session.vms.pathOf(name),
      withinMs: seconds * 1000,
      over: live.over,
    });
    if (outcome.kind === 'late') {
      if (whenLate === 'stop') live.signal('SIGTERM');
      else live.end();
      await live.ended;
      throw lateError(terminal, name, { condition, seconds, late: outcome }, undefined);
    }
    if (outcome.kind === 'holds') terminal.stderr.write(printableLine(`note: ${name.text} is ready`));
    return await live.ended;
  } finally {
    giveBack();
  }
}

/** @param isQuiet stdout is for something else. */
export function startRun(
  terminal: Terminal,
  session: Session,
  name: LocalName,
  { by }: RunPlan,
  isQuiet: boolean,
): LiveRun {
  if (by.kind === 'tart') return runByTart(terminal, by.tart, tartWords(terminal.argv, name.text), isQuiet);
  return runByUs(terminal, session, name, by, isQuiet);
}
