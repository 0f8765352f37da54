/** What the registry tells its `log` callback. Never a secret: no query strings, no headers, no tokens. */
export type RegistryEvent =
  /** The answer is closed and nothing works on the request any more. */
  | {
      readonly kind: 'request';
      readonly method: string;
      /** Path without its query. */
      readonly path: string;
      /** 0 when the client went away before an answer. */
      readonly status: number;
      readonly durationMs: number;
      /** Address of the client. */
      readonly remote: string;
      /** The user who asked, where one logged in. */
      readonly user: string | undefined;
    }
  /** Something that is our fault; the client got a 500 or 507. */
  | { readonly kind: 'failure'; readonly method: string; readonly path: string; readonly message: string }
  | { readonly kind: 'uploads-expired'; readonly count: number }
  | {
      readonly kind: 'garbage-collected';
      readonly blobs: number;
      readonly bytes: number;
    };
