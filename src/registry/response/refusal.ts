import { type ErrorCode, isTartletError, TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import { fieldOf, parseJson, textOf } from '../../json/foreign.ts';
import { Digest } from '../../names/digest.ts';
import { adviceFor, type Said } from './advice.ts';
import { contentCoding, decodedBody, readAtMost } from './document.ts';
import { limits } from '../request/limits.ts';
import { hostAndPort } from '../request/network-error.ts';
import { tlsComplaint } from './plain-http.ts';
import { cleanText, firstUsefulLine } from '../request/redact.ts';
import type { Access, RegistryResponse, ResponseStart } from '../request/request.ts';

/**
 * What an answer means that the caller did not expect, by status; anything else is `REG_REJECTED`, and 5xx
 * `REG_UNAVAILABLE`.
 */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [401, 'AUTH_REQUIRED'],
  [403, 'AUTH_DENIED'],
  [404, 'NOT_FOUND'],
  [408, 'REG_UNAVAILABLE'],
  [429, 'RATE_LIMITED'],
  [499, 'REG_UNAVAILABLE'],
]);

/** Statuses whose number says less than a sentence would. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
  [413, 'that is more than it takes in one request'],
  [507, 'it has no space left'],
]);

export interface RefusalContext {
  /** What could not be done, as the beginning of a sentence: `cannot read the manifest a/b:latest`. */
  readonly what: string;
  readonly subject: string;
  /** Replaces the code that the status would give. */
  readonly code?: ErrorCode | undefined;
  /** What to do; not told for answers that a later try may change, because then it is not the request that is wrong. */
  readonly next?: Hint | undefined;
  /** What the request was for; default: to read. Decides about the next step. */
  readonly action?: Access['action'];
  /** Whether to try again, by our code and the registry's first one; replaces what our code alone says. */
  readonly retryable?: (code: ErrorCode, complaint: string | undefined) => boolean;
}

/** What a registry said in an error body: the OCI error codes, and one line for people. Both cleaned. */
export interface Complaint extends Said {
  /** Digests that the body names anywhere: each registry has another place for them. */
  readonly digests: readonly Digest[];
}

/** Instead of what a registry said. */
const NOT_SHOWN = 'its answer repeats our login, and is not shown';

/** What is said where an answer has no body: to HEAD. */
export const NOTHING_SAID: Complaint = { codes: [], line: '', isPage: false, digests: [] };

/** The error that an unexpected answer amounts to. Reads and closes its body, which must not have been taken before. */
export async function refused(response: RegistryResponse, context: RefusalContext): Promise<TartletError> {
  return refusal(response, await readComplaint(response), context);
}

/** The same for a caller that has read the body already, or knows that there is none ({@link NOTHING_SAID}). */
export function refusal(response: ResponseStart, complaint: Complaint, context: RefusalContext): TartletError {
  const { status } = response;
  const misunderstanding = status === 400 ? tlsComplaint(response, context.what, complaint.line) : undefined;
  if (misunderstanding !== undefined) return misunderstanding;
  const said = [MEANINGS.get(status), complaint.line].filter((part) => part !== undefined && part !== '').join(': ');
  const code = context.code ?? codeOf(response);
  const host = hostAndPort(response.url);
  // What was said counts more than what could be meant by the status.
  const next =
    adviceFor(response, complaint, context.action ?? 'pull') ?? (isTransient(code) ? undefined : context.next);
  return new TartletError(code, `${context.what}: ${host} answered ${status}${said === '' ? '' : ` (${said})`}`, {
    subject: context.subject,
    status,
    retryable: context.retryable?.(code, complaint.codes[0]) ?? isTransient(code),
    // The OCI error code, for callers that know what to do about it (`MANIFEST_BLOB_UNKNOWN`).
    found: complaint.codes[0],
    next,
  });
}

function codeOf({ status, crossOrigin }: ResponseStart): ErrorCode {
  // The storage behind the registry says nothing about our rights (reliability N36, S11).
  if (crossOrigin && (status === 401 || status === 403)) return 'REG_UNAVAILABLE';
  return CODES.get(status) ?? (status >= 500 ? 'REG_UNAVAILABLE' : 'REG_REJECTED');
}

