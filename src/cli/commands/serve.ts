import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describeError, TartletError } from '../../errors.ts';
import { diskError } from '../../home/disk-error.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import type { RegistryEvent } from '../../server/event.ts';
import type { AuthOptions } from '../../server/options.ts';
import { createRegistry, type Registry } from '../../server/server.ts';
import { releaseNotes } from '../message-stream.ts';
import { humanBytes } from '../render/quantity.ts';
import { resolvePath, type Terminal } from '../terminal.ts';

export interface ServeCommandOptions {
  readonly listen: string;
  readonly data: string;
  readonly htpasswd?: string;
  readonly tokenRealm?: string;
  readonly tokenService?: string;
  readonly tokenIssuer?: string;
  readonly tokenKeys?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly hostName?: readonly string[];
  readonly open?: true;
}

/** Milliseconds between two collections of what no image needs any more. */
const COLLECT_EVERY_MS = 3_600_000;

/** Serves until it is interrupted, which is the normal end. The address goes to stdout, so that scripts can use port 0. */
export async function runServe(terminal: Terminal, options: ServeCommandOptions): Promise<number> {
  const listen = parseListen(options.listen);
  const tls = await readTls(terminal, options);
  const registry = createRegistry({
    dataFolder: resolvePath(terminal, options.data),
    listen,
    auth: await readAuth(terminal, options),
    ...(tls === undefined ? {} : { tls }),
    ...(options.hostName === undefined ? {} : { hostNames: options.hostName }),
    allowExposed: options.open ?? false,
    log: (event) => terminal.stderr.write(`${terminal.now().toISOString()} ${describeEvent(event)}\n`),
    now: () => terminal.now().getTime(),
  });
  const { url } = await registry.listen();
  terminal.stdout.write(`${url}\n`);
  releaseNotes(terminal.stderr);
  terminal.stderr.write(`serving ${resolvePath(terminal, options.data)}; Ctrl-C ends it\n`);
  const stopCollecting = collectRegularly(terminal, registry);
  if (!terminal.signal.aborted) await once(terminal.signal, 'abort');
  stopCollecting();
  await registry.close();
  return 0;
}

/** Deleted images free their space within the hour; what is being pushed is spared. */
function collectRegularly(terminal: Terminal, registry: Registry): () => void {
  const collect = (): void => {
    registry
      .collectGarbage()
      .catch((error: unknown) => terminal.stderr.write(`cannot collect: ${describeError(error)}\n`));
  };
  const timer = setInterval(collect, COLLECT_EVERY_MS);
  return () => clearInterval(timer);
}

function parseListen(text: string): { host: string; port: number } {
  const anyPort = text.endsWith(':0');
  const address = RegistryAddress.tryParse(anyPort ? text.slice(0, -2) : text);
  if (address === undefined) {
    throw new TartletError('USAGE', `--listen ${text} is not an address`, {
      next: 'write it as host:port, e.g. 127.0.0.1:8221',
    });
  }
  return { host: address.host.replace(/^\[|\]$/g, ''), port: anyPort ? 0 : (address.port ?? 8221) };
}

async function readAuth(terminal: Terminal, options: ServeCommandOptions): Promise<AuthOptions> {
  const { htpasswd, tokenRealm, tokenService, tokenIssuer, tokenKeys } = options;
  const tokenParts = [tokenRealm, tokenService, tokenIssuer, tokenKeys].filter((part) => part !== undefined).length;
  if (htpasswd !== undefined && tokenParts > 0) {
    throw new TartletError('USAGE', 'passwords and tokens exclude each other', {
      next: 'use --htpasswd or the --token options',
    });
  }
  if (htpasswd !== undefined) return { kind: 'basic', htpasswd: resolvePath(terminal, htpasswd) };
  if (tokenParts === 0) return { kind: 'none' };
  if (tokenRealm === undefined || tokenService === undefined || tokenIssuer === undefined || tokenKeys === undefined) {
    throw new TartletError(
      'USAGE',
      'a token service needs all of --token-realm, --token-service, --token-issuer and --token-keys',
    );
  }
  const keys = await read(terminal, tokenKeys);
  return { kind: 'token', realm: tokenRealm, service: tokenService, issuer: tokenIssuer, trustedKeys: splitPem(keys) };
}

/** A PEM file may hold several certificates. */
function splitPem(text: string): string[] {
  return text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [text];
}

async function readTls(
  terminal: Terminal,
  options: ServeCommandOptions,
): Promise<{ cert: string; key: string } | undefined> {
  const { tlsCert, tlsKey } = options;
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new TartletError('USAGE', 'TLS needs both --tls-cert and --tls-key');
  }
  return { cert: await read(terminal, tlsCert), key: await read(terminal, tlsKey) };
}

async function read(terminal: Terminal, file: string): Promise<string> {
  const resolved = resolvePath(terminal, file);
  try {
    return await readFile(resolved, 'utf8');
  } catch (cause) {
    throw diskError(cause, 'read', resolved);
  }
}

function describeEvent(event: RegistryEvent): string {
  switch (event.kind) {
    case 'request': {
      const { method, path: target, status, durationMs, remote, user } = event;
      const outcome = status === 0 ? 'hung up' : String(status);
      return `${remote} ${user ?? '-'} ${method} ${target} ${outcome} ${Math.round(durationMs)} ms`;
    }
    case 'failure':
      return `failure: ${event.method} ${event.path}: ${event.message}`;
    case 'uploads-expired':
      return `${event.count} abandoned uploads were dropped`;
    case 'garbage-collected':
      return `${event.blobs} blobs that nothing needed were removed (${humanBytes(event.bytes, 1)})`;
  }
}
