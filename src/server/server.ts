/*
 * More than 250 lines, because opening, reconfiguring and closing a registry depend on each other.
 */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import { describeError, TartletError } from '../errors.ts';
import { diskCode } from '../fs/disk-error.ts';
import { CurrentAuthenticator, makeAuthenticator } from './access/authenticator.ts';
import { Connections } from './http/connections.ts';
import type { GarbageReport } from './store/garbage.ts';
import { RequestHandler } from './http/handler.ts';
import { type RegistryOptions, type Settings, resolveOptions } from './settings/options.ts';
import { PasswordChecks } from './access/password-checks.ts';
import { DiskStore } from './store/disk-store.ts';

/** Expired uploads and leftovers of crashes are looked for this often, in milliseconds. */
const SWEEP_EVERY = 5 * 60_000;
/** What is younger than this is never garbage, in milliseconds: its manifest may be on the way. */
const GRACE = 3_600_000;

/** Where a registry listens. */
export interface ListeningAddress {
  /** As the operating system writes it: `127.0.0.1`, `::1`. */
  readonly address: string;
  readonly port: number;
  /** With scheme and port, without a path: `http://127.0.0.1:8221`. */
  readonly url: string;
}

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
  readonly #options: RegistryOptions;
  #settings: Settings;
  readonly #store: DiskStore;
  readonly #passwords = new PasswordChecks();
  #ready: Promise<RequestHandler> | undefined;
  #authenticator: CurrentAuthenticator | undefined;
  #server: Server | undefined;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: RegistryOptions) {
    const settings = resolveOptions(options);
    this.#options = options;
    this.#settings = settings;
    this.#store = new DiskStore(settings);
  }

  async listen(): Promise<ListeningAddress> {
    if (this.#server !== undefined) throw new TartletError('USAGE', 'the registry is listening already');
    const handler = await this.#prepare();
    let server: Server;
    try {
      server = makeServer(this.#settings);
      this.#server = server;
      this.#answer(server, handler);
      await bind(server, this.#settings.host.replace(/^\[(.*)\]$/, '$1'), this.#settings.port);
    } catch (error) {
      await this.close(); // A registry on the other port needs the directory.
      throw error;
    }
    const address = server.address();
    if (address === null || typeof address === 'string') {
      throw new TartletError('INTERNAL', 'the server has no address although it listens');
    }
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    const scheme = this.#settings.tls === undefined ? 'http' : 'https';
    return { address: address.address, port: address.port, url: `${scheme}://${name}:${address.port}` };
  }

  #answer(server: Server, handler: RequestHandler): void {
    const connections = new Connections(this.#settings);
    connections.watch(server);
    const answer =
      (awaitsContinue: boolean) =>
      (request: IncomingMessage, response: ServerResponse): void => {
        connections.asked(request, response);
        // While closing, a connection goes with its last answer and not only when its keep-alive time is over.
        response.once('close', () => {
          if (this.#server !== server) server.closeIdleConnections();
        });
        void handler.handle(request, response, awaitsContinue);
      };
    server.on('request', answer(false));
    server.on('checkContinue', answer(true));
    // Node would answer it itself, before the answers that are due and without a word in the log.
    server.on('checkExpectation', answer(false));
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const handler = await this.#prepare();
    await handler.handle(request, response);
  }

  async collectGarbage(graceMs = GRACE): Promise<GarbageReport> {
    await this.#prepare();
    return this.#store.collectGarbage(graceMs);
  }

  async reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void> {
    const settings = resolveOptions({ ...this.#options, ...changes });
    if ((settings.tls === undefined) !== (this.#settings.tls === undefined)) {
      throw new TartletError('CONFIG_INVALID', 'a registry cannot begin or cease to speak TLS while it runs');
    }
    const authenticator = await makeAuthenticator(settings, this.#passwords);
    // The last thing that can fail comes before the first that is changed.
    const server = this.#server;
    if (settings.tls !== undefined && server instanceof TlsServer)
      usingCertificate(() => server.setSecureContext(settings.tls ?? {}));
    this.#settings = settings;
    this.#authenticator?.replace(authenticator);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    const server = this.#server;
    this.#server = undefined;
    if (server?.listening === true) {
      const force = setTimeout(() => server.closeAllConnections(), this.#settings.timeouts.close);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
      clearTimeout(force);
    }
    await this.#passwords.close();
    await this.#store.close();
    this.#ready = undefined;
  }

  async #prepare(): Promise<RequestHandler> {
    this.#ready ??= this.#open();
    try {
      return await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  async #open(): Promise<RequestHandler> {
    const authenticator = new CurrentAuthenticator(await makeAuthenticator(this.#settings, this.#passwords));
    try {
      await this.#store.open();
    } catch (cause) {
      throw cause instanceof TartletError ? cause : unusableDirectory(this.#store.root, cause);
    }
    this.#authenticator = authenticator;
    this.#sweeper = setInterval(() => {
      this.#store.sweep().catch((error: unknown) => {
        this.#settings.log({ kind: 'failure', method: '', path: '', message: describeError(error) });
      });
    }, SWEEP_EVERY).unref();
    return new RequestHandler(this.#settings, this.#store, authenticator);
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

/** HTTP/1.1 with Node's strict parser only (reliability S46, S47). */
function makeServer({ tls, timeouts }: Settings): Server {
  const options = {
    headersTimeout: timeouts.headers,
    // Node would cut off an honest upload after five minutes (dependencies §3); the idle time below guards instead.
    requestTimeout: 0,
    keepAliveTimeout: timeouts.keepAlive,
    connectionsCheckingInterval: Math.min(5_000, timeouts.headers),
    insecureHTTPParser: false,
    noDelay: true,
  };
  const server = tls === undefined ? createServer(options) : makeTlsServer(options, tls);
  server.timeout = timeouts.idle;
  return server;
}

function makeTlsServer(options: ServerOptions, tls: NonNullable<Settings['tls']>): Server {
  return usingCertificate(() => createTlsServer({ ...options, ...tls }));
}

function usingCertificate<T>(use: () => T): T {
  try {
    return use();
  } catch (cause) {
    throw new TartletError('CONFIG_INVALID', `the certificate or its key cannot be used: ${describeError(cause)}`, {
      next: { kind: 'give-certificate-with-key' },
      cause,
    });
  }
}

async function bind(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error): void => {
      const why = 'code' in cause && cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message;
      reject(
        new TartletError('NET_CONNECT', `the registry cannot listen on ${host}:${port}: ${why}`, {
          subject: `${host}:${port}`,
          next: { kind: 'choose-port' },
          cause,
        }),
      );
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve();
    });
  });
}
