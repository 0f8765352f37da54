import type { ConnectionOptions, PeerCertificate, TlsOptions } from 'node:tls';
import type { FleetKey } from './fleet-key.ts';

/*
 * How peers speak: TLS 1.3 with the key of the fleet as its external pre-shared key (RFC 8446 §4.2.11, RFC 9257). Each
 * side proves to the other that it has the key before a byte of HTTP passes, the key never crosses the wire, nothing
 * that was recorded can be sent again, and what was recorded cannot be read later. See docs/decisions/0017-peers.md.
 */

/** Which key is meant. A later way of making keys gets another name. */
const IDENTITY = 'tartlet-fleet-1';

/** Those of TLS 1.3 whose hash is SHA-256, which is what an external key is bound to. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256';

const COMMON = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: CIPHERS } as const;

/** The serving side: it has no certificate, so that a client without the key gets no connection. */
export function servingChannel(key: FleetKey): TlsOptions {
  return { ...COMMON, pskCallback: (_socket, identity) => (identity === IDENTITY ? key : null) };
}

/** The asking side. A server that shows a certificate instead of the key is refused, also one of a known authority. */
export function askingChannel(key: FleetKey): ConnectionOptions {
  return {
    ...COMMON,
    pskCallback: () => ({ psk: key, identity: IDENTITY }),
    // Said here, or a variable of the environment would switch it off (reliability S38).
    rejectUnauthorized: true,
    checkServerIdentity: (_host, certificate) => refuseCertificate(certificate),
  };
}

function refuseCertificate(certificate: PeerCertificate): Error | undefined {
  return Object.keys(certificate).length === 0 ? undefined : new Error('it shows a certificate and not the fleet key');
}
