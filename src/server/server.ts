import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError, TartletError } from '../errors.ts';
import { diskCode } from '../fs/disk-error.ts';
import type { ServedContent } from './contract/served-content.ts';
import type { LocalContent } from './contract/local-content.ts';
import type { StoreStatus } from './contract/store-status.ts';
import type { Stores } from './contract/stores.ts';
import { type ListeningAddress, RegistryServer } from './registry-server.ts';
import { type RegistryOptions, type Settings, resolveOptions } from './settings/options.ts';
import { DiskStore } from './store/disk-store.ts';
import type { GarbageReport } from './store/garbage.ts';

export type { ListeningAddress } from './registry-server.ts';

/** Expired uploads and leftovers of crashes are looked for this often, in milliseconds. */
const SWEEP_EVERY = 5 * 60_000;
/** What is younger than this is never garbage, in milliseconds: its manifest may be on the way. */
const GRACE = 3_600_000;

/** An OCI registry in this process. */
export interface Registry extends AsyncDisposable {
  /**
   * Opens the data directory and the port.
   * @throws TartletError `NET_CONNECT` when the port is taken or the address is not ours, `CONFIG_INVALID` for a bad
   * htpasswd or key, `DISK_…` when the directory cannot be used, `BUSY` when another registry serves it.
   */
  listen(): Promise<ListeningAddress>;
  /**
   * Answers a request of any `node:http` server. The data directory is opened with the first one, which may throw like
   * {@link listen}.
   */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /**
   * Removes content that nothing needs. Safe while clients push and pull.
   * @param graceMs what was pushed or asked for less than this ago stays; default one hour.
   */
  collectGarbage(graceMs?: number): Promise<GarbageReport>;
  /**
   * Replaces the access settings and the certificate, from the next request and the next connection on: files
   * are read again. When that fails, everything stays as it was.
   * @throws TartletError `CONFIG_INVALID`
   */
  reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void>;
  /**
   * Takes no more requests, gives those under way `timeouts.close`, ends every connection and drops unfinished uploads.
   * Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Makes a registry of the OCI distribution spec 1.1 that keeps everything below one directory and streams everything it
 * keeps.
 * @throws TartletError `CONFIG_INVALID` for options that contradict themselves, above all an exposed address without
 * protection.
 */
export function createRegistry(options: RegistryOptions): Registry {
  return new EmbeddedRegistry(options);
}

class EmbeddedRegistry implements Registry {
  readonly #content: DiskContent;
  readonly #server: RegistryServer;

  constructor(options: RegistryOptions) {
    this.#content = new DiskContent(resolveOptions(options));
    this.#server = new RegistryServer({ options, content: this.#content });
  }

  async listen(): Promise<ListeningAddress> {
    return this.#server.listen();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#server.handle(request, response);
  }

  async collectGarbage(graceMs = GRACE): Promise<GarbageReport> {
    await this.#server.prepare();
    return this.#content.store.collectGarbage(graceMs);
  }

  async reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void> {
    await this.#server.reconfigure(changes);
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What lies below one directory, the same for every client; swept while it is served. */
class DiskContent implements ServedContent {
  readonly store: DiskStore;
  readonly #settings: Settings;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.store = new DiskStore(settings);
  }

  async open(): Promise<void> {
    try {
      await this.store.open();
    } catch (cause) {
      throw cause instanceof TartletError ? cause : unusableDirectory(this.store.root, cause);
    }
    this.#sweeper = setInterval(() => {
      this.store.sweep().catch((error: unknown) => {
        this.#settings.log({ kind: 'failure', method: '', path: '', message: describeError(error) });
      });
    }, SWEEP_EVERY).unref();
  }

  storesFor(): Stores {
    return this.store;
  }

  local(): LocalContent {
    return this.store;
  }

  status(): StoreStatus {
    return this.store.status;
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    await this.store.close();
  }
}

function unusableDirectory(directory: string, cause: unknown): TartletError {
  return new TartletError(
    diskCode(cause),
    `the registry cannot use the directory ${directory}: ${describeError(cause)}`,
    {
      subject: directory,
      next: { kind: 'choose-data-directory' },
      cause,
    },
  );
}
