import { TartletError } from '../errors.ts';
import type { LocalVm } from '../home/vms/local-vms.ts';
import type { RunRecord } from '../home/vms/run-record.ts';
import type { Session } from '../session/session.ts';
import { notRunning, recordOfRunning } from '../vm/stop.ts';

/**
 * The `run` of a VM, which can be asked for something.
 *
 * @throws TartletError `VM_NOT_RUNNING`, `BUSY` when another program runs the VM.
 */
export async function requireOurRun(session: Session, vm: LocalVm): Promise<RunRecord> {
  if ((await session.vms.state(vm)) !== 'running') throw notRunning(vm);
  const record = await recordOfRunning(session, vm);
  if (record === 'ended') throw notRunning(vm);
  if (record !== undefined) return record;
  throw new TartletError('BUSY', `the VM "${vm.name.text}" is run by another program, which cannot be asked`, {
    subject: vm.name.text,
    next: { kind: 'ask-other-program' },
  });
}
