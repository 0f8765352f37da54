import { createHash } from 'node:crypto';
import { afterEach } from 'vitest';
import type { CredentialSource } from '../../src/credentials/credential.ts';
import { Digest } from '../../src/names/digest.ts';
import type { RegistryAddress } from '../../src/names/registry-address.ts';
import { Repository } from '../../src/names/repository.ts';
import { RegistryClient, type RegistryClientOptions } from '../../src/registry/client.ts';
import type { Clock } from '../../src/registry/request/clock.ts';
import { type Limits, limits } from '../../src/registry/request/limits.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';
import { TokenService } from '../support/token-service.ts';

/** A clock that sleeps in no time and remembers for how long it was asked to. */
export class FakeClock implements Clock {
  readonly slept: number[] = [];
  /** 2026-01-01T00:00:00Z */
  wall = 1_767_225_600_000;
  elapsed = 0;

  now(): number {
    return this.wall + this.elapsed;
  }

  monotonic(): number {
    return this.elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.elapsed += ms;
    return Promise.resolve();
  }

  random(): number {
    return 0.5;
  }
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  // Clients first: a server that is closed under a client is a different test.
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs after the test, in reverse order. */
export function after(cleanup: () => Promise<unknown>): void {
  cleanups.push(cleanup);
}

export async function scripted(...parameters: Parameters<typeof ScriptedRegistry.start>): Promise<ScriptedRegistry> {
  const registry = await ScriptedRegistry.start(...parameters);
  after(() => registry.close());
  return registry;
}

export async function tokenService(): Promise<TokenService> {
  const service = await TokenService.start();
  after(() => service.server.close());
  return service;
}

export interface World {
  readonly client: RegistryClient;
  readonly clock: FakeClock;
}

/** A client for repository `a/b` with a clock of its own and timeouts in tenths of a second. */
export function clientFor(
  registry: ScriptedRegistry | RegistryAddress,
  options: Partial<RegistryClientOptions> & { readonly change?: Partial<Limits> } = {},
): World {
  const clock = new FakeClock();
  const { change, ...others } = options;
  const client = RegistryClient.forRepository({
    registry: registry instanceof ScriptedRegistry ? registry.address : registry,
    repository: Repository.parse('a/b'),
    userAgent: 'Tartlet/0 (test)',
    clock,
    ...(registry instanceof ScriptedRegistry ? { endpoint: registry.origin } : {}),
    limits: { ...limits, ...change },
    ...others,
  });
  after(() => client.close());
  return { client, clock };
}

/** A user with a password. */
export function password(username = 'ci', secret = 'hunter2'): CredentialSource {
  return {
    find: (registry) =>
      Promise.resolve({ kind: 'password', registry, username, password: secret, source: 'the test' } as const),
  };
}

export function basicValue(username = 'ci', secret = 'hunter2'): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
}

export function digestOf(bytes: string | Uint8Array): Digest {
  return Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
}

/** Bytes that differ everywhere, with their digest. */
export function blobOf(size: number): { bytes: Buffer; digest: Digest; size: number } {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 8)) % 251;
  return { bytes, digest: digestOf(bytes), size };
}

/** All bytes of a stream; what came before a failure is lost with it. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** Waits for a condition, never for a time. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
