import { TartletError } from '../../errors.ts';
import { isLoopbackHost } from '../../names/ip-address.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import type { Htpasswd } from './htpasswd.ts';
import type { MetricsReaders, PageOptions } from './beside-api.ts';
import type { RegistryEvent } from './event.ts';

/** Which clients may use the registry. */
export type AuthOptions =
  /** Every client that can reach it may do everything. */
  | { readonly kind: 'none' }
  /** Everybody with a password. */
  | {
      readonly kind: 'basic';
      /** Users who may do everything, at least one: the path of a file of bcrypt lines, or its parsed content. */
      readonly htpasswd: string | Htpasswd;
      /** Users who may only read; none of them is in `htpasswd`. */
      readonly readOnly?: string | Htpasswd;
      /** Whether everybody may read, without a login. */
      readonly anonymousRead?: boolean;
    }
  /**
   * A client with a token of a trusted token service may do what the token says (distribution token specification).
   */
  | {
      readonly kind: 'token';
      /** URL of the token service, told to clients. */
      readonly realm: string;
      /** Our name at the token service; must be among the `aud` of a token. */
      readonly service: string;
      /** The issuer that a token must have, its `iss`. */
      readonly issuer: string;
      /**
       * PEM texts of public keys or certificates. Tokens are verified with these alone, never with a key they bring
       * along (S41).
       */
      readonly trustedKeys: readonly string[];
      /** Whether everybody may read, without a token. */
      readonly anonymousRead?: boolean;
    };

/** What clients with the right to delete may delete: anything, or only what no tag leads to. */
export type DeletesAllowed = 'any' | 'unneeded';

/** How much a registry takes; bytes, counts. */
export interface Limits {
  /** Largest manifest taken, in bytes. Default 4 MiB (distribution spec § pushing manifests). */
  readonly manifestBytes: number;
  /** Largest blob taken, in bytes. Default 256 GiB. */
  readonly blobBytes: number;
  /** Uploads begun and not finished. Default 1,000; when full, the longest idle one gives way. */
  readonly openUploads: number;
  /** Bytes of all unfinished uploads together. Default 512 GiB. */
  readonly stagingBytes: number;
  /** What uploads leave free on the file system, in bytes. Default 256 MiB. */
  readonly freeBytes: number;
  /**
   * Told to clients as `OCI-Chunk-Min-Length`, in bytes; 0, the default, tells nothing. Advice only: smaller chunks are
   * taken.
   */
  readonly chunkAdviceBytes: number;
  /**
   * Connections at a time. Default 400: with a file for each, they fit into the 1,024 descriptors that many systems
   * give a process.
   */
  readonly connections: number;
  /** Of these, connections of one client: an IPv4 address, or 64 bits of an IPv6 address. Default 200. */
  readonly connectionsPerClient: number;
  /**
   * What a client must send or read, in bytes per second, over each {@link Timeouts.progress}. Default 1 KiB. An answer
   * is counted in pieces of 256 KiB, so that the reader of one needs a piece in that time.
   */
  readonly bytesPerSecond: number;
}

/** All in milliseconds. */
export interface Timeouts {
  /** For the head of a request. Default 20 s (reliability S46). */
  readonly headers: number;
  /** From a connection to the end of the head of its first request, TLS included. Default 20 s (issue 14, item 8). */
  readonly firstRequest: number;
  /** In which {@link Limits.bytesPerSecond} is looked at. Default 30 s. */
  readonly progress: number;
  /**
   * Without a byte in either direction. Default 60 s; there is no limit for a whole request, honest uploads take hours.
   */
  readonly idle: number;
  /** Between requests of one connection. Default 5 s. */
  readonly keepAlive: number;
  /** How long an upload may rest before it is dropped. Default 1 h (reliability S43). */
  readonly uploadIdle: number;
  /** How long {@link Registry.close} waits for requests under way. Default 5 s. */
  readonly close: number;
}

