import { randomBytes } from 'node:crypto';
import { describeError, TartletError } from '../errors.ts';
import { diskCode } from '../fs/disk-error.ts';
import { Repository } from '../names/repository.ts';
import { systemClock } from '../registry/request/clock.ts';
import type { CacheFacts } from '../server/contract/cache-facts.ts';
import { Refusal } from '../server/contract/refusal.ts';
import type { Asker, ServedContent } from '../server/contract/served-content.ts';
import type { StoreStatus } from '../server/contract/store-status.ts';
import type { Stores } from '../server/contract/stores.ts';
import type { RegistryEvent } from '../server/settings/event.ts';
import { DataDirectory } from '../server/store/data-directory.ts';
import { type Asked, UpstreamAccess, withDeadline } from './access.ts';
import { BlobRecords, type BlobWord } from './blob-records.ts';
import { BlobCache, type BlobCacheEvent } from './blobs/blob-cache.ts';
import { UpstreamClients, type UpstreamClientsSettings } from './clients.ts';
import { DocumentWork } from './document-work.ts';
import { KnownPeers } from './known-peers.ts';
import { hasLogin, identityFor, identityKey, type LoginRule, upstreamOfLogin } from './login.ts';
import { NO_CATALOG, NO_UPLOADS } from './read-only.ts';
import { RepositoryRecords } from './repository-records.ts';
import { SingleFlight } from './single-flight.ts';
import { sweepRecords } from './sweep.ts';
import { type BlobWork, UpstreamBlobs } from './upstream-blobs.ts';
import { isDenial, refusalOf } from './upstream-failure.ts';
import { UpstreamManifests } from './upstream-manifests.ts';
import { parseUpstreamText, upstreamText } from './upstream-name.ts';
import { UpstreamTags } from './upstream-tags.ts';
import type { Upstream, UpstreamRepository, Upstreams } from './upstreams.ts';
import { Usage } from './usage.ts';
import { ViaLoop } from './via.ts';

/** What the content is made from; every default is filled in. */
export interface SiteContentSettings extends Omit<UpstreamClientsSettings, 'secret'> {
  readonly dataDirectory: string;
  readonly upstreams: Upstreams;
  readonly loginRule: LoginRule;
  /** Milliseconds. */
  readonly ttlMs: number;
  /** Milliseconds. */
  readonly maxStaleMs: number;
  /** Bytes. */
  readonly budgetBytes: number;
  /** Bytes. */
  readonly freeBytes: number;
  readonly log: (event: RegistryEvent) => void;
}

/** Old records are looked for this often, in milliseconds. */
const SWEEP_EVERY = 3_600_000;
/** How long an upstream may take to judge a login, in milliseconds. */
const LOGIN_MS = 20_000;
/** Asked with a login that no repository is named for. */
const NO_REPOSITORY = Repository.parse('login');

/** Everything that is open as long as the cache is. */
interface Opened {
  readonly directory: DataDirectory;
  readonly cache: BlobCache;
  readonly blobWork: BlobWork;
  readonly sweeper: NodeJS.Timeout;
}

/** What upstreams have, below one directory: each client sees what its login may read. */
export class SiteContent implements ServedContent {
  readonly #settings: SiteContentSettings;
  readonly #secret = randomBytes(32);
  readonly #access: UpstreamAccess;
  readonly #documents: DocumentWork;
  readonly #clients: UpstreamClients;
  readonly #usage: Usage;
  readonly #loop = new ViaLoop();
  readonly peers: KnownPeers;
  #opened: Opened | undefined;

  constructor(settings: SiteContentSettings) {
    const { now, ttlMs, maxStaleMs } = settings;
    this.#settings = settings;
    this.#access = new UpstreamAccess({ now, maxStaleMs, log: settings.log });
    this.#documents = new DocumentWork({ access: this.#access, now, ttlMs, onFault: (error) => this.#fault(error) });
    this.#clients = new UpstreamClients({ ...settings, secret: this.#secret });
    this.#usage = new Usage(now);
    this.peers = new KnownPeers(now, () => systemClock.random());
  }

