import type { IncomingMessage } from 'node:http';
import { readFile } from 'node:fs/promises';
import { describeError, isTartletError, TartletError, unreachable } from '../../errors.ts';
import { type Authentication, type Authenticator, type RequiredAccess, allowAll } from './access.ts';
import { BasicAuth, type Users } from './basic-auth.ts';
import { type Htpasswd, parseHtpasswd } from '../settings/htpasswd.ts';
import type { AuthOptions, Settings } from '../settings/options.ts';
import type { PasswordChecks } from './password-checks.ts';
import { TokenAuth } from './token-auth.ts';

/**
 * Makes the authenticator that the options ask for. Files are read here, once.
 * @throws TartletError `CONFIG_INVALID`, also for an htpasswd without users, and for one user in both files.
 */
export async function makeAuthenticator({ auth, now }: Settings, checks: PasswordChecks): Promise<Authenticator> {
  switch (auth.kind) {
    case 'none':
      return allowAll;
    case 'basic':
      return new BasicAuth(await readUsers(auth), { now, checks });
    case 'token':
      return new TokenAuth(auth, now);
    default:
      return unreachable(auth);
  }
}

/** An authenticator that another one can take the place of, for the next request on. */
export class CurrentAuthenticator implements Authenticator {
  #current: Authenticator;

  constructor(first: Authenticator) {
    this.#current = first;
  }

  replace(next: Authenticator): void {
    this.#current = next;
  }

  async authenticate(request: IncomingMessage): Promise<Authentication> {
    return this.#current.authenticate(request);
  }

  challenge(needs: readonly RequiredAccess[], error?: 'invalid_token' | 'insufficient_scope'): string {
    return this.#current.challenge(needs, error);
  }
}

async function readUsers(auth: Extract<AuthOptions, { kind: 'basic' }>): Promise<Users> {
  const writers = await readHtpasswd(auth.htpasswd);
  const readers = auth.readOnly === undefined ? new Map<string, string>() : await readHtpasswd(auth.readOnly);
  if (writers.size === 0) {
    const where = typeof auth.htpasswd === 'string' ? `the htpasswd file ${auth.htpasswd}` : 'the htpasswd';
    throw new TartletError('CONFIG_INVALID', `${where} has no users, so that no user could push`, {
      next: { kind: 'add-user' },
    });
  }
  const both = [...readers.keys()].find((name) => writers.has(name));
  if (both !== undefined) {
    throw new TartletError('CONFIG_INVALID', `the user "${both}" may write, and is among those who may only read`, {
      subject: both,
      next: { kind: 'separate-users' },
    });
  }
  return { writers, readers, anonymousRead: auth.anonymousRead ?? false };
}

async function readHtpasswd(source: string | Htpasswd): Promise<Htpasswd> {
  if (typeof source !== 'string') return source;
  let text: string;
  try {
    text = await readFile(source, 'utf8');
  } catch (cause) {
    throw new TartletError('CONFIG_INVALID', `the htpasswd file ${source} cannot be read: ${describeError(cause)}`, {
      subject: source,
      next: { kind: 'check-user-file' },
      cause,
    });
  }
  try {
    return parseHtpasswd(text);
  } catch (error) {
    if (!isTartletError(error)) throw error;
    throw new TartletError(error.code, `${source}: ${error.message}`, { ...error.facts, subject: source });
  }
}
