import { performance } from 'node:perf_hooks';
import type { CredentialStoreSettings } from '../credentials/settings.ts';
import { isTartletError } from '../errors.ts';
import type { Home } from '../home/home.ts';
import { isInOrder } from '../migration/marker.ts';
import type { RateLimit } from '../registry/request/rate-limit.ts';
import type { OnWire } from '../registry/wire.ts';
import type { TransferEvent } from '../session/progress.ts';
import { type CredentialsFor, Session, type SessionOptions } from '../session/session.ts';
import type { RunProcess } from './running-vm.ts';
import { type OperationOptions, progressListener } from './operation.ts';

/** What a {@link Tartlet} is made from: `openTartlet` takes it from the process. */
export interface TartletSettings {
  readonly home: Home;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly migrate: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: ((event: TransferEvent) => void) | undefined;
  readonly onWire: OnWire | undefined;
  readonly userAgent: string | undefined;
  /** Of all operations together. */
  readonly rateLimit: RateLimit | undefined;
  /** See `SessionOptions.peers`. */
  readonly peers: SessionOptions['peers'];
  readonly credentialSettings: CredentialStoreSettings;
  readonly credentials: CredentialsFor;
  /** See `SessionOptions.mirrors`. */
  readonly mirrors: 'configured' | 'off';
  /** What runs VMs here. */
  readonly process: RunProcess;
}

/** The operations of one home that are under way. */
export class Operations {
  readonly #settings: TartletSettings;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(settings: TartletSettings) {
    this.#settings = settings;
  }

  /**
   * @param cache `in-order`: an old cache is migrated first; `untouched`: for what looks at it as it is, or not at all.
   */
  async run<T>(
    options: OperationOptions,
    work: (session: Session) => Promise<T>,
    cache: 'in-order' | 'untouched' = 'in-order',
  ): Promise<T> {
    const operation = this.#run(this.session(options), work, cache);
    this.#underWay.add(operation);
    try {
      return await operation;
    } finally {
      this.#underWay.delete(operation);
    }
  }

  /** Lets {@link close} wait for what goes on when its operation has returned. */
  track(work: Promise<unknown>): void {
    const over = work.catch(() => undefined).finally(() => this.#underWay.delete(over));
    this.#underWay.add(over);
  }

  /** What an operation is given of the world. */
  session(options: OperationOptions): Session {
    const { home, environment, credentials, mirrors, peers, userAgent, ...defaults } = this.#settings;
    const { onProgress, onEvent = defaults.onEvent, onWire = defaults.onWire, limitRate } = options;
    const onChange = onProgress === undefined ? undefined : progressListener(onProgress, () => performance.now());
    return new Session({
      home,
      environment,
      credentials,
      mirrors: options.mirrors ?? mirrors,
      peers,
      onWire,
      limitRate: limitRate ?? defaults.rateLimit,
      onEvent: (event) => {
        onEvent?.(event);
        onChange?.(event);
      },
      signal: AbortSignal.any(
        [this.#closing.signal, defaults.signal, options.signal].filter((signal) => signal !== undefined),
      ),
      ...(userAgent === undefined ? {} : { userAgent }),
    });
  }

  /** Ends all of them, and waits until they have ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
  }

  async #run<T>(session: Session, work: (session: Session) => Promise<T>, cache: 'in-order' | 'untouched'): Promise<T> {
    session.signal.throwIfAborted();
    if (cache === 'in-order') {
      session.home.requireDirectory();
      if (this.#settings.migrate && !isInOrder(session.home)) await migrate(session);
    }
    return work(session);
  }
}

/** What the disk refuses stops no operation: everything can be used as it lies. */
async function migrate(session: Session): Promise<void> {
  const subject = session.home.root;
  try {
    const { migrateCache } = await import('../migration/migrate.ts');
    await migrateCache(session, {
      onWait: () => session.emit({ kind: 'waiting', subject, reason: 'another process is migrating the cache' }),
    });
  } catch (error) {
    if (!isTartletError(error, 'DISK_READONLY', 'DISK_DENIED', 'DISK_FULL', 'DISK_IO', 'DISK_UNSUPPORTED')) throw error;
    session.emit({ kind: 'note', subject, text: `the cache was not migrated: ${error.message}` });
  }
}
