import type { CredentialSource } from '../credentials/credential.ts';
import { ContentStore } from '../home/content/content-store.ts';
import type { Home } from '../home/home.ts';
import { ImageCache } from '../home/images/image-cache.ts';
import { LocalVms } from '../home/vms/local-vms.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { refuseUpperCase } from '../names/upper-case.ts';
import type { RegistryClient } from '../registry/client.ts';
import { limits, type Limits } from '../registry/request/limits.ts';
import type { SentSecrets } from '../registry/request/sent-secrets.ts';
import type { OnWire } from '../registry/wire.ts';
import type { TransferEvent } from './progress.ts';

export type { WireEvent } from '../registry/wire.ts';

/** What an operation needs from the world around it. The library reaches for none of this by itself. */
export interface SessionOptions {
  readonly home: Home;
  /** Variables that proxies, certificates and `TART_*` settings are read from. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: linux. */
  readonly platform?: NodeJS.Platform;
  /** Who we are, asked with the registry of the name at hand. Default: nobody. */
  readonly credentials?: (name: RemoteName) => CredentialSource;
  /** Wall clock, for records only. Default: the system's. */
  readonly now?: () => Date;
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
}

/** {@link SessionOptions} with every default in place, and the parts of the home. */
export class Session {
  readonly home: Home;
  readonly images: ImageCache;
  readonly vms: LocalVms;
  readonly contents: ContentStore;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly now: () => Date;
  readonly emit: (event: TransferEvent) => void;
  readonly signal: AbortSignal;
  readonly userAgent: string;
  readonly fileMode: number | undefined;
  readonly limits: Limits;
  readonly #onWire: OnWire | undefined;
  readonly #credentials: (name: RemoteName) => CredentialSource;
  /** Sizes of parts that registries take, as far as something was too large for them. */
  readonly #partLimits = new Map<string, number>();
  /** What no message may show, whichever registry it is for. */
  #secrets: SentSecrets | undefined;
  readonly #onRequest: (request: string) => void;

  constructor(options: SessionOptions) {
    this.home = options.home.telling((entry, error) =>
      this.emit({ kind: 'note', subject: entry, text: `passed over: ${error.message}` }),
    );
    this.environment = options.environment ?? {};
    this.platform = options.platform ?? 'linux';
    this.contents = new ContentStore(this.home, this.platform);
    this.images = new ImageCache(this.home, this.contents);
    this.vms = new LocalVms(this.home, this.platform, this.contents);
    this.now = options.now ?? (() => new Date());
    this.emit = options.onEvent ?? (() => undefined);
    this.#onWire = options.onWire;
    this.signal = options.signal ?? new AbortController().signal;
    this.userAgent = options.userAgent ?? 'Tartlet';
    this.fileMode = options.fileMode;
    this.limits = { ...limits, ...options.limits };
    this.#onRequest = options.onRequest ?? (() => undefined);
    this.#credentials = options.credentials ?? (() => ({ find: async () => undefined }));
  }

  /**
   * A client for the repository of a name. The caller closes it. Loaded only here: most commands talk to no registry.
   * @throws TartletError `NAME_MALFORMED` for a repository in upper case.
   */
  async client(name: RemoteName, insecure: boolean): Promise<RegistryClient> {
    refuseUpperCase(name);
    const [loaded, forSecrets] = await Promise.all([
      import('../registry/client.ts'),
      import('../registry/request/sent-secrets.ts'),
    ]);
    this.#secrets ??= new forSecrets.SentSecrets();
    return loaded.RegistryClient.forRepository({
      registry: name.registry,
      repository: name.repository,
      userAgent: this.userAgent,
      environment: this.environment,
      credentials: this.#credentials(name),
      secrets: this.#secrets,
      insecure,
      onWire: this.#onWire,
      limits: this.limits,
      onRequest: this.#onRequest,
      partBytes: this.#partLimits.get(name.registry.toString()),
      onPartLimit: (bytes) => this.#partLimits.set(name.registry.toString(), bytes),
      onWait: ({ reason, milliseconds }) =>
        this.emit({ kind: 'retrying', subject: name.toString(), reason, waitMs: milliseconds }),
    });
  }
}
