import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { hashSync } from 'bcryptjs';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import type { AuthOptions } from '../../src/server/settings/options.ts';
import { createRegistry } from '../../src/server/server.ts';
import type { CertificatePair } from './real-certificates.ts';
import type { Cleanup } from './real-cleanup.ts';
import { partPath } from './real-parts.ts';
import { RealProcess } from './real-process.ts';
import type { RealTokenService } from './real-token-service.ts';

export type RegistryKind = 'embedded' | 'docker-registry';

/** How a registry tells friend from foe. */
export type RegistryAuth =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly service: RealTokenService; readonly signer: CertificatePair };

export interface RealRegistryOptions {
  /** Address to listen on, without brackets. */
  readonly listen?: string;
  readonly auth?: RegistryAuth;
  /** More names by which clients may call it; only the embedded registry asks. */
  readonly hostNames?: readonly string[];
}

export interface RealRegistry {
  readonly port: number;
  /** Where it keeps its content. */
  readonly data: string;
  /** What was asked so far, as `METHOD path` without the query. Only the embedded registry tells. */
  readonly requests: string[];
}

/** Starts a registry on a free loopback port. */
export async function startRealRegistry(
  cleanup: Cleanup,
  kind: RegistryKind,
  options: RealRegistryOptions = {},
): Promise<RealRegistry> {
  const { listen = '127.0.0.1', auth = { kind: 'none' }, hostNames = [] } = options;
  return kind === 'embedded'
    ? startEmbedded(cleanup, listen, auth, hostNames)
    : startDistribution(cleanup, listen, auth);
}

async function startEmbedded(
  cleanup: Cleanup,
  listen: string,
  auth: RegistryAuth,
  hostNames: readonly string[],
): Promise<RealRegistry> {
  const data = cleanup.directory();
  const requests: string[] = [];
  const registry = createRegistry({
    dataDirectory: data,
    listen: { host: listen },
    auth: embeddedAuth(auth),
    hostNames,
    timeouts: { close: 0 },
    log: (event: RegistryEvent) => {
      if (event.kind === 'request') requests.push(`${event.method} ${event.path}`);
    },
  });
  cleanup.add(async () => registry.close());
  const { port } = await registry.listen();
  return { port, data, requests };
}

function embeddedAuth(auth: RegistryAuth): AuthOptions {
  switch (auth.kind) {
    case 'none':
      return { kind: 'none' };
    case 'basic':
      return { kind: 'basic', htpasswd: new Map([[auth.user, bcrypt(auth.password)]]) };
    case 'token': {
      const { realm, service, issuer } = auth.service;
      const trustedKeys = [readFileSync(auth.signer.certificate, 'utf8')];
      return { kind: 'token', realm, service, issuer, trustedKeys };
    }
  }
}

/** CNCF Distribution as Debian packages it. Its log tells the port that it got. */
async function startDistribution(cleanup: Cleanup, listen: string, auth: RegistryAuth): Promise<RealRegistry> {
  const data = cleanup.directory();
  const directory = cleanup.directory();
  const config = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: data }, delete: { enabled: true } },
    http: { addr: `${listen.includes(':') ? `[${listen}]` : listen}:0`, secret: 'of the tests' },
    ...distributionAuth(auth, directory),
  };
  // YAML is a superset of JSON.
  const file = path.join(directory, 'config.yml');
  writeFileSync(file, JSON.stringify(config));
  const listening = /listening on \S+:(\d+)"/;
  const process = await RealProcess.start(cleanup, partPath('docker-registry'), ['serve', file], ({ output }) =>
    listening.test(output),
  );
  return { port: Number(listening.exec(process.output)?.[1]), data, requests: [] };
}

function distributionAuth(auth: RegistryAuth, directory: string): object {
  switch (auth.kind) {
    case 'none':
      return {};
    case 'basic': {
      const file = path.join(directory, 'htpasswd');
      writeFileSync(file, `${auth.user}:${bcrypt(auth.password)}\n`);
      return { auth: { htpasswd: { realm: 'tests', path: file } } };
    }
    case 'token': {
      const { realm, service, issuer } = auth.service;
      return { auth: { token: { realm, service, issuer, rootcertbundle: auth.signer.certificate } } };
    }
  }
}

/** The cheapest bcrypt there is: these passwords protect nothing. */
function bcrypt(password: string): string {
  return hashSync(password, 4);
}
