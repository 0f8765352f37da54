import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import { describeError, TartletError } from '../errors.ts';
import type { Authenticator } from './access/access.ts';
import { CurrentAuthenticator, makeAuthenticator } from './access/authenticator.ts';
import { PasswordChecks } from './access/password-checks.ts';
import type { ServedContent } from './contract/served-content.ts';
import { Connections } from './http/connections.ts';
import { type ReadName, RequestHandler } from './http/handler.ts';
import { type RegistryOptions, type Settings, resolveOptions } from './settings/options.ts';

/** Where a registry listens. */
export interface ListeningAddress {
  /** As the operating system writes it: `127.0.0.1`, `::1`. */
  readonly address: string;
  readonly port: number;
  /** With scheme and port, without a path: `http://127.0.0.1:8221`. */
  readonly url: string;
}

/** What a server is made from. */
export interface ServerParts {
  readonly options: RegistryOptions;
  readonly content: ServedContent;
  /** Decides who asks where the options name no users (`auth.kind` is `none`). Default: all may do everything. */
  readonly withoutUsers?: Authenticator;
  /** How the name of a repository is read in an address. Default: by the distribution spec. */
  readonly readName?: ReadName;
}

/** The distribution protocol over HTTP or TLS, for whatever content: it opens and closes the content with itself. */
export class RegistryServer {
  readonly #parts: ServerParts;
  #settings: Settings;
  readonly #passwords = new PasswordChecks();
  #ready: Promise<RequestHandler> | undefined;
  #authenticator: CurrentAuthenticator | undefined;
  #server: Server | undefined;

  /** @throws TartletError `CONFIG_INVALID` for options that contradict themselves. */
  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.#settings = resolveOptions(parts.options);
  }

  /** See `Registry.listen`. */
  async listen(): Promise<ListeningAddress> {
    if (this.#server !== undefined) throw new TartletError('USAGE', 'the registry is listening already');
    const handler = await this.prepare();
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
    handler.observations.connections = () => connections.facts();
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

  /** See `Registry.handle`. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const handler = await this.prepare();
    await handler.handle(request, response);
  }

  /** See `Registry.reconfigure`. */
  async reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void> {
    const settings = resolveOptions({ ...this.#parts.options, ...changes });
    if ((settings.tls === undefined) !== (this.#settings.tls === undefined)) {
      throw new TartletError('CONFIG_INVALID', 'a registry cannot begin or cease to speak TLS while it runs');
    }
    const authenticator = await this.#makeAuthenticator(settings);
    // The last thing that can fail comes before the first that is changed.
    const server = this.#server;
    if (settings.tls !== undefined && server instanceof TlsServer)
      usingCertificate(() => server.setSecureContext(settings.tls ?? {}));
    this.#settings = settings;
    this.#authenticator?.replace(authenticator);
  }

  /** See `Registry.close`. */
  async close(): Promise<void> {
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
    await this.#parts.content.close();
    this.#ready = undefined;
  }

  /** Opens the content, once. @throws TartletError when it cannot be used, or the users cannot be read. */
  async prepare(): Promise<RequestHandler> {
    this.#ready ??= this.#open();
    try {
      return await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  async #open(): Promise<RequestHandler> {
    const { content, readName } = this.#parts;
    const authenticator = new CurrentAuthenticator(await this.#makeAuthenticator(this.#settings));
    await content.open();
    this.#authenticator = authenticator;
    return new RequestHandler(this.#settings, { content, authenticator, readName });
  }

  async #makeAuthenticator(settings: Settings): Promise<Authenticator> {
    const { withoutUsers } = this.#parts;
    if (settings.auth.kind === 'none' && withoutUsers !== undefined) return withoutUsers;
    return makeAuthenticator(settings, this.#passwords);
  }
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
