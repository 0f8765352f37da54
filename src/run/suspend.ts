import { systemCode, TartletError } from '../errors.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { notRunning } from '../vm/stop.ts';
import { requireOurRun } from './our-run.ts';
import { notSuspendable } from './attachments.ts';

/**
 * Asks the `run` of a VM to write its memory to disk and to end.
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, `BUSY` when it belongs to another user
 */
export async function suspendVm(session: Session, name: LocalName): Promise<void> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  const record = await requireOurRun(session, vm);
  if (record.notSuspendable !== undefined) throw notSuspendable(name.text, record.notSuspendable);
  try {
    session.sendSignal(record.pid, 'SIGUSR1');
  } catch (cause) {
    if (systemCode(cause) === 'ESRCH') throw notRunning(vm);
    throw new TartletError('BUSY', `not allowed to suspend process ${record.pid}, which runs the VM "${name.text}"`, {
      subject: name.text,
      next: { kind: 'suspend-as-starter' },
      cause,
    });
  }
}
