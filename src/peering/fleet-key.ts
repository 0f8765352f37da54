import { hkdfSync } from 'node:crypto';
import { TartletError } from '../errors.ts';

/** Characters. An eavesdropper may try tokens against what was heard (RFC 9257 §4.1): a short one would be found. */
const MIN_TOKEN_LENGTH = 32;
/** Characters. More is a file that was meant for something else. */
const MAX_TOKEN_LENGTH = 4096;

/** Keeps this key apart from all others that could be made of the same text. */
const PURPOSE = 'tartlet-peer-1';

/** What the hosts of a fleet know each other by. Plain data, so that it can cross threads; never shown, never sent. */
export type FleetKey = Uint8Array & { readonly kind?: 'fleet-key' };

/**
 * Makes the key of a fleet from its token. The token itself is not needed any more then.
 *
 * @param token with white space around it, as files have it.
 * @param where it is from, for the message: the name of a variable or a file, never the token.
 * @throws TartletError `CONFIG_INVALID` for one that is too short to be safe, or is no single line.
 */
export function fleetKey(token: string, where: string): FleetKey {
  const text = token.trim();
  const isLine = /^[\x21-\x7e]+$/.test(text);
  if (text.length >= MIN_TOKEN_LENGTH && text.length <= MAX_TOKEN_LENGTH && isLine) {
    return new Uint8Array(hkdfSync('sha256', text, '', PURPOSE, 32));
  }
  const what = isLine ? `has ${text.length} characters` : 'is no line of printable characters without spaces';
  throw new TartletError(
    'CONFIG_INVALID',
    `the fleet token of ${where} ${what}: at least ${MIN_TOKEN_LENGTH} are needed`,
    { subject: where, next: { kind: 'make-fleet-token' } },
  );
}
