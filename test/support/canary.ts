import { appendFileSync } from 'node:fs';

/*
 * Secrets that every user of a command in the tests has, for registries that no test speaks to. Nobody may ever tell them: whatever a command says is
 * searched for them when it ends (reliability I7, S34).
 */

const IN_ENVIRONMENT = 'canary-k2v8-environment';
const IN_FILE = 'canary-w5q1-password';
const AS_TOKEN = 'canary-z9d4-identity-token';
const FOR_PROXY = 'canary-t3n7-proxy';

/** A password for one registry, and a proxy that is never used. */
export const CANARY_ENVIRONMENT: Readonly<Record<string, string>> = {
  TART_REGISTRY_HOSTNAME: 'canary.example',
  TART_REGISTRY_USERNAME: 'canary',
  TART_REGISTRY_PASSWORD: IN_ENVIRONMENT,
  HTTPS_PROXY: `http://canary:${FOR_PROXY}@proxy.canary.example:3128`,
  NO_PROXY: '*',
};

/** Entries of Docker's `auths`. */
export const CANARY_LOGINS: Readonly<Record<string, object>> = {
  'canary.example:8221': { auth: base64(`canary:${IN_FILE}`) },
  'token.canary.example': { identitytoken: AS_TOKEN },
  'plain.canary.example': { username: 'canary', password: IN_FILE },
};

const SECRETS = [IN_ENVIRONMENT, IN_FILE, AS_TOKEN, FOR_PROXY];
const SPELLINGS = SECRETS.flatMap((secret) => [
  secret,
  base64(secret),
  base64(`canary:${secret}`),
  encodeURIComponent(`canary:${secret}`),
]);

/** How much there is to find. */
export const PLANTED = { secrets: SECRETS.length, spellings: SPELLINGS.length } as const;

/** Names the file to which each search adds a byte, where somebody counts them. */
export const SEARCHED_LOG = 'TARTLET_SEARCHED_LOG';

/** The secrets that a text tells, in any spelling. */
export function secretsIn(text: string): readonly string[] {
  const log = process.env[SEARCHED_LOG];
  if (log !== undefined) appendFileSync(log, '.');
  return SPELLINGS.filter((spelling) => text.includes(spelling));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
