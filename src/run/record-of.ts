import { beginningOf, type RunRecord } from '../home/vms/run-record.ts';
import type { Machine } from '../hypervisor/machine.ts';
import type { SshDoor } from '../network/own-address.ts';

/** What a `run` says of itself to other commands. @param pid of this process */
export function recordOf(
  { mac, network }: Machine,
  ssh: SshDoor | undefined,
  { pid, now }: { readonly pid: number; readonly now: Date },
): RunRecord {
  return {
    version: 1,
    pid,
    began: beginningOf(pid) ?? '',
    network:
      network.kind === 'user' && ssh !== undefined
        ? { kind: 'user', address: ssh.address, sshPort: ssh.port }
        : { kind: 'bridged', mac },
    startedAt: now.getTime(),
  };
}
