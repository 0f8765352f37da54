import type { CertificatePair, PrivateCa } from './real-certificates.ts';
import type { Cleanup } from './real-cleanup.ts';
import { startTlsProxy } from './real-nginx.ts';
import { type RegistryAuth, type RegistryKind, startRealRegistry } from './real-registry.ts';
import { startTokenService } from './real-token-service.ts';

export const AUTHS = ['none', 'Basic', 'Bearer'] as const;
export const TRANSPORTS = ['http', 'https'] as const;

export interface SitePlan {
  readonly registry: RegistryKind;
  readonly auth: (typeof AUTHS)[number];
  /** `https`: behind nginx, with a certificate of the private CA. */
  readonly transport: (typeof TRANSPORTS)[number];
  /** What users type before the port: `127.0.0.1`, `localhost`, `[::1]`, `registry.localhost`. */
  readonly host: string;
}

/** A registry as a company would run it, at `host:port`. */
export interface Site {
  /** `host:port`, as users type it. */
  readonly address: string;
  readonly user: string;
  readonly password: string;
}

/** Colons and a character beyond ASCII: what people have in passwords. */
const PASSWORD = 'pass:word:ü';
const USER = 'ci';

/** Starts everything that a plan needs, on free loopback ports. */
export async function buildSite(cleanup: Cleanup, ca: PrivateCa, plan: SitePlan): Promise<Site> {
  const listen = plan.host === '[::1]' ? '::1' : '127.0.0.1';
  const tls = plan.transport === 'https' ? ca.server : undefined;
  const auth = await authOf(cleanup, ca, plan, listen, tls);
  const registry = await startRealRegistry(cleanup, plan.registry, { listen, auth, hostNames: [plan.host] });
  const port =
    tls === undefined
      ? registry.port
      : await startTlsProxy(cleanup, { listen, upstreamPort: registry.port, server: tls });
  return { address: `${plan.host}:${port}`, user: USER, password: PASSWORD };
}

async function authOf(
  cleanup: Cleanup,
  ca: PrivateCa,
  plan: SitePlan,
  listen: string,
  tls: CertificatePair | undefined,
): Promise<RegistryAuth> {
  switch (plan.auth) {
    case 'none':
      return { kind: 'none' };
    case 'Basic':
      return { kind: 'basic', user: USER, password: PASSWORD };
    case 'Bearer': {
      // Under the registry's own name: a password goes nowhere else (reliability S5).
      const service = await startTokenService(cleanup, {
        listen,
        host: plan.host,
        user: USER,
        password: PASSWORD,
        signer: ca.signer,
        ...(tls === undefined ? {} : { tls }),
      });
      return { kind: 'token', service, signer: ca.signer };
    }
  }
}
