import { writeFileSync } from 'node:fs';
import { describeError, unreachable } from '../../../errors.ts';
import type { Ending } from '../../../hypervisor/hypervisor.ts';
import { LocalName } from '../../../names/local-name.ts';
import { type RunEvent, runVm } from '../../../run/run.ts';
import { RunRequests } from '../../../run/run-request.ts';
import type { Arch } from '../../../vm/config.ts';
import { STARTED } from '../../session/detached-program.ts';
import { handOver } from '../../session/hand-over.ts';
import { hasDesktop, parseRunFlags, type RunFlags } from '../../session/run-settings.ts';
import type { LifeFlags } from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { type TakenSignal, takeSignals } from '../../session/signals.ts';
import { withoutErrorListeners } from '../../terminal/broken-output.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import { printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

const WINDOW_PACKAGES = 'qemu-system-gui on Debian and Ubuntu, qemu-ui-gtk on Fedora, Arch and Alpine';

/**
 * Runs a VM in the foreground, until it ends. What it prints on stdout is parsed by the programs that drive it, word by word (tart-cli §1.3), and
 * little else is printed: some keep all of it in memory, others show it to their users (run-fleet-demand §8, 12).
 */
export async function runRun(terminal: Terminal, text: string, flags: RunFlags & LifeFlags): Promise<number> {
  if (flags.detach === true) return (await import('./run-detached.ts')).runDetached(terminal, text, flags);
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
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
        const run = async (): Promise<Ending> =>
          runVm(session, LocalName.ofExisting(text), {
            settings,
            requests,
            hostArch: archOf(terminal.machine),
            pid: process.pid,
            isRoot: terminal.uid === 0,
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

/** What is asked for and not done to the letter. None of it is a reason to fail (run-fleet-demand §5.1). */
function remarks(terminal: Terminal, { graphics, vnc }: RunFlags): RunEvent[] {
  const remarked: RunEvent[] = [];
  if (graphics === true && !hasDesktop(terminal))
    remarked.push({ kind: 'no-window', reason: 'there is no desktop here' });
  if (vnc === true)
    remarked.push({
      kind: 'note',
      text: 'guests of Linux share no screen of their own: this is the VNC server of QEMU',
    });
  return remarked;
}

function ask(requests: RunRequests, signal: TakenSignal, onTerminal: boolean): void {
  switch (signal) {
    case 'SIGINT':
    case 'SIGTERM':
    case 'SIGQUIT':
      requests.ask('stop');
      return;
    case 'SIGHUP':
      // Node takes away what `nohup` said, and drivers start us by it (run-fleet-demand §8, 9).
      if (onTerminal) requests.ask('stop');
      return;
    case 'SIGUSR1':
      requests.ask('suspend');
      return;
    case 'SIGUSR2':
      requests.ask('power-button');
      return;
    default:
      unreachable(signal);
  }
}

/**
 * Lets `ps` and `pgrep` show what runs the VM by the name that it was called by, as they show Tart: else all are called `node`. The command line
 * stays as it is, `…/tart run … ID`, which drivers look for (run-fleet-demand §8, 21).
 */
function nameProcess({ platform, programName }: Terminal): void {
  if (platform !== 'linux') return;
  try {
    writeFileSync('/proc/self/comm', programName);
  } catch {
    // A name is not worth a VM.
  }
}

/** As kernels call processors. */
function archOf(machine: string): Arch | undefined {
  if (machine === 'x86_64') return 'amd64';
  return machine === 'aarch64' || machine === 'arm64' ? 'arm64' : undefined;
}

function tell({ stdout, stderr }: Terminal, event: RunEvent): void {
  switch (event.kind) {
    case 'started':
      // From here on they are a log; of a VM that does not start, the reason comes first.
      releaseNotes(stderr);
      // Where another command has started us, and is there still.
      process.send?.(STARTED, undefined, undefined, () => undefined);
      return;
    case 'stopping':
      stdout.write(printableLine('Stopping VM...'));
      return;
    case 'suspending':
      stdout.write(printableLine('Suspending VM...'));
      return;
    case 'vnc':
      stdout.write(printableLine(`VNC server is running at vnc://:${event.password}@127.0.0.1:${event.port}`));
      return;
    case 'console':
      stdout.write(printableLine(`Successfully open pty ${event.path}`));
      return;
    case 'published': {
      const { hostAddress, hostPort, guestPort, protocol } = event.forward;
      stdout.write(printableLine(`Published ${hostAddress}:${hostPort} -> ${guestPort}/${protocol}`));
      return;
    }
    case 'emulated':
      stderr.write(printableLine(`warning: the guest is emulated, which is many times slower: ${event.reason}`));
      return;
    case 'no-window':
      stderr.write(printableLine(`note: the VM runs without a window: ${withPackages(event.reason)}`));
      return;
    case 'ssh-port':
      stderr.write(
        printableLine(
          `note: SSH of the guest is at ${event.address}, port ${event.port}: port 22 is taken or not allowed here`,
        ),
      );
      return;
    case 'disk-error':
      stderr.write(printableLine(`warning: the guest stands still until its disk works again: ${event.reason}`));
      return;
    case 'note':
      stderr.write(printableLine(`note: ${event.text}`));
      return;
    default:
      unreachable(event);
  }
}

/** Where QEMU was asked for a window and has no module for that, it says so. */
function withPackages(reason: string): string {
  return reason.includes('not available') ? `${reason} (install ${WINDOW_PACKAGES})` : reason;
}

/** Tart says the same of a guest that turned itself off and of one that was turned off from outside (tart-cli §1.3). */
function tellEnding({ stdout, stderr }: Terminal, ending: Ending): number {
  switch (ending.kind) {
    case 'guest':
    case 'ended':
      stdout.write(printableLine('guest has stopped the virtual machine'));
      return 0;
    case 'suspended':
      return 0;
    case 'crashed':
      stderr.write(printableLine(`error: the VM ended by an accident: ${describeError(ending.reason)}`));
      stdout.write(printableLine(`guest has stopped the virtual machine due to error: ${ending.reason}`));
      return 1;
    default:
      return unreachable(ending);
  }
}
