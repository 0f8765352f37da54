import { systemCode, TartletError } from '../errors.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { notRunning, recordOfRunning } from '../vm/stop.ts';

/**
 * Asks the `run` of a VM to write its memory to disk and to end.
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, `BUSY` when it belongs to another user
 */
export async function suspendVm(session: Session, name: LocalName): Promise<void> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  if ((await session.vms.state(vm)) !== 'running') throw notRunning(vm);
  const record = await recordOfRunning(session, vm);
  if (record === 'ended') throw notRunning(vm);
  if (record === undefined) {
    throw new TartletError('BUSY', `the VM "${name.text}" is run by another program, which cannot be asked`, {
      subject: name.text,
      next: { kind: 'ask-other-program' },
    });
  }
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
