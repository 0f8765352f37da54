import { TartletError } from '../errors.ts';
import { isJsonObject, type JsonObject } from '../json/foreign.ts';

/** A secret without its address; {@link Credential} binds it to one. */
export type Secret =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity-token'; readonly token: string };

/** The user name by which Docker marks that the password is an identity token (docker-credential-helpers protocol). */
const TOKEN_USER = '<token>';

/** What an entry of `auths` says. An empty one only marks that a helper knows the registry. */
export type AuthEntry =
  | { readonly kind: 'empty' }
  | { readonly kind: 'secret'; readonly secret: Secret }
  /** A bearer token to be sent as it is; it names no user and cannot be renewed, so we do not use it. */
  | { readonly kind: 'registry-token' };

/** A user name and a password as Docker means them. */
export function secretOf(username: string, password: string): Secret {
  return username === TOKEN_USER
    ? { kind: 'identity-token', token: password }
    : { kind: 'password', username, password };
}

/** The pair that stands for a secret in the protocol of the helpers: the inverse of {@link secretOf}. */
export function pairOf(secret: Secret): { readonly username: string; readonly password: string } {
  return secret.kind === 'password' ? secret : { username: TOKEN_USER, password: secret.token };
}

/**
 * Reads one entry in Docker's order: identity token, `auth`, `username` with `password`. Unknown fields are left alone.
 *
 * @param place where it stands, for the message; the message holds nothing of the entry.
 * @throws TartletError `CONFIG_INVALID`
 */
export function parseAuthEntry(value: unknown, place: string): AuthEntry {
  if (value === null) return { kind: 'empty' };
  if (!isJsonObject(value)) throw invalid(place, 'it is not an object');
  const token = textField(value, 'identitytoken', place);
  if (token !== '') return { kind: 'secret', secret: { kind: 'identity-token', token } };
  const auth = textField(value, 'auth', place);
  if (auth !== '') return decodeAuth(auth, place);
  const username = textField(value, 'username', place);
  const password = textField(value, 'password', place);
  if (username !== '' && password !== '') return { kind: 'secret', secret: secretOf(username, password) };
  return textField(value, 'registrytoken', place) === '' ? { kind: 'empty' } : { kind: 'registry-token' };
}

/** The entry that Docker would write. */
export function encodeAuthEntry(secret: Secret): Readonly<Record<string, string>> {
  if (secret.kind === 'identity-token') return { identitytoken: secret.token };
  return { auth: Buffer.from(`${secret.username}:${secret.password}`, 'utf8').toString('base64') };
}

/**
 * Base64 of `user:password`, with or without padding. Only the first colon divides: the others are the password's
 * (openai/tart#1251).
 */
function decodeAuth(auth: string, place: string): AuthEntry {
  const base64 = auth.replaceAll(/[\r\n\t ]/g, '').replace(/={1,2}$/, '');
  // Node skips what is no base64, and would make another password of it.
  if (!/^[A-Za-z0-9+/_-]+$/.test(base64) || base64.length % 4 === 1) throw invalid(place, 'its "auth" is not base64');
  let pair: string;
  try {
    pair = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(base64, 'base64'));
  } catch {
    throw invalid(place, 'its "auth" is not UTF-8 text'); // No cause: nothing of it may be shown.
  }
  const colon = pair.indexOf(':');
  if (colon < 0) throw invalid(place, 'its "auth" has no ":" between user and password');
  // Docker itself drops zero bytes around the password: early versions padded it with them.
  // oxlint-disable-next-line no-control-regex -- zero bytes are meant
  const password = pair.slice(colon + 1).replaceAll(/^\u0000+|\u0000+$/g, '');
  const username = pair.slice(0, colon);
  if (username === '' && password === '') return { kind: 'empty' };
  return { kind: 'secret', secret: secretOf(username, password) };
}

function textField(entry: JsonObject, field: string, place: string): string {
  const value = entry[field];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw invalid(place, `its "${field}" is not a text`);
  return value;
}

function invalid(place: string, why: string): TartletError {
  return new TartletError('CONFIG_INVALID', `${place} cannot be used: ${why}`, {
    subject: place,
    next: { kind: 'log-in-anew' },
  });
}