/** What a registry is made from. */
export interface RegistryOptions {
  /** Where everything is kept; made when missing. */
  readonly dataDirectory: string;
  /** Default: 127.0.0.1 and a free port (0). */
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** Default: none. */
  readonly auth?: AuthOptions;
  /** PEM texts. Without it the registry speaks plain HTTP. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Listen on other than loopback addresses although TLS or auth is missing (reliability S39). */
  readonly allowExposed?: boolean;
  /**
   * Names that clients may use for this server, beside loopback names and the address they connected to (reliability
   * S40).
   */
  readonly hostNames?: readonly string[] | undefined;
  /** Default: unneeded, so that no image under a tag can be broken (issue 14, item 14). */
  readonly deletes?: DeletesAllowed | undefined;
  /** Shows what is stored to people who may read it, at `/`. Default: there is no page. */
  readonly page?: PageOptions | undefined;
  /** Who may read `/metrics`. Default: none, so that there is no such address. */
  readonly metrics?: MetricsReaders | undefined;
  readonly limits?: Partial<Limits>;
  readonly timeouts?: Partial<Timeouts>;
  /** Told what happens: requests, deletions, failures. Default: nothing is told. */
  readonly log?: (event: RegistryEvent) => void;
  /** Epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/** {@link RegistryOptions} with every default filled in and every rule checked. */
export interface Settings {
  readonly dataDirectory: string;
  readonly host: string;
  readonly port: number;
  readonly auth: AuthOptions;
  readonly tls: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined;
  /** Canonical, lower case. */
  readonly hostNames: ReadonlySet<string>;
  readonly deletes: DeletesAllowed;
  readonly page: PageOptions | undefined;
  readonly metrics: MetricsReaders;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly log: (event: RegistryEvent) => void;
  readonly now: () => number;
}

const GIB = 1024 ** 3;

const DEFAULT_LIMITS: Limits = {
  manifestBytes: 4 * 1024 ** 2,
  blobBytes: 256 * GIB,
  openUploads: 1_000,
  stagingBytes: 512 * GIB,
  freeBytes: 256 * 1024 ** 2,
  chunkAdviceBytes: 0,
  connections: 400,
  connectionsPerClient: 200,
  bytesPerSecond: 1_024,
};

const DEFAULT_TIMEOUTS: Timeouts = {
  headers: 20_000,
  firstRequest: 20_000,
  progress: 30_000,
  idle: 60_000,
  keepAlive: 5_000,
  uploadIdle: 3_600_000,
  close: 5_000,
};

/**
 * @throws TartletError `CONFIG_INVALID` for a name that is none, and for an exposed registry that was not asked for
 * explicitly (S39).
 */
export function resolveOptions(options: RegistryOptions): Settings {
  const host = options.listen?.host ?? '127.0.0.1';
  const auth = options.auth ?? { kind: 'none' };
  const exposed = !isLoopbackHost(host);
  if (exposed && options.allowExposed !== true && (options.tls === undefined || auth.kind === 'none')) {
    const missing = [options.tls === undefined ? 'TLS' : '', auth.kind === 'none' ? 'authentication' : ''];
    throw new TartletError(
      'CONFIG_INVALID',
      `the registry would be open to others on ${host} without ${missing.filter((part) => part !== '').join(' and ')}`,
      {
        subject: host,
        next: { kind: 'protect-registry' },
      },
    );
  }
  return {
    dataDirectory: options.dataDirectory,
    host,
    port: options.listen?.port ?? 0,
    auth,
    tls: options.tls,
    hostNames: new Set((options.hostNames ?? []).map(canonicalHost)),
    deletes: options.deletes ?? 'unneeded',
    page: options.page,
    metrics: options.metrics ?? 'none',
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    log: options.log ?? (() => undefined),
    now: options.now ?? Date.now,
  };
}

function canonicalHost(name: string): string {
  const address = RegistryAddress.tryParse(name);
  if (address === undefined) {
    throw new TartletError('CONFIG_INVALID', `"${name}" cannot be a host name of the registry`, { subject: name });
  }
  return address.host;
}
