import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Cleanup } from './real-cleanup.ts';
import { partPath } from './real-parts.ts';

/** A certificate and its key, as PEM files. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** A private CA and what it vouches for. */
export interface PrivateCa {
  /** Certificate of the CA, as a PEM file: the one thing that clients need. */
  readonly authority: string;
  /** For servers called 127.0.0.1, ::1, localhost, registry.localhost or by the name of this machine. */
  readonly server: CertificatePair;
  /** An RSA pair that signs tokens. */
  readonly signer: CertificatePair;
  /** A server's pair of an unknown authority. */
  readonly selfSigned: CertificatePair;
}

const NAMES = `subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:registry.localhost,DNS:${os.hostname()}`;
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const RSA = ['-newkey', 'rsa:2048'];

/** Makes a CA with openssl, as a site would. */
export function makePrivateCa(cleanup: Cleanup): PrivateCa {
  const directory = cleanup.directory();
  const at = (file: string): string => path.join(directory, file);
  const authority = at('ca.pem');
  const authorityKey = at('ca.key');
  const selfSign = (name: string, pair: CertificatePair, extension: string): void =>
    openssl(
      ['req', '-x509', '-nodes', '-days', '2', ...EC, '-keyout', pair.key, '-out', pair.certificate],
      ['-subj', `/CN=${name}`, '-addext', extension],
    );
  const issue = (name: string, algorithm: readonly string[], extensions: string): CertificatePair => {
    const pair = { certificate: at(`${name}.pem`), key: at(`${name}.key`) };
    openssl(['req', '-nodes', ...algorithm, '-keyout', pair.key, '-out', at('request'), '-subj', `/CN=${name}`]);
    writeFileSync(at('extensions'), extensions);
    openssl(
      ['x509', '-req', '-days', '2', '-in', at('request'), '-extfile', at('extensions'), '-out', pair.certificate],
      ['-CA', authority, '-CAkey', authorityKey, '-CAcreateserial'],
    );
    return pair;
  };
  selfSign('Tartlet test CA', { certificate: authority, key: authorityKey }, 'keyUsage=critical,keyCertSign');
  const selfSigned = { certificate: at('self.pem'), key: at('self.key') };
  selfSign('self', selfSigned, NAMES);
  return {
    authority,
    server: issue('server', EC, NAMES),
    signer: issue('signer', RSA, 'keyUsage=digitalSignature'),
    selfSigned,
  };
}

/** The bytes of a PEM certificate in base64, as `x5c` of a JWT has them (RFC 7515 §4.1.6). */
export function derOf(certificate: string): string {
  return readFileSync(certificate, 'utf8').replaceAll(/-----[^-]+-----|\s/g, '');
}

function openssl(...args: readonly (readonly string[])[]): void {
  execFileSync(partPath('openssl'), args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
}
