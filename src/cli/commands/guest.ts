import { TartletError, unreachable } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import type { Session } from '../../session/session.ts';
import { notRunning } from '../../vm/stop.ts';
import { handOver } from '../session/hand-over.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Commands that need the program which runs the VM, or are that program. */
export type GuestCommand = 'run' | 'suspend' | 'ip' | 'exec';

/**
 * Hands over to Tart on a Mac. Elsewhere it fails as Tart would for a VM that is missing or in the wrong state, and otherwise says that this comes
 * later. `run` of a missing VM fails as every command does, and not with 1 (tart-cli §7 #32).
 */
export async function runGuestCommand(terminal: Terminal, command: GuestCommand, text: string): Promise<number> {
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  // Packer reads what `ip` says on either stream (tart-cli §1.9): not a word about a cache that none of these needs.
  return withSession(terminal, async (session) => demandRunner(session, command, text), { cache: 'untouched' });
}

async function demandRunner(session: Session, command: GuestCommand, text: string): Promise<never> {
  const name = LocalName.ofExisting(text);
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  const isRunning = (await session.vms.state(vm)) === 'running';
  switch (command) {
    case 'run':
      await session.vms.refuseRunning(name);
      break;
    case 'suspend':
    case 'exec':
      if (!isRunning) throw notRunning(vm);
      break;
    case 'ip':
      break;
    default:
      unreachable(command);
  }
  throw new TartletError('NOT_YET', `${command} is not there yet: Tartlet cannot run VMs so far`, {
    kept: 'nothing was changed',
    next: { kind: 'in-words', words: 'run the VM with Tart on a Mac; pull, push, clone, set and the rest work here' },
  });
}
