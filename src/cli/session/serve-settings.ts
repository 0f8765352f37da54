import { readFile } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { diskError } from '../../fs/disk-error.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import type { AuthOptions, RegistryOptions } from '../../server/settings/options.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

/** What `serve` was told about its address and its users. */
export interface ServeAccessOptions {
  readonly listen: string;
  readonly htpasswd?: string;
  readonly readOnlyUsers?: string;
  readonly anonymousRead?: true;
  readonly tokenRealm?: string;
  readonly tokenService?: string;
  readonly tokenIssuer?: string;
  readonly tokenKeys?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** As `127.0.0.1` is what is listened on unless told otherwise, so is 8221. */
const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8221;

/**
 * `host:port`, a host alone, or a port alone, which then is one of this machine; port 0 is any free one.
 * @throws TartletError `USAGE`
 */
export function parseListen(text: string): { host: string; port: number } {
  if (/^[0-9]+$/.test(text)) return parseListen(`${DEFAULT_HOST}:${text}`);
  const anyPort = text.endsWith(':0');
  const address = RegistryAddress.tryParse(anyPort ? text.slice(0, -2) : text);
  if (address === undefined) {
    throw new TartletError('USAGE', `--listen ${text} is not an address`, {
      next: {
        kind: 'in-words',
        words:
          `write it as host:port or as a port, e.g. 0.0.0.0:${DEFAULT_PORT} for all addresses, ` +
          `${DEFAULT_PORT} for this machine alone`,
      },
    });
  }
  return { host: address.host.replace(/^\[|\]$/g, ''), port: anyPort ? 0 : (address.port ?? DEFAULT_PORT) };
}

/** The files that say who may do what, and who we are: they are read again when they change. */
export function filesOf(terminal: Terminal, options: ServeAccessOptions): string[] {
  const { htpasswd, readOnlyUsers, tokenKeys, tlsCert, tlsKey } = options;
  return [htpasswd, readOnlyUsers, tokenKeys, tlsCert, tlsKey].flatMap((file) =>
    file === undefined ? [] : resolvePath(terminal, file),
  );
}

/** @throws TartletError `USAGE`, `DISK_*` */
export async function readAccess(
  terminal: Terminal,
  options: ServeAccessOptions,
): Promise<Pick<RegistryOptions, 'auth' | 'tls'>> {
  const tls = await readTls(terminal, options);
  return { auth: await readAuth(terminal, options), ...(tls === undefined ? {} : { tls }) };
}

async function readAuth(terminal: Terminal, options: ServeAccessOptions): Promise<AuthOptions> {
  const { htpasswd, readOnlyUsers, tokenRealm, tokenService, tokenIssuer, tokenKeys } = options;
  const anonymousRead = options.anonymousRead ?? false;
  const tokenParts = [tokenRealm, tokenService, tokenIssuer, tokenKeys].filter((part) => part !== undefined).length;
  if (htpasswd !== undefined && tokenParts > 0) {
    throw new TartletError('USAGE', 'passwords and tokens exclude each other', {
      next: { kind: 'in-words', words: 'use --htpasswd or the --token options' },
    });
  }
  if (readOnlyUsers !== undefined && htpasswd === undefined) {
    throw new TartletError('USAGE', '--read-only-users needs --htpasswd: no user could push', {
      next: { kind: 'in-words', words: 'give --htpasswd with the users who may push' },
    });
  }
  if (htpasswd !== undefined) {
    const readOnly = readOnlyUsers === undefined ? {} : { readOnly: resolvePath(terminal, readOnlyUsers) };
    return { kind: 'basic', htpasswd: resolvePath(terminal, htpasswd), ...readOnly, anonymousRead };
  }
  if (tokenParts === 0) {
    if (!anonymousRead) return { kind: 'none' };
    throw new TartletError('USAGE', '--anonymous-read needs --htpasswd or the --token options: everybody could push', {
      next: { kind: 'in-words', words: 'give --htpasswd with the users who may push' },
    });
  }
  if (tokenRealm === undefined || tokenService === undefined || tokenIssuer === undefined || tokenKeys === undefined) {
    throw new TartletError(
      'USAGE',
      'a token service needs all of --token-realm, --token-service, --token-issuer and --token-keys',
    );
  }
  const keys = await read(terminal, '--token-keys', tokenKeys);
  return {
    kind: 'token',
    realm: tokenRealm,
    service: tokenService,
    issuer: tokenIssuer,
    trustedKeys: splitPem(keys),
    anonymousRead,
  };
}

/** A PEM file may hold several certificates. */
function splitPem(text: string): string[] {
  return text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [text];
}

async function readTls(
  terminal: Terminal,
  options: ServeAccessOptions,
): Promise<{ cert: string; key: string } | undefined> {
  const { tlsCert, tlsKey } = options;
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new TartletError('USAGE', 'TLS needs both --tls-cert and --tls-key');
  }
  return { cert: await read(terminal, '--tls-cert', tlsCert), key: await read(terminal, '--tls-key', tlsKey) };
}

async function read(terminal: Terminal, option: string, file: string): Promise<string> {
  const resolved = resolvePath(terminal, file);
  try {
    return await readFile(resolved, 'utf8');
  } catch (cause) {
    const { message } = diskError(cause, 'read', resolved);
    throw new TartletError('CONFIG_INVALID', message, {
      subject: resolved,
      next: { kind: 'in-words', words: `check the path that ${option} names, and that this user may read it` },
      cause,
    });
  }
}
