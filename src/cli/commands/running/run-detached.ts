import { isTartletError, TartletError } from '../../../errors.ts';
import { TART_NAME } from '../../../hypervisor/tart/tart-program.ts';
import { readRunRecord } from '../../../home/vms/run-record.ts';
import type { LocalVm } from '../../../home/vms/local-vms.ts';
import { LocalName } from '../../../names/local-name.ts';
import { waitForGuest } from '../../../run/wait-for.ts';
import type { Session } from '../../../session/session.ts';
import { DetachedProgram, untilTrue } from '../../session/detached-program.ts';
import { ourselves } from '../../session/ourselves.ts';
import { planRun, probeOf, type RunPlan } from '../../session/run-plan.ts';
import type { RunFlags } from '../../session/run-settings.ts';
import { type LifeFlags, withoutLifeFlags } from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { lateError } from '../../session/waiting.ts';
import { writeError } from '../../terminal/message-stream.ts';
import { printableLine, printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/**
 * Starts a `run` that lives on in the background, and ends when its machine runs, or its guest does what is waited for.
 * Prints the name.
 */
export async function runDetached(terminal: Terminal, text: string, flags: RunFlags & LifeFlags): Promise<number> {
  // What cannot be understood is said here, and not in a log.
  const plan = await planRun(terminal, flags);
  const { condition, seconds } = plan;
  return withSession(
    terminal,
    async (session) => {
      const name = LocalName.ofExisting(text);
      const vm = await session.vms.require(name);
      await session.vms.refuseRunning(name);
      const program = await DetachedProgram.start(commandOf(terminal, plan, vm.directory.path));
      const over = new AbortController();
      const ended = program.ended.finally(() => over.abort());
      try {
        const started = plan.by.kind === 'us' ? program.started : isRunning(session, vm, over.signal);
        const early = await Promise.race([ended, started]);
        if (early !== undefined) return await failed(terminal, name, early, await program.takeLog());
        await program.keepLog(vm.directory.path);
        await tellPorts(terminal, vm.directory.path, plan);
        if (condition !== undefined) {
          const outcome = await waitForGuest(session, probeOf(session, plan, name), condition, {
            directory: vm.directory.path,
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

function commandOf(
  terminal: Terminal,
  { by }: RunPlan,
  directory: string,
): Parameters<typeof DetachedProgram.start>[0] {
  const argv = withoutLifeFlags(terminal.argv);
  if (by.kind === 'tart') {
    return { file: by.tart.file, argv, name: TART_NAME, environment: by.tart.environment, directory };
  }
  return { ...ourselves(terminal, argv), directory };
}

/** Those that free ones were asked for: what the `run` itself says of them is in its log. */
async function tellPorts({ stderr }: Terminal, directory: string, { by }: RunPlan): Promise<void> {
  if (by.kind === 'tart' || by.settings.network.kind !== 'user') return;
  const asked = by.settings.network.published.filter(({ hostPort, protocol }) => hostPort === 0 && protocol === 'tcp');
  const network = (await readRunRecord(directory))?.network;
  if (network?.kind !== 'user') return;
  for (const { hostAddress, hostPort, guestPort } of network.published) {
    if (asked.some((each) => each.guestPort === guestPort))
      stderr.write(printableLine(`note: published ${hostAddress}:${hostPort} -> ${guestPort}/tcp`));
  }
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

/** The waiting command is told to end, and not the VM. */
function interrupted({ signal, programName }: Terminal, { text }: LocalName): unknown {
  const reason: unknown = signal.reason;
  if (!isTartletError(reason)) return reason;
  return new TartletError(reason.code, reason.message, {
    ...reason.facts,
    kept: 'the VM goes on running',
    next: { kind: 'in-words', words: `stop it: ${programName} stop ${text}` },
  });
}
