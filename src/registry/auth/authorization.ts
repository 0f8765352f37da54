import { isTartletError, TartletError } from '../../errors.ts';
import type { Authenticator } from './authenticator.ts';
import { adviceFor } from '../response/advice.ts';
import { readComplaint } from '../response/refusal.ts';
import type { Access, RegistryRequest, RegistryResponse, Transport } from '../request/request.ts';

/**
 * 401s that one request may meet: without anything, with a token that expired, with a fresh one, with the password, and
 * with what a second token service gives. An authenticator gives up earlier, when nothing is left to try (N34).
 */
const MAX_ROUNDS = 6;

/**
 * The only place where an `Authorization` header is made. It goes to `origin`, which the caller has found worthy of it,
 * and nowhere else: a request to any other place keeps none.
 */
export function authorized(request: RegistryRequest, value: string | undefined, origin: string): RegistryRequest {
  if (value === undefined || request.url.origin !== origin) return request;
  return { ...request, headers: { ...request.headers, authorization: value } };
}

/**
 * Answers the challenges of the registry at `origin`. Requests to other origins (upload addresses) go out bare, and
 * what they or the targets of redirects say about authorization is left to the caller: it never changes which
 * credential goes to the registry (reliability S11, S12).
 * @throws TartletError `AUTH_REQUIRED`, `AUTH_DENIED`, and what {@link Authenticator.challenged} throws.
 */
export function withAuthorization(next: Transport, authenticator: Authenticator, origin: string): Transport {
  return async (request, signal) => {
    if (request.url.origin !== origin) return next(request, signal);
    const refused: string[] = [];
    let challenges: readonly string[] = [];
    for (let round = 1; ; round += 1) {
      const sent = await authenticator.authorization(request.access);
      const response = await next(authorized(request, sent, origin), signal);
      if (response.crossOrigin) return response;
      if (response.status === 403) throw await forbidden(response, request.access, authenticator);
      if (response.status !== 401) return response;
      if (sent !== undefined) refused.push(sent);
      // What was offered once may still be answered, although the last answer does not repeat it.
      challenges = [...response.headers.all('www-authenticate'), ...challenges];
      await response.body.discard();
      const refusal = { access: request.access, origin, refused, challenges, round };
      await authenticator.challenged({ ...refusal, sent }, signal).catch((error: unknown) => {
        throw withoutEcho(error, response);
      });
      if (round >= MAX_ROUNDS) throw endless(request.access, origin);
    }
  };
}

/** What an access is, in words. */
export function describeAccess({ repository, action }: Access): string {
  return repository === undefined ? 'speak to it' : `${action} ${repository}`;
}

async function forbidden(
  response: RegistryResponse,
  access: Access,
  authenticator: Authenticator,
): Promise<TartletError> {
  const [complaint, identity] = await Promise.all([readComplaint(response), authenticator.identity(access.repository)]);
  // Who may read what changes, and so do logins.
  if (access.action === 'pull') await authenticator.forget?.(access);
  const { line } = complaint;
  const host = response.url.host;
  return new TartletError(
    'AUTH_DENIED',
    `${host} does not let us ${describeAccess(access)} ${identity}${line === '' ? '' : `: ${line}`}`,
    {
      subject: host,
      status: 403,
      retryable: false,
      next: adviceFor(response, complaint, access.action) ?? { kind: 'log-in-as-another', registry: host },
    },
  );
}

/** The address of a token service is the registry's own text, and stands in what is wrong with it. */
function withoutEcho(error: unknown, { repeatsSecret, url }: RegistryResponse): unknown {
  if (!isTartletError(error, 'AUTH_REALM') || repeatsSecret?.(error.message) !== true) return error;
  const { subject: _, ...facts } = error.facts;
  return new TartletError(
    'AUTH_REALM',
    `${url.host} names a token service by an address that repeats our login`,
    facts,
  );
}

/** The authenticator should have given up before; this bounds one that does not. */
function endless(access: Access, origin: string): TartletError {
  const { host } = new URL(origin);
  return new TartletError('AUTH_DENIED', `${host} refuses every token to ${describeAccess(access)}`, {
    subject: host,
    status: 401,
    retryable: false,
  });
}
