import { TartletError } from '../errors.ts';
import type { Forward } from '../hypervisor/machine.ts';
import { listenOnce } from './listen-once.ts';

/**
 * Makes sure that the ports of this host which lead to the guest can be had, before anything is started.
 *
 * @param forwards `hostPort` 0 stands for any free port.
 * @returns the same with the ports that they have now.
 * @throws TartletError `GUEST_FAILED` for a port that is taken or not allowed, and an address that this host does not have.
 */
export async function settlePorts(forwards: readonly Forward[]): Promise<Forward[]> {
  const settled: Forward[] = [];
  for (const forward of forwards) {
    const { protocol, hostAddress, hostPort } = forward;
    const tried = await listenOnce(protocol, hostAddress, hostPort);
    if ('refused' in tried) throw cannotPublish(forward, tried.refused);
    settled.push({ ...forward, hostPort: tried.port });
  }
  return settled;
}

function cannotPublish({ protocol, hostAddress, hostPort }: Forward, refused: string): TartletError {
  if (refused === 'EADDRNOTAVAIL') {
    return new TartletError('GUEST_FAILED', `this machine has no address ${hostAddress}`, {
      subject: hostAddress,
      next: { kind: 'publish-on-own-address' },
    });
  }
  const why = refused === 'EACCES' ? 'not allowed to this user' : `taken (${refused})`;
  return new TartletError('GUEST_FAILED', `${protocol} port ${hostPort} of ${hostAddress} is ${why}`, {
    subject: `${hostAddress}:${hostPort}`,
    next: { kind: 'publish-elsewhere' },
  });
}
