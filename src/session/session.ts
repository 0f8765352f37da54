import { availableParallelism } from 'node:os';
import { type EndpointChoice, onlyNamed } from '../endpoints/endpoint.ts';
import type { EndpointFinder } from '../endpoints/endpoint-finder.ts';
import { ContentStore } from '../home/content/content-store.ts';
import type { Home } from '../home/home.ts';
import { ImageCache } from '../home/images/image-cache.ts';
import { LocalVms } from '../home/vms/local-vms.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { PeerSearch } from '../peering/peer-search.ts';
import { refuseUpperCase } from '../names/upper-case.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { RegistrySource } from '../registry/mirrors/registry-source.ts';
import type { WebConnection } from '../registry/web-connection.ts';
import { limits, type Limits } from '../registry/request/limits.ts';
import { RateLimit } from '../registry/request/rate-limit.ts';
import type { SentSecrets } from '../registry/request/sent-secrets.ts';
import type { OnWire } from '../registry/wire.ts';
import type { CredentialsFor, SharedOptions } from './open-source.ts';
import type { TransferEvent } from './progress.ts';

export type { CredentialsFor } from './open-source.ts';
export type { WireEvent } from '../registry/wire.ts';

/** Sends one signal to one process. */
export type SendSignal = (pid: number, signal: 'SIGINT' | 'SIGKILL' | 'SIGUSR1') => void;

/**
 * What an operation needs from the world around it. The library reaches for none of this by itself, but for the
 * defaults.
 */
export interface SessionOptions {
  readonly home: Home;
  /** Variables that proxies, certificates and `TART_*` settings are read from. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: the one that this runs on. */
  readonly platform?: NodeJS.Platform;
  /** How many threads may compute at once, a whole number from 1 on. Default: as many as this process may use. */
  readonly processors?: number;
  /**
   * Sends a signal to a process, for a caller that stops or suspends a VM; throws as the system says it. Default:
   * `process.kill`.
   */
  readonly sendSignal?: SendSignal;
  /** See {@link CredentialsFor}. Default: anonymous. */
  readonly credentials?: CredentialsFor;
  /** Whether images are read from the mirrors that are set up on this machine. Default: `configured`. */
  readonly mirrors?: 'configured' | 'off' | undefined;
  /** Wall clock, for records and for ages of files. Default: the system's. */
  readonly now?: () => Date;
  /** Where pulls look for peers that have what is not on this machine, asked when one is. Default: nowhere. */
  readonly peers?: (() => Promise<PeerSearch | undefined>) | undefined;
  /** Told what happens while it happens. */
  readonly onEvent?: (event: TransferEvent) => void;
  /** Told of every request to a registry and of every answer, without their secrets. */
  readonly onWire?: OnWire | undefined;
  /** Told of every request to a registry that this thread sends: what it waits for, should it never end. */
  readonly onRequest?: (request: string) => void;
  /** Ends whatever is under way; what was verified is kept. */
  readonly signal?: AbortSignal;
  readonly userAgent?: string;
  /** Mode of files that are written outside of the home. Default: what the umask leaves of 0666. */
  readonly fileMode?: number | undefined;
  /** How long, how much and how often, where it differs from the numbers of `registry/request/limits.ts`. */
  readonly limits?: Partial<Limits>;
  /**
   * How fast everything of this session comes and goes at most, together: bytes per second, or a budget that others
   * share. Default: no limit.
   */
  readonly limitRate?: number | RateLimit | undefined;
}

