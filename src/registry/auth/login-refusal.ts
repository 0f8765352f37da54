import type { Credential } from '../../credentials/credential.ts';
import { USERNAME_VARIABLE } from '../../credentials/environment.ts';
import { TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import { describeAccess } from './authorization.ts';
import type { Access } from '../request/request.ts';
import { accessKey } from './scope.ts';

/**
 * The errors for logins that are missing, wrong, without rights, or that cannot be read, with what to do about each.
 */

/** What to do when a registry asks for a login. */
export function loginAdvice(registry: string): Hint {
  return { kind: 'log-in', registry };
}

/**
 * What to do when a login was refused. A command that only reads may need none: an old one stands in the way of a
 * public image.
 */
export function loginAgainAdvice(registry: string, { source }: Credential, { action }: Access): Hint {
  const maybePublic = action === 'pull';
  if (source === USERNAME_VARIABLE) return { kind: 'correct-login-variables', maybePublic };
  return { kind: 'log-in-again', registry, maybePublic };
}

/** A registry asks for a login, and no credential is known. */
export function loginRequired(registry: string, access: Access): TartletError {
  return new TartletError(
    'AUTH_REQUIRED',
    `${registry} wants to know who we are before it lets us ${describeAccess(access)}`,
    { subject: registry, status: 401, retryable: false, next: loginAdvice(registry) },
  );
}

/**
 * A registry that refused our login: the password itself, or what was good for other requests, or bought a token
 * (`token`).
 */
export function loginRefused(
  registry: string,
  access: Access,
  credential: Credential,
  refused: 'password' | 'token',
): TartletError {
  const who = credential.kind === 'password' ? `"${credential.username}"` : 'the identity token';
  const from = `${who} from ${credential.source}`;
  const facts = {
    subject: registry,
    status: 401,
    retryable: false,
    next: loginAgainAdvice(registry, credential, access),
  };
  if (refused === 'password') {
    const what = access.repository === undefined ? `accept ${from}` : `let ${from} ${describeAccess(access)}`;
    return new TartletError('AUTH_DENIED', `wrong user name or password: ${registry} does not ${what}`, facts);
  }
  const asked = access.repository === undefined ? '' : ` (asked for ${accessKey(access)})`;
  return new TartletError('AUTH_DENIED', `${registry} does not let ${from} ${describeAccess(access)}${asked}`, facts);
}
/**
 * What an anonymous try ended with, when it was made because of a login setting that cannot be used: names both. The
 * setting is what can be repaired, so that its code and its next step count.
 */
export function alsoUnusable(error: TartletError, fault: TartletError): TartletError {
  return new TartletError(fault.code, `${error.message}; the login for it cannot be used: ${fault.message}`, {
    ...error.facts,
    ...fault.facts,
    retryable: false,
    cause: fault,
  });
}
