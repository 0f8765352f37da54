import { writeFileSync } from 'node:fs';
import { describeError, unreachable } from '../../errors.ts';
import type { LocalName } from '../../names/local-name.ts';
import { type RunEnding, runVm } from '../../run/run.ts';
import { type RunEvent, RunRequests } from '../../run/run-request.ts';
import type { RunSettings } from '../../run/run-settings.ts';
import type { Session } from '../../session/session.ts';
import { archOfMachine } from '../../vm/arch.ts';
import { arrivesNote, rateNote } from '../render/on-demand.ts';
import { calledBy } from '../terminal/dialect.ts';
import { type MessageStream, releaseNotes, writeError, writeLast } from '../terminal/message-stream.ts';
import { type Printable, printableLine, printableLines } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { STARTED } from './detached-program.ts';
import { type LiveRun, watched } from './live-run.ts';
import { hasDesktop, type RunFlags } from './run-settings.ts';
import type { TakenSignal } from './signals.ts';

const WINDOW_PACKAGES = 'qemu-system-gui on Debian and Ubuntu, qemu-ui-gtk on Fedora, Arch and Alpine';

/** A VM that this process is to run. */
export interface OwnRun {
  readonly session: Session;
  readonly name: LocalName;
  readonly settings: RunSettings;
  readonly requests: RunRequests;
  readonly onEvent: (event: RunEvent) => void;
}

/** Runs a VM in this process. */
export async function runHere(terminal: Terminal, { session, name, ...options }: OwnRun): Promise<RunEnding> {
  return runVm(session, name, {
    ...options,
    hostArch: archOfMachine(terminal.machine),
    pid: process.pid,
    isRoot: terminal.uid === 0,
    // Loaded only where a disk has still to arrive.
    openArrival: async (vm, onEvent) =>
      (await import('../../lazy-disk/open-arrival.ts')).openArrival(session, vm, onEvent),
  });
}

