import { appendFileSync, readFileSync } from 'node:fs';

/*
 * Secrets that every user of a command in the tests has, for registries that no test speaks to, and those that tests
 * log in with. None may be told: whatever a command says is searched for them when it ends (reliability I7, S34).
 */

const IN_ENVIRONMENT = 'canary-k2v8-environment';
const IN_FILE = 'canary-w5q1-password';
const AS_TOKEN = 'canary-z9d4-identity-token';
const FOR_PROXY = 'canary-t3n7-proxy';
const OF_FLEET = 'canary-m6r2-fleet-0123456789abcdef';

/** A password for one registry, a proxy that is never used, and the token of a fleet. */
export const CANARY_ENVIRONMENT: Readonly<Record<string, string>> = {
  TART_REGISTRY_HOSTNAME: 'canary.example',
  TART_REGISTRY_USERNAME: 'canary',
  TART_REGISTRY_PASSWORD: IN_ENVIRONMENT,
  HTTPS_PROXY: `http://canary:${FOR_PROXY}@proxy.canary.example:3128`,
  NO_PROXY: '*',
  TARTLET_FLEET_TOKEN: OF_FLEET,
};

/** Entries of Docker's `auths`. */
export const CANARY_LOGINS: Readonly<Record<string, object>> = {
  'canary.example:8221': { auth: base64(`canary:${IN_FILE}`) },
  'token.canary.example': { identitytoken: AS_TOKEN },
  'plain.canary.example': { username: 'canary', password: IN_FILE },
};

const SECRETS = [IN_ENVIRONMENT, IN_FILE, AS_TOKEN, FOR_PROXY, OF_FLEET];
const SPELLINGS = SECRETS.flatMap((secret) => spellingsOf('canary', secret));
/** Shorter passwords are words that tests use for other things, too. */
const SHORTEST = 6;

/** How much there is to find. */
export const PLANTED = { secrets: SECRETS.length, spellings: SPELLINGS.length } as const;

/** Names the file to which each search adds a byte, where somebody counts them. */
export const SEARCHED_LOG = 'TARTLET_SEARCHED_LOG';

/**
 * The secrets that a command said, in any spelling: those that are planted with everybody, and those that this one
 * really logs in with.
 * @param environment of the command.
 * @param typed what it read as a password.
 */
export function secretsIn(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
  typed?: string,
): readonly string[] {
  const log = process.env[SEARCHED_LOG];
  if (log !== undefined) appendFileSync(log, '.');
  const used = [...loginsOf(environment), ...(typed === undefined ? [] : [['', typed.trim()] as const])];
  const spellings = used.filter(([, secret]) => secret.length >= SHORTEST).flatMap((pair) => spellingsOf(...pair));
  return [...SPELLINGS, ...spellings].filter((spelling) => text.includes(spelling));
}

/** User and secret of each login that a command could find. */
function loginsOf(environment: Readonly<Record<string, string | undefined>>): (readonly [string, string])[] {
  const { TART_REGISTRY_USERNAME: user = '', TART_REGISTRY_PASSWORD: password = '', DOCKER_CONFIG } = environment;
  return [[user, password], ...(DOCKER_CONFIG === undefined ? [] : loginsIn(`${DOCKER_CONFIG}/config.json`))];
}

function loginsIn(file: string): (readonly [string, string])[] {
  try {
    const { auths = {} } = JSON.parse(readFileSync(file, 'utf8')) as { auths?: Record<string, Record<string, string>> };
    return Object.values(auths).map(({ auth = '', username = '', password, identitytoken }) => {
      const [, user = username, secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth, 'base64').toString()) ?? [];
      return [user, password ?? identitytoken ?? secret] as const;
    });
  } catch {
    return []; // None, or one that a test spoiled.
  }
}

function spellingsOf(user: string, secret: string): string[] {
  const pair = `${user}:${secret}`;
  return [secret, base64(secret), base64(pair), encodeURIComponent(pair)];
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
