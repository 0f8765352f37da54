import { isTartletError, TartletError } from '../../../errors.ts';
import { findTart, TART_NAME, type TartProgram } from '../../../hypervisor/tart/tart-program.ts';
import type { Forward } from '../../../hypervisor/machine.ts';
import type { LocalVm } from '../../../home/vms/local-vms.ts';
import { LocalName } from '../../../names/local-name.ts';
import { ownProbe, tartProbe } from '../../../run/guest-probe.ts';
import { waitForGuest } from '../../../run/wait-for.ts';
import type { Session } from '../../../session/session.ts';
import { DetachedProgram, untilTrue } from '../../session/detached-program.ts';
import { parseRunFlags, type RunFlags } from '../../session/run-settings.ts';
import {
  DEFAULT_TIMEOUT,
  type LifeFlags,
  parseCondition,
  requireWay,
  withoutLifeFlags,
} from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { lateError } from '../../session/waiting.ts';
import { writeError } from '../../terminal/message-stream.ts';
import { printableLine, printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/**
 * Starts a `run` that lives on in the background, and ends when its machine runs, or its guest does what is waited for. Prints the name.
 */
export async function runDetached(terminal: Terminal, text: string, flags: RunFlags & LifeFlags): Promise<number> {
  const tart = await findTart(terminal);
  // What cannot be understood is said here, and not in a log.
  const published = tart === undefined ? publishedBy(terminal, flags) : undefined;
  const condition = flags.waitFor === undefined ? undefined : parseCondition(flags.waitFor);
  if (condition !== undefined) requireWay(condition, published);
  return withSession(
    terminal,
    async (session) => {
      const name = LocalName.ofExisting(text);
      const vm = await session.vms.require(name);
      await session.vms.refuseRunning(name);
      const program = await DetachedProgram.start(commandOf(terminal, tart, vm.folder.path));
      const over = new AbortController();
      const ended = program.ended.finally(() => over.abort());
      try {
        const started = tart === undefined ? program.started : isRunning(session, vm, over.signal);
        const early = await Promise.race([ended, started]);
        if (early !== undefined) return await failed(terminal, name, early, await program.takeLog());
        await program.keepLog(vm.folder.path);
        if (condition !== undefined) {
          const probe = tart === undefined ? ownProbe(session, name, published ?? []) : tartProbe(session, tart, name);
          const seconds = flags.timeout ?? DEFAULT_TIMEOUT;
          const outcome = await waitForGuest(session, probe, condition, {
            directory: vm.folder.path,
            withinMs: seconds * 1000,
            over: over.signal,
          });
          if (outcome.kind === 'over') throw endedEarly(name, await ended);
          if (outcome.kind === 'late')
            throw lateError(terminal, name, { condition, seconds, late: outcome }, 'the VM goes on running');
        }
        terminal.stdout.write(printableLine(name.text));
        return 0;
      } catch (error) {
        throw terminal.signal.aborted ? interrupted(terminal, name) : error;
      } finally {
        program.release();
      }
    },
    { cache: 'untouched' },
  );
}

/** Undefined where every port of the guest is reached. */
function publishedBy(terminal: Terminal, flags: RunFlags): readonly Forward[] | undefined {
  const { network } = parseRunFlags(terminal, flags);
  return network.kind === 'user' ? network.published : undefined;
}

function commandOf(
  terminal: Terminal,
  tart: TartProgram | undefined,
  directory: string,
): Parameters<typeof DetachedProgram.start>[0] {
  const argv = withoutLifeFlags(terminal.argv);
  if (tart !== undefined) {
    return { file: tart.file, argv, name: TART_NAME, environment: tart.environment, directory };
  }
  return {
    file: process.execPath,
    argv: [...process.execArgv, terminal.programPath, ...argv],
    name: process.argv0,
    environment: terminal.environment,
    directory,
  };
}

/** Tart does not say that it has started a VM: it has its lock then. */
async function isRunning(session: Session, vm: LocalVm, over: AbortSignal): Promise<void> {
  await untilTrue(async () => over.aborted || (await session.vms.state(vm)) === 'running', session.signal);
}

/** Its own words are the reason, and its exit code is ours. */
async function failed(terminal: Terminal, name: LocalName, exitCode: number, words: string): Promise<number> {
  if (exitCode === 0) throw endedEarly(name, exitCode);
  const lines = words.split('\n').filter((line) => line !== '');
  writeError(terminal.stderr, printableLines(lines));
  return exitCode;
}

function endedEarly({ text }: LocalName, exitCode: number): TartletError {
  return new TartletError('GUEST_FAILED', `the VM "${text}" ended before it was ready; its exit code is ${exitCode}`, {
    subject: text,
    next: { kind: 'in-words', words: 'look into run.log and serial.log in the directory of the VM' },
  });
}

/** Who waits is told to end, and not the VM. */
function interrupted({ signal, programName }: Terminal, { text }: LocalName): unknown {
  const reason: unknown = signal.reason;
  if (!isTartletError(reason)) return reason;
  return new TartletError(reason.code, reason.message, {
    ...reason.facts,
    kept: 'the VM goes on running',
    next: { kind: 'in-words', words: `stop it: ${programName} stop ${text}` },
  });
}