/** What is asked for and not done to the letter. None of it is a reason to fail (run-fleet-demand §5.1). */
export function remarks(terminal: Terminal, { graphics, vnc }: RunFlags): RunEvent[] {
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

/** Runs a VM beside something else. @param isQuiet stdout is for something else. */
export function runByUs(
  terminal: Terminal,
  session: Session,
  name: LocalName,
  { settings, remarked }: { readonly settings: RunSettings; readonly remarked: readonly RunEvent[] },
  isQuiet: boolean,
): LiveRun {
  nameProcess(terminal);
  const requests = new RunRequests();
  const shown: Outlets = isQuiet
    ? { stdout: terminal.stderr, stderr: terminal.stderr, programName: terminal.programName }
    : terminal;
  const run = async (): Promise<number> => {
    const onEvent = (event: RunEvent): void => {
      if (!isQuiet || event.kind !== 'stopping') tell(shown, event);
    };
    for (const event of remarked) tell(shown, event);
    const ending = await runHere(terminal, { session, name, settings, requests, onEvent });
    return isQuiet && ending.kind !== 'crashed' ? 0 : tellEnding(shown, ending);
  };
  return {
    ...watched(run()),
    signal: (signal) => ask(requests, signal, terminal.stdin.isTTY === true),
    end: () => {
      for (const request of ['stop', 'stop'] as const) requests.ask(request);
    },
  };
}

/** Where a run tells what it does. */
interface Outlets {
  readonly stdout: { write(text: Printable): unknown };
  readonly stderr: MessageStream;
  /** What we were called by. */
  readonly programName: string;
}

/** What a `run` makes of a signal. */
export function ask(requests: RunRequests, signal: TakenSignal, onTerminal: boolean): void {
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
 * Lets `ps` and `pgrep` show what runs the VM by the name that it was called by, as they show Tart: else all are called
 * `node`. The command line stays as it is, `…/tart run … ID`, which drivers look for (run-fleet-demand §8, 21).
 */
export function nameProcess({ platform, programName }: Terminal): void {
  if (platform !== 'linux') return;
  try {
    writeFileSync('/proc/self/comm', programName);
  } catch {
    // A name is not worth a VM.
  }
}

function wordsOfShare({ kind, tag }: Extract<RunEvent, { kind: 'shared' | 'share-ended' }>): string {
  if (kind === 'shared') return `note: in the guest: mount -t virtiofs ${tag} DIRECTORY`;
  return `warning: the directories of the tag ${tag} do not answer the guest any more: virtiofsd has ended`;
}

function wordsOfSshPort({ address, port }: Extract<RunEvent, { kind: 'ssh-port' }>): string {
  return `note: SSH of the guest is at ${address}, port ${port}: port 22 is taken or not allowed here`;
}

function wordsOfDiskError({ reason, isFull, file }: Extract<RunEvent, { kind: 'disk-error' }>): string {
  if (!isFull) return `warning: the guest stands still until its disk works again: ${reason}`;
  const place = file === undefined ? 'for that disk' : `where ${file} lies`;
  const why = `there is no room for what it writes (${reason})`;
  return `warning: the guest stands still, ${why}: free some space ${place}, and it goes on by itself`;
}

/** What drivers and people are told of a run. */
export function tell(outlets: Outlets, event: RunEvent): void {
  const { stdout, stderr } = outlets;
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
      tellEmulated(outlets, event.reason);
      return;
    case 'no-window':
      stderr.write(printableLine(`note: the VM runs without a window: ${withPackages(event.reason)}`));
      return;
    case 'ssh-port':
      stderr.write(printableLine(wordsOfSshPort(event)));
      return;
    case 'disk-error':
      stderr.write(printableLine(wordsOfDiskError(event)));
      return;
    case 'card-kept':
      stderr.write(printableLine(wordsOfCard(event)));
      return;
    case 'shared':
    case 'share-ended':
      stderr.write(printableLine(wordsOfShare(event)));
      return;
    case 'disk-arrives':
      stderr.write(printableLine(arrivesNote(event)));
      return;
    case 'disk-rate':
      stderr.write(printableLine(rateNote(event)));
      return;
    case 'disk-waits':
      // A guest that has not begun waits as long as it takes: it does not fail because of that.
      releaseNotes(stderr);
      stderr.write(printableLine(`note: ${event.text}`));
      return;
    case 'note':
      stderr.write(printableLine(`note: ${event.text}`));
      return;
    default:
      unreachable(event);
  }
}

/**
 * In a file or a pipe it comes last: drivers would give it as the reason of whatever fails (run-fleet-demand §8, 11).
 */
function tellEmulated({ stderr, programName }: Outlets, reason: string): void {
  const hint = calledBy(programName, 'tartlet doctor --host says what helps');
  const line = `warning: the guest is emulated, which is many times slower: ${reason}; ${hint}`;
  writeLast(stderr, printableLine(line));
}

function wordsOfCard({ connected, reason }: Extract<RunEvent, { readonly kind: 'card-kept' }>): string {
  return connected
    ? `note: the guest keeps the MAC address of the VM that it was cloned from: ${reason}`
    : 'warning: the guest has no network, since its MAC address would be that of the VM that it was cloned ' +
        `from: ${reason}`;
}

/** Where QEMU was asked for a window and has no module for that, it says so. */
function withPackages(reason: string): string {
  return reason.includes('not available') ? `${reason} (install ${WINDOW_PACKAGES})` : reason;
}

/** Tart says the same of a guest that turned itself off and of one that was turned off from outside (tart-cli §1.3). */
export function tellEnding({ stdout, stderr }: Outlets, ending: RunEnding): number {
  switch (ending.kind) {
    case 'guest':
    case 'ended':
      stdout.write(printableLine('guest has stopped the virtual machine'));
      return 0;
    case 'suspended':
      return 0;
    case 'crashed':
      writeError(stderr, printableLine(`error: the VM ended by an accident: ${describeError(ending.reason)}`));
      if (ending.console.length > 0) stderr.write(printableLines(['the guest said last:', ...ending.console]));
      stdout.write(printableLine(`guest has stopped the virtual machine due to error: ${ending.reason}`));
      return 1;
    default:
      return unreachable(ending);
  }
}
