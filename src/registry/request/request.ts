import type { Backoff } from './backoff.ts';

/**
 * The one shape of every layer between us and a registry: a request goes in, a response with an unread body comes out.
 */

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Bytes to send. A body is a factory, so that a repeated request sends the same bytes again. */
export interface RequestBody {
  /** Exact length in bytes. It becomes `Content-Length`; sending more or fewer bytes fails the request. */
  readonly length: number;
  /** Opens the bytes from their beginning. Called once per attempt. */
  open(): Uint8Array | AsyncIterable<Uint8Array>;
}

/**
 * What a request needs the right to do: the scope of the token that goes with it. Plain data, so it may cross threads.
 */
export interface Access {
  /** Absent for `/v2/` itself, and for the catalogue. */
  readonly repository?: string | undefined;
  /** The list of all repositories of the registry. */
  readonly catalog?: boolean | undefined;
  readonly action: 'pull' | 'push' | 'delete';
  /** For a cross-repository mount: the repository that must be readable as well. */
  readonly mountFrom?: string | undefined;
}

export interface RegistryRequest {
  readonly method: Method;
  readonly url: URL;
  /** Lower-case names. Never contains `authorization`, except between the authorization layer and the wire. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly access: Access;
  /**
   * Whether doing it twice is the same as once, so that a failed request may be repeated. Otherwise it is repeated only
   * when the registry said that it did nothing (429, 503) or was never reached; after a broken connection the caller
   * must look what happened (reliability N59, N60).
   */
  readonly idempotent: boolean;
  /**
   * What a GET is for, where the reader of its body is done with each piece before it asks for the next: then pieces
   * may be views of memory that is used again.
   */
  readonly transientChunks?: 'blob' | 'manifest';
  /** Counts the failures of something longer that this request is a part of; absent: those of this request alone. */
  readonly backoff?: Backoff;
}

/** Response headers by lower-case name. */
export interface ResponseHeaders {
  /** The value; several lines of one header are joined by `, `. Undefined when absent. */
  get(name: string): string | undefined;
  /** Each line of the header by itself. */
  all(name: string): readonly string[];
}

/**
 * A body that must be read to its end or discarded: a forgotten one holds its connection for ever (reliability N52). It
 * can be taken once: reading one that was read, discarded or destroyed throws `INTERNAL` at once.
 */
export interface ResponseBody extends AsyncIterable<Uint8Array> {
  /**
   * Lets go of the connection: a short rest is read, so that the next request need not connect again; a long or slow
   * one is cut off. Never rejects, and takes a second at most.
   */
  discard(): Promise<void>;
  /** Closes the connection at once, so that nothing else uses it. */
  destroy(): void;
}

/** An answer without its body: to HEAD, or one whose body was discarded. Nothing that reads a body takes it. */
export interface ResponseStart {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** Where the answer came from: after a redirect not where the request was sent. */
  readonly url: URL;
  /**
   * Whether a text of this answer repeats a secret that was sent, in whatever spelling: then it must not be shown
   * (reliability S34). Absent where nothing could have been sent.
   */
  readonly repeatsSecret?: (text: string) => boolean;
  /**
   * Whether a redirect to another origin was followed: what such a server says does not come from the registry
   * (reliability N36, S11).
   */
  readonly crossOrigin: boolean;
}

/** An answer whose body is still to be taken. */
export interface RegistryResponse extends ResponseStart {
  readonly body: ResponseBody;
}

/**
 * Sends one request. Resolves with any HTTP status; rejects with a TartletError (`NET_*`, and what the layers below
 * promise). The body of the response belongs to the caller. `signal` also ends the body.
 */
export type Transport = (request: RegistryRequest, signal?: AbortSignal) => Promise<RegistryResponse>;
