import type { Credential } from '../../credentials/credential.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { basic } from './token.ts';

/** A challenge that can be answered with what we have. `key` tells one from another, and says nothing secret. */
export type Way =
  | { readonly kind: 'bearer'; readonly key: string; readonly realm: string; readonly challenge: Challenge }
  | { readonly kind: 'basic'; readonly key: 'basic'; readonly value: string };

/**
 * The ways that the lines of `WWW-Authenticate` offer us, the strongest first: a token, for which only the token
 * service sees the password, before the password itself (RFC 9110 §11.6.1). Of two challenges for one token service the
 * first counts: it is the newer one.
 * @param credential undefined: only anonymous tokens can be asked for.
 */
export function waysToAnswer(lines: readonly string[], credential: Credential | undefined): Way[] {
  const ways = new Map<string, Way>();
  for (const challenge of parseChallenges(lines)) {
    const way = wayOf(challenge, credential);
    if (way !== undefined && !ways.has(way.key)) ways.set(way.key, way);
  }
  const all = [...ways.values()];
  return [...all.filter(({ kind }) => kind === 'bearer'), ...all.filter(({ kind }) => kind === 'basic')];
}

function wayOf(challenge: Challenge, credential: Credential | undefined): Way | undefined {
  const { scheme, parameters } = challenge;
  if (scheme === 'basic' && credential?.kind === 'password') {
    return { kind: 'basic', key: 'basic', value: basic(credential) };
  }
  const realm = scheme === 'bearer' ? parameters.get('realm') : undefined;
  if (realm === undefined) return undefined;
  return { kind: 'bearer', key: `bearer ${realm} ${parameters.get('service') ?? ''}`, realm, challenge };
}