/** {@link SessionOptions} with every default in place, and the parts of the home. */
export class Session {
  readonly home: Home;
  readonly images: ImageCache;
  readonly vms: LocalVms;
  readonly contents: ContentStore;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly sendSignal: SendSignal;
  readonly now: () => Date;
  readonly emit: (event: TransferEvent) => void;
  readonly signal: AbortSignal;
  readonly userAgent: string;
  readonly fileMode: number | undefined;
  readonly limits: Limits;
  readonly rateLimit: RateLimit | undefined;
  readonly peers: () => Promise<PeerSearch | undefined>;
  readonly #options: SessionOptions;
  readonly #processors: number | undefined;
  readonly #onWire: OnWire | undefined;
  readonly #credentials: CredentialsFor;
  readonly #mirrors: 'configured' | 'off';
  #finder: EndpointFinder | undefined;
  /** Sizes of parts that registries take, as far as something was too large for them. */
  readonly #partLimits = new Map<string, number>();
  /** What no message may show, whichever registry it is for. */
  #secrets: SentSecrets | undefined;
  readonly #onRequest: (request: string) => void;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.home = options.home.telling((entry, error) =>
      this.emit({ kind: 'note', subject: entry, text: `passed over: ${error.message}` }),
    );
    this.environment = options.environment ?? {};
    this.platform = options.platform ?? process.platform;
    this.#processors = options.processors;
    this.sendSignal = options.sendSignal ?? ((pid, signal) => process.kill(pid, signal));
    this.contents = new ContentStore(this.home, this.platform);
    this.images = new ImageCache(this.home, this.contents);
    this.vms = new LocalVms(this.home, this.platform, this.contents);
    this.now = options.now ?? (() => new Date());
    this.emit = options.onEvent ?? (() => undefined);
    this.#onWire = options.onWire;
    this.signal = options.signal ?? new AbortController().signal;
    this.userAgent = options.userAgent ?? 'Tartlet';
    this.fileMode = options.fileMode;
    this.peers = options.peers ?? (async () => undefined);
    this.limits = { ...limits, ...options.limits };
    this.rateLimit = RateLimit.from(options.limitRate);
    this.#onRequest = options.onRequest ?? (() => undefined);
    this.#mirrors = options.mirrors ?? 'configured';
    this.#credentials = options.credentials ?? (() => ({ find: async () => undefined }));
  }

  /**
   * The same session for a part of its work, which another signal ends as well, and which tells of one subject. Its
   * budget of bytes is the same.
   */
  part(subject: string, signal: AbortSignal): Session {
    return new Session({
      ...this.#options,
      signal: AbortSignal.any([this.signal, signal]),
      limitRate: this.rateLimit,
      onEvent: (event) => this.emit({ ...event, subject }),
    });
  }

  /** The same undertaking, with something of it otherwise: its budget for the network stays one. */
  with(changes: Pick<SessionOptions, 'signal' | 'limits' | 'onEvent'>): Session {
    const rate = this.rateLimit;
    return new Session({
      ...this.#options,
      limitRate: rate,
      ...changes,
      limits: { ...this.limits, ...changes.limits },
    });
  }

  /** How many threads may compute at once. Asked when it is needed: few commands need it. */
  get processors(): number {
    return this.#processors ?? availableParallelism();
  }

  /**
   * Where the system wants temporary files, as Node finds it: by variables of the environment, without the last slash.
   */
  get temporaryDirectory(): string {
    const { TMPDIR, TMP, TEMP } = this.environment;
    const directory = [TMPDIR, TMP, TEMP].find((each) => each !== undefined && each !== '') ?? '/tmp';
    return directory.length > 1 && directory.endsWith('/') ? directory.slice(0, -1) : directory;
  }

  /**
   * A client for the repository of a name, and for no other place: for what is written, logins and lists. The caller
   * closes it. Loaded only here: most commands talk to no registry.
   * @param subject what it is asked about, for events; default: the name.
   * @throws TartletError `NAME_MALFORMED` for a repository in upper case.
   */
  async client(name: RemoteName, insecure: boolean, subject = name.toString()): Promise<RegistryClient> {
    refuseUpperCase(name);
    const loaded = await import('../registry/client.ts');
    return loaded.RegistryClient.forRepository({
      ...(await this.#shared(subject)),
      registry: name.registry,
      repository: name.repository,
      credentials: this.#credentials(name, 'named'),
      insecure,
      limits: this.limits,
      partBytes: this.#partLimits.get(name.registry.toString()),
      onPartLimit: (bytes) => this.#partLimits.set(name.registry.toString(), bytes),
    });
  }

  /**
   * Where an image is read: its registry, and the mirrors of it that are set up on this machine. The caller closes it.
   * @throws TartletError `NAME_MALFORMED` for a repository in upper case, `CONFIG_INVALID` and `DISK_*` for settings
   * that cannot be used.
   */
  async source(name: RemoteName, insecure: boolean): Promise<RegistrySource> {
    refuseUpperCase(name);
    const [{ openSource }, choice] = await Promise.all([import('./open-source.ts'), this.#endpointsOf(name)]);
    return openSource(name, choice, {
      shared: await this.#shared(name.toString()),
      credentials: this.#credentials,
      insecure,
      limits: this.limits,
      emit: this.emit,
    });
  }

  async #endpointsOf(name: RemoteName): Promise<EndpointChoice> {
    if (this.#mirrors === 'off') return onlyNamed(name);
    const { EndpointFinder } = await import('../endpoints/endpoint-finder.ts');
    this.#finder ??= new EndpointFinder({ environment: this.environment });
    return this.#finder.find(name);
  }

  /** What is the same for all clients of an undertaking. */
  async #shared(subject: string): Promise<SharedOptions> {
    const { SentSecrets } = await import('../registry/request/sent-secrets.ts');
    this.#secrets ??= new SentSecrets();
    return {
      userAgent: this.userAgent,
      environment: this.environment,
      secrets: this.#secrets,
      onWire: this.#onWire,
      onRequest: this.#onRequest,
      rateLimit: this.rateLimit,
      onWait: ({ reason, milliseconds }) => this.emit({ kind: 'retrying', subject, reason, waitMs: milliseconds }),
    };
  }

  /**
   * A connection to the web server of an address. The caller closes it. Loaded only here, as that of {@link client}.
   */
  async web(origin: URL, subject: string): Promise<WebConnection> {
    const { webConnection } = await import('../registry/web-connection.ts');
    return webConnection({
      origin,
      userAgent: this.userAgent,
      environment: this.environment,
      limits: this.limits,
      rateLimit: this.rateLimit,
      onWire: this.#onWire,
      onWait: ({ reason, milliseconds }) => this.emit({ kind: 'retrying', subject, reason, waitMs: milliseconds }),
    });
  }
}
