/** Which kind of address a request was for; `unknown` for none, and for what was refused before that was looked at. */
export type RouteKind =
  | 'base'
  | 'catalog'
  | 'tags'
  | 'referrers'
  | 'manifest'
  | 'blob'
  | 'uploads'
  | 'upload'
  | 'page'
  | 'page-file'
  | 'peers'
  | 'metrics'
  | 'health'
  | 'unknown';

/** What the registry tells its `log` callback. Never a secret: no query strings, no headers, no tokens. */
export type RegistryEvent =
  /** The answer is closed and nothing works on the request any more. */
  | {
      readonly kind: 'request';
      readonly method: string;
      /** Path without its query. */
      readonly path: string;
      readonly route: RouteKind;
      /** The repository that the address names, when it was one. */
      readonly repository: string | undefined;
      /** 0 when the client went away before an answer. */
      readonly status: number;
      readonly durationMs: number;
      /** Bytes of the body that were read. */
      readonly receivedBytes: number;
      /** Bytes of the answer that have left this process, its head included. */
      readonly sentBytes: number;
      /** Address of the client. */
      readonly remote: string;
      /** The user who asked, where one logged in. */
      readonly user: string | undefined;
      /** As the client calls itself, at most 256 characters. */
      readonly userAgent: string | undefined;
    }
  /** Something that is our fault; the client got a 500 or 507. */
  | { readonly kind: 'failure'; readonly method: string; readonly path: string; readonly message: string }
  /** A cache got no answer that it could use. The client heard so, or got an old answer. */
  | { readonly kind: 'upstream-failed'; readonly upstream: string; readonly what: string; readonly message: string }
  | { readonly kind: 'uploads-expired'; readonly count: number }
  | {
      readonly kind: 'garbage-collected';
      readonly blobs: number;
      readonly bytes: number;
    };
