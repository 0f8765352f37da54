import { TartletError } from '../errors.ts';
import { listenOnce } from './listen-once.ts';

/** A port of this host. */
export interface HostPort {
  readonly protocol: 'tcp' | 'udp';
  /** IPv4. */
  readonly hostAddress: string;
  readonly hostPort: number;
}

/**
 * Makes sure that the ports of this host which lead to the guest can be had, before anything is started.
 *
 * @param ports `hostPort` 0 stands for any free port.
 * @returns the same with the ports that they have now.
 * @throws TartletError `GUEST_FAILED` for a port that is taken or not allowed, and an address that this host does not
 * have.
 */
export async function settlePorts<Port extends HostPort>(ports: readonly Port[]): Promise<Port[]> {
  const settled: Port[] = [];
  for (const each of ports) {
    const { protocol, hostAddress, hostPort } = each;
    const tried = await listenOnce(protocol, hostAddress, hostPort);
    if ('refused' in tried) throw cannotPublish(each, tried.refused);
    settled.push({ ...each, hostPort: tried.port });
  }
  return settled;
}

function cannotPublish({ protocol, hostAddress, hostPort }: HostPort, refused: string): TartletError {
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
