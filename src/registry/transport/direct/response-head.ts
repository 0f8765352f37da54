/** The beginning of an HTTP/1.1 response. */
export interface ResponseHead {
  readonly status: number;
  /** By lower-case name, each line by itself. */
  readonly headers: Readonly<Record<string, string[]>>;
  /** Bytes of its body. */
  readonly length: number;
  /** Whether the connection can be used again. */
  readonly keepsAlive: boolean;
}

const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/**
 * Reads a response head, without the blank line, if it is as plain as can be: HTTP/1.1, a final status that has a body,
 * exactly one length, no coding, every line well formed (RFC 9112). Undefined for anything else: that is for a library
 * to judge.
 */
export function parsePlainHead(text: string): ResponseHead | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const status = Number(/^HTTP\/1\.1 ([2-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(first)?.[1]);
  if (Number.isNaN(status) || status === 204 || status === 304) return undefined;
  // Without a prototype: a header may be called `constructor`.
  const headers = Object.create(null) as Record<string, string[]>;
  for (const line of lines) {
    const [, name, value] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    (headers[name.toLowerCase()] ??= []).push(value);
  }
  const [length, ...others] = headers['content-length'] ?? [];
  if (length === undefined || others.length > 0 || !/^\d{1,15}$/.test(length)) return undefined;
  if ('transfer-encoding' in headers || 'content-encoding' in headers || 'upgrade' in headers) return undefined;
  const connection = (headers['connection'] ?? []).join(',').toLowerCase();
  return { status, headers, length: Number(length), keepsAlive: !connection.includes('close') };
}