function isTransient(code: ErrorCode): boolean {
  return code === 'REG_UNAVAILABLE' || code === 'RATE_LIMITED';
}

/**
 * Reads an error body: OCI JSON, plain text, HTML or nothing, at most 64 KiB of it (reliability Q21).
 * The status is what matters, and a body that cannot be read does not hide it.
 * @throws TartletError `INTERNAL` for a body that was taken before: a mistake of ours.
 */
export async function readComplaint(response: RegistryResponse): Promise<Complaint> {
  try {
    const coding = contentCoding(response);
    const body = coding === undefined ? response.body : decodedBody(response, coding);
    const { bytes } = await readAtMost(body, limits.errorBodyBytes);
    const text = new TextDecoder().decode(bytes);
    return { ...withoutSecrets(understand(text), text, response), digests: digestsIn(text) };
  } catch (error) {
    if (isTartletError(error, 'INTERNAL')) throw error;
    return NOTHING_SAID;
  } finally {
    response.body.destroy();
  }
}

/**
 * What a registry says while it repeats our login is not shown: there are more ways to spell a secret than to cut it
 * out.
 */
function withoutSecrets(
  said: Omit<Complaint, 'digests'>,
  text: string,
  { repeatsSecret = () => false }: ResponseStart,
): Omit<Complaint, 'digests'> {
  // Of the body its beginning, too: in the line a secret may be cut off in its middle.
  const isRepeated = [said.line, text.slice(0, 2000)].some((each) => repeatsSecret(each));
  if (!isRepeated) return said;
  return { ...said, codes: said.codes.filter((code) => !repeatsSecret(code)), line: NOT_SHOWN };
}

function digestsIn(text: string): Digest[] {
  const named = text.match(/\bsha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})\b/g) ?? [];
  return [...new Set(named)].map((digest) => Digest.parse(digest));
}

function understand(text: string): Omit<Complaint, 'digests'> {
  const errors = errorsOf(text);
  if (errors.length > 0) {
    const line = errors.map(({ code, message }) => [code, message].filter((part) => part !== '').join(': ')).join('; ');
    return {
      codes: errors.map(({ code }) => code).filter((code) => code !== ''),
      line: cleanText(line),
      isPage: false,
    };
  }
  if (/^\s*<(?:!doctype|html|head|body)/i.test(text)) {
    const title = /<title[^>]{0,200}>([^<]{1,200})/i.exec(text)?.[1];
    return { codes: [], line: `an HTML page${title === undefined ? '' : `: ${firstUsefulLine(title)}`}`, isPage: true };
  }
  return { codes: [], line: firstUsefulLine(text), isPage: false };
}

/** `{"errors":[{"code","message","detail"}]}` of the distribution spec § error codes; anything else gives none. */
function errorsOf(text: string): { code: string; message: string }[] {
  const parsed = parseJson(text);
  const errors = fieldOf(parsed, 'errors');
  const listed: unknown[] = Array.isArray(errors) ? errors : [parsed];
  return listed
    .slice(0, 5)
    .map((error) => ({
      code: textField(error, 'code'),
      message: withDetail(textField(error, 'message') || textField(error, 'details'), fieldOf(error, 'detail')),
    }))
    .filter(({ code, message }) => code !== '' || message !== '');
}

/**
 * The specification lets `detail` be anything. Often it is where the reason stands, and sometimes the message again.
 */
function withDetail(message: string, detail: unknown): string {
  const isSaid = typeof detail === 'string' || (typeof detail === 'object' && detail !== null);
  const text = isSaid ? cleanText(typeof detail === 'string' ? detail : JSON.stringify(detail), 200) : '';
  if (text === '' || text === '{}' || text === '[]' || message.includes(text)) return message;
  return message === '' ? text : `${message} (${text})`;
}

function textField(value: unknown, name: string): string {
  return cleanText(textOf(value, name) ?? '', 200);
}
