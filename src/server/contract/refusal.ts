/** Error codes of the distribution spec (§ error codes), with `UNKNOWN` for faults that are ours. */
export type RefusalCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

interface RefusalExtras {
  /** Becomes `detail` of the error body; must be safe to show to any client. */
  readonly detail?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * An answer other than the one hoped for: thrown by whatever notices, written by the request handler, and never seen
 * outside this floor. It is not a failure of the server, so it is no TartletError.
 */
export class Refusal extends Error {
  readonly status: number;
  readonly code: RefusalCode;
  readonly detail: unknown;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: RefusalCode, message: string, extras: RefusalExtras = {}) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.detail = extras.detail;
    this.headers = extras.headers ?? {};
  }

  /** The error body of the spec, as JSON text. */
  get body(): string {
    const detail = this.detail === undefined ? {} : { detail: this.detail };
    return JSON.stringify({ errors: [{ code: this.code, message: this.message, ...detail }] });
  }
}

/** 507 Insufficient Storage. */
export function storageFull(why: string): Refusal {
  return new Refusal(507, 'UNKNOWN', why);
}
