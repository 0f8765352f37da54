import type { CacheFacts } from './cache-facts.ts';
import type { LocalContent } from './local-content.ts';
import type { PeerRegister } from './peer-register.ts';
import type { StoreStatus } from './store-status.ts';
import type { Stores } from './stores.ts';

/** Who sent a request, for content that is not the same for every client. */
export interface Asker {
  /** The user who logged in; undefined for any client, where no login is needed. */
  readonly user: string | undefined;
  /** The client, as limits count it. */
  readonly client: string;
  /** The `Authorization` header as it came: a secret, never to be shown. */
  readonly authorization: string | undefined;
  /** The query of the address. */
  readonly query: URLSearchParams;
  /** The first `Via` headers that the request came with, each a proxy on its way (RFC 9110 §7.6.3). */
  readonly via: string | undefined;
}

/** What a server serves, from before its first request until after its last one. */
export interface ServedContent {
  /** Again after {@link close}. @throws TartletError when the content cannot be used. */
  open(): Promise<void>;
  /** What the client of one request is served from. Costs nothing: it is asked for with every request. */
  storesFor(asker: Asker): Stores;
  /**
   * Asked at `GET /v2/`, where clients try a login. Without it every client that was let in is welcome.
   * @throws Refusal when the login is good for nothing.
   */
  greet?(asker: Asker): Promise<void>;
  /** What the web page may show to the client of one request. Without it, the page shows what else is known. */
  local?(asker: Asker): LocalContent;
  /** What is stored, and whether it can be read. Without it, readiness is that the process answers. */
  status?(): StoreStatus;
  /** Where the content is a cache: what it has done. Costs no more than reading counters. */
  facts?(): CacheFacts;
  /** Where a list of hosts that answer peers is kept. */
  readonly peers?: PeerRegister;
  /** Idempotent. */
  close(): Promise<void>;
}