  async open(): Promise<void> {
    const { dataDirectory, now, budgetBytes, freeBytes } = this.#settings;
    const directory = new DataDirectory(dataDirectory);
    try {
      await directory.make();
      await directory.lock();
      await directory.prepare();
      await directory.claim('cache');
      await directory.sweepStaging(0, new Set());
      const records = new BlobRecords(directory);
      const onVerified = async (...[digest, upstream]: Parameters<BlobRecords['setVerified']>): Promise<void> =>
        records.setVerified(digest, upstream).catch((error: unknown) => this.#fault(error));
      const cache = await BlobCache.load({
        directory,
        now,
        budgetBytes,
        freeBytes,
        onVerified,
        onEvent: (event) => this.#flown(event),
      });
      const sweeper = setInterval(() => void this.#sweep(directory), SWEEP_EVERY).unref();
      const blobWork = {
        access: this.#access,
        blobs: cache,
        records,
        questions: new SingleFlight<BlobWord | undefined>(),
      };
      this.#opened = { directory, cache, sweeper, blobWork };
    } catch (cause) {
      await directory.release();
      throw cause instanceof TartletError ? cause : unusable(directory.root, cause);
    }
  }

  storesFor(asker: Asker): Stores {
    const { directory, blobWork } = this.#open;
    const askedFor = (name: Repository): Asked =>
      this.#asked(asker, this.#settings.upstreams.find(name, asker.query), directory);
    return {
      blobs: new UpstreamBlobs(blobWork, askedFor),
      manifests: new UpstreamManifests(this.#documents, askedFor),
      tags: new UpstreamTags(this.#documents, askedFor),
      uploads: NO_UPLOADS,
      catalog: NO_CATALOG,
    };
  }

  /** Where a client logs in, the upstream says whether its login is good. */
  async greet(asker: Asker): Promise<void> {
    const { loginRule, upstreams } = this.#settings;
    if (loginRule.kind === 'own-users' || !hasLogin(asker)) return;
    const named = parseUpstreamText(upstreamOfLogin(asker) ?? '');
    const upstream = upstreams.root ?? (named === undefined ? undefined : upstreams.allowed(named));
    if (upstream === undefined) throw unnamedLogin();
    const place = { upstream, repository: NO_REPOSITORY };
    const identity = identityFor(upstream, asker, loginRule);
    this.#access.takeAttempt(asker.client);
    const { documents } = this.#clients.for(place, identity, this.#loop.onward(asker.via));
    try {
      await withDeadline(LOGIN_MS, upstream.address.toString(), async (signal) => documents.ping({ signal }));
    } catch (error) {
      // An upstream that does not answer has refused nothing: a login that is right must not be locked out with it.
      if (!isDenial(error)) this.#access.giveBackAttempt(asker.client);
      throw refusalOf(error, upstream.address.toString(), loginAdvice(upstream, loginRule));
    }
    this.#access.giveBackAttempt(asker.client);
  }

  status(): StoreStatus {
    const { directory, cache } = this.#open;
    const collected = { runs: 0, blobs: 0, bytes: 0 };
    return {
      facts: () => {
        const { stored, heldBytes } = cache.stats();
        return { stored: { blobs: stored, bytes: heldBytes }, openUploads: 0, collected };
      },
      check: async () => directory.check(),
    };
  }

  facts(): CacheFacts {
    const { stored, flights, evicted, hits, misses, fetchedBytes, servedBytes } = this.#open.cache.stats();
    return {
      blobHits: hits,
      blobMisses: misses,
      fetchedBlobBytes: fetchedBytes,
      servedBlobBytes: servedBytes,
      upstreams: this.#settings.upstreams.texts,
      repositories: this.#usage.repositories,
      storedBlobs: stored,
      flights,
      evictedBlobs: evicted,
    };
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await this.#clients.close();
    if (opened === undefined) return;
    clearInterval(opened.sweeper);
    await opened.cache.close();
    await opened.directory.release();
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new Refusal(503, 'UNKNOWN', 'the cache is closed');
    return this.#opened;
  }

  #asked(asker: Asker, place: UpstreamRepository, directory: DataDirectory): Asked {
    const { loginRule } = this.#settings;
    const upstream = place.upstream.address.toString();
    const via = this.#loop.onward(asker.via);
    const identity = identityFor(place.upstream, asker, loginRule);
    return {
      place,
      upstream,
      identity,
      key: identityKey(this.#secret, identity, upstream, place.repository.text),
      client: this.#clients.for(place, identity, via),
      records: new RepositoryRecords(directory, place),
      usage: this.#usage.of(upstream, place.repository.text),
      asker: asker.client,
      loginAdvice: loginAdvice(place.upstream, loginRule),
    };
  }

  async #sweep(directory: DataDirectory): Promise<void> {
    await sweepRecords(directory, this.#settings.now()).catch((error: unknown) => this.#fault(error));
  }

  #flown(event: BlobCacheEvent): void {
    const { upstream } = event;
    const what = `blob ${event.digest.toString()}`;
    if (event.kind === 'not-spooled') this.#fault(new Error(`${what} cannot be kept: ${event.reason}`));
    if (event.kind !== 'refused' && event.kind !== 'broken-off') return;
    this.#settings.log({ kind: 'upstream-failed', upstream, what, message: event.reason });
  }

  #fault(error: unknown): void {
    this.#settings.log({ kind: 'failure', method: '', path: '', message: describeError(error) });
  }
}

/** What helps a client that an upstream does not know. */
function loginAdvice(upstream: Upstream, rule: LoginRule): string | undefined {
  if (rule.kind === 'own-users') return undefined;
  if (rule.root !== undefined) return `log in to this cache as you would to ${upstream.address.toString()}`;
  return `log in to this cache with a user name that ends with @${upstreamText(upstream.address)}`;
}

function unnamedLogin(): Refusal {
  const text = 'the user name of a login for this cache ends with the registry that it is for, as in NAME@ghcr.io';
  return new Refusal(403, 'DENIED', text);
}

function unusable(directory: string, cause: unknown): TartletError {
  const text = `the cache cannot use the directory ${directory}: ${describeError(cause)}`;
  return new TartletError(diskCode(cause), text, {
    subject: directory,
    next: { kind: 'choose-data-directory' },
    cause,
  });
}
