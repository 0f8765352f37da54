import { TartletError } from '../errors.ts';
import { RegistryAddress } from '../names/registry-address.ts';

/** Where a peer listens unless it is told otherwise: the port after that of `serve`. */
export const PEER_PORT = 8222;

/** Where a peer is asked. */
export interface PeerAddress {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host`, `host:port` or `[v6]:port`.
 * @throws TartletError `USAGE`
 */
export function parsePeerAddress(text: string): PeerAddress {
  const address = tryParsePeerAddress(text);
  if (address !== undefined) return address;
  throw new TartletError('USAGE', `"${text}" is not the address of a peer`, {
    subject: text,
    next: { kind: 'write-address' },
  });
}

/** The same for what others say; undefined for what is none. */
export function tryParsePeerAddress(text: string): PeerAddress | undefined {
  const address = RegistryAddress.tryParse(text);
  if (address === undefined) return undefined;
  return { host: address.host.replace(/^\[|\]$/g, ''), port: address.port ?? PEER_PORT };
}

/** As it is written, and shown. */
export function peerText({ host, port }: PeerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
