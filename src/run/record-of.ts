import { beginningOf, type PublishedPort, type RunRecord } from '../home/vms/run-record.ts';
import type { Machine } from '../hypervisor/machine.ts';
import type { SshDoor } from '../network/own-address.ts';
import type { RunSettings } from './run-settings.ts';
import { keepsFromSuspending } from './attachments.ts';

/** What a `run` says of itself to other commands. @param pid of this process */
export function recordOf(
  { mac, network }: Machine,
  ssh: SshDoor | undefined,
  { pid, now, settings }: { readonly pid: number; readonly now: Date; readonly settings: RunSettings },
): RunRecord {
  return {
    version: 1,
    pid,
    began: beginningOf(pid) ?? '',
    network:
      network.kind === 'user' && ssh !== undefined
        ? {
            kind: 'user',
            address: ssh.address,
            sshPort: ssh.port,
            published: publishedBy(settings),
          }
        : { kind: 'bridged', mac },
    startedAt: now.getTime(),
    notSuspendable: keepsFromSuspending(settings),
  };
}

function publishedBy({ network }: RunSettings): PublishedPort[] {
  if (network.kind !== 'user') return [];
  return network.published
    .filter(({ protocol }) => protocol === 'tcp')
    .map(({ hostAddress, hostPort, guestPort }) => ({ hostAddress, hostPort, guestPort }));
}
