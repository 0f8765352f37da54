import { TartletError } from '../errors.ts';
import { readRunRecord } from '../home/vms/run-record.ts';
import { askTart, type TartProgram } from '../hypervisor/tart/tart-program.ts';
import type { LocalName } from '../names/local-name.ts';
import type { SshDoor } from '../network/own-address.ts';
import type { Session } from '../session/session.ts';
import { notRunning } from '../vm/stop.ts';
import { addressOf } from './address.ts';

const SSH_PORT = 22;

/**
 * Finds where the SSH server of a guest is reached, when it answers.
 *
 * @param waitMs how long to look, in milliseconds. @param tart what runs VMs here; undefined where we do.
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING` when there is nothing to wait for, `GUEST_UNREACHABLE`, `BUSY`
 */
export async function sshDoorOf(
  session: Session,
  name: LocalName,
  { waitMs, tart }: { readonly waitMs: number; readonly tart: TartProgram | undefined },
): Promise<SshDoor> {
  const vm = await session.vms.require(name);
  if (waitMs === 0 && (await session.vms.state(vm)) !== 'running') throw notRunning(vm);
  if (tart !== undefined) return { address: await askTartForAddress(session, tart, name, waitMs), port: SSH_PORT };
  const address = await addressOf(session, name, { resolver: 'dhcp', waitMs });
  const network = (await readRunRecord(vm.directory.path))?.network;
  return { address, port: network?.kind === 'user' ? network.sshPort : SSH_PORT };
}

async function askTartForAddress(
  { signal }: Session,
  tart: TartProgram,
  name: LocalName,
  waitMs: number,
): Promise<string> {
  const seconds = String(Math.ceil(waitMs / 1000));
  const { exitCode, stdout, stderr } = await askTart(tart, ['ip', name.text, '--wait', seconds], signal);
  const address = stdout.trim();
  if (exitCode === 0 && address !== '') return address;
  throw new TartletError('GUEST_UNREACHABLE', `Tart tells no address of the VM "${name.text}": ${stderr.trim()}`, {
    subject: name.text,
    retryable: true,
  });
}
