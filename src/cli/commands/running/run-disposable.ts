import { TartletError } from '../../../errors.ts';
import { findProgram } from '../../../fs/system-program.ts';
import { cloneOnDemand } from '../../../lazy-disk/clone-on-demand.ts';
import { DisposableVm } from '../../../run/disposable.ts';
import { SSH_PORT } from '../../../run/guest-probe.ts';
import { DEFAULT_LOGIN, prepareSsh, quoteForShell } from '../../../run/ssh.ts';
import { type WaitCondition, waitForGuest } from '../../../run/wait-for.ts';
import type { Session } from '../../../session/session.ts';
import { type AttachedProgram, exitCodeOfSignal, runAttached } from '../../session/attached-program.ts';
import { wholeNote } from '../../render/on-demand.ts';
import { lazyMode } from '../../session/lazy-settings.ts';
import type { LiveRun } from '../../session/live-run.ts';
import { ourselves } from '../../session/ourselves.ts';
import type { RunFlags } from '../../session/run-settings.ts';
import { planRun, probeOf, type RunPlan } from '../../session/run-plan.ts';
import type { LifeFlags } from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { type TakenSignal, takeSignals } from '../../session/signals.ts';
import { lateError } from '../../session/waiting.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import type { Terminal } from '../../terminal/terminal.ts';
import { runWatched, startRun } from './run-awaited.ts';
import { PASSWORD_VARIABLE } from './ssh.ts';

/** So long a guest whose agent answers is given for its SSH server, in milliseconds: it begins later as a rule. */
const SSH_AFTER_AGENT_MS = 10_000;

/**
 * Runs a clone that is deleted when it has ended: until it ends by itself, or for one command, whose streams and exit
 * code are ours.
 * @param source an image, or a VM.
 */
export async function runDisposable(
  terminal: Terminal,
  source: string,
  command: readonly string[],
  flags: RunFlags & LifeFlags,
): Promise<number> {
  const plan = await planRun(terminal, flags);
  const lazy = lazyMode(terminal, flags.lazy);
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const vm = await DisposableVm.clone(session, source, async (...[on, from, name, options]) =>
      cloneOnDemand(on, from, name, { ...options, lazy, onWhole: (why) => say(wholeNote(why)) }),
    );
    try {
      terminal.signal.throwIfAborted();
      if (command.length === 0) return await runWatched(terminal, session, vm.name, plan, 'end');
      return await runCommand(terminal, session, vm, { ...plan, command });
    } finally {
      await vm.dispose();
    }
  };
  return withSession(terminal, work, { limitRate: flags.limitRate });
}

/** The command, and how it is to be run. */
interface CommandPlan extends RunPlan {
  readonly command: readonly string[];
}

async function runCommand(terminal: Terminal, session: Session, vm: DisposableVm, plan: CommandPlan): Promise<number> {
  const live = startRun(terminal, session, vm.name, plan, true);
  let received: TakenSignal | undefined;
  const onSignal = (signal: TakenSignal): void => {
    // The guest is thrown away: it is not asked.
    if (signal === 'SIGUSR1' || signal === 'SIGUSR2' || (signal === 'SIGHUP' && terminal.stdin.isTTY !== true)) return;
    received ??= signal;
    live.end();
  };
  const giveBack = takeSignals(onSignal);
  try {
    const program = await programFor(terminal, session, vm, plan, live);
    // Its own words come now, and not when all is over.
    releaseNotes(terminal.stderr);
    const exitCode = program && (await runAttached(terminal, { ...program, onSignal, over: live.over }));
    if (received !== undefined) return exitCodeOfSignal(received);
    if (exitCode !== undefined && !live.over.aborted) return exitCode;
    throw endedBefore(vm, await live.ended);
  } finally {
    giveBack();
    live.end();
    await live.ended.catch(() => undefined);
  }
}

function endedBefore({ name }: DisposableVm, exitCode: number): TartletError {
  const how = exitCode === 0 ? 'turned itself off' : 'ended by an accident';
  return new TartletError('GUEST_FAILED', `the guest of the VM "${name.text}" ${how} before the command had ended`, {
    subject: name.text,
    next: { kind: 'in-words', words: 'run it with --wait-for ssh, or without a command, and look at what it says' },
  });
}

/** @returns undefined when the VM ended before. @throws TartletError `GUEST_LATE` */
async function programFor(
  terminal: Terminal,
  session: Session,
  vm: DisposableVm,
  plan: CommandPlan,
  { over }: LiveRun,
): Promise<AttachedProgram | undefined> {
  const probe = probeOf(session, plan, vm.name);
  const hasSsh = (await findProgram(terminal.environment['PATH'] ?? '', 'ssh')) !== undefined;
  const condition: WaitCondition = plan.condition ?? { kind: hasSsh ? 'command' : 'agent' };
  const wait = async (what: WaitCondition, withinMs: number): ReturnType<typeof waitForGuest> =>
    waitForGuest(session, probe, what, { directory: vm.directory, withinMs, over });
  const outcome = await wait(condition, plan.seconds * 1000);
  if (outcome.kind === 'over') return undefined;
  if (outcome.kind === 'late')
    throw lateError(terminal, vm.name, { condition, seconds: plan.seconds, late: outcome }, undefined);
  if (condition.kind === 'agent' || !hasSsh) return byAgent(terminal, vm, plan);
  const ssh = await wait({ kind: 'ssh' }, SSH_AFTER_AGENT_MS);
  if (ssh.kind === 'over') return undefined;
  const address = ssh.kind === 'late' ? undefined : await probe.address('any');
  const door = address === undefined ? undefined : await probe.door(address, SSH_PORT);
  return door === undefined ? byAgent(terminal, vm, plan) : bySsh(terminal, vm, door, plan.command);
}

async function bySsh(
  terminal: Terminal,
  { directory }: DisposableVm,
  door: { readonly address: string; readonly port: number },
  command: readonly string[],
): Promise<AttachedProgram> {
  return prepareSsh(
    directory,
    {
      door,
      user: DEFAULT_LOGIN.user,
      password: terminal.environment[PASSWORD_VARIABLE] ?? DEFAULT_LOGIN.password,
      terminal: terminal.stdin.isTTY === true && terminal.stdout.isTTY === true,
      // The words arrive as they are, and not as a shell reads them.
      command: [command.map(quoteForShell).join(' ')],
    },
    terminal.environment,
  );
}

/** By the command `exec`, which knows all agents. */
function byAgent(terminal: Terminal, { name }: DisposableVm, { by, command }: CommandPlan): AttachedProgram {
  const argv = ['exec', name.text, ...command];
  if (by.kind === 'tart') return { file: by.tart.file, argv, environment: by.tart.environment };
  return ourselves(terminal, argv);
}
