import { describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../src/credentials/credential.ts';
import { isTartletError, type TartletError } from '../../src/errors.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { Tag } from '../../src/names/tag.ts';
import { SentSecrets } from '../../src/registry/request/sent-secrets.ts';
import type { WireEvent } from '../../src/registry/wire.ts';
import type { Answer } from '../support/scripted-registry.ts';
import { clientFor, password, scripted, tokenService } from './world.ts';

/*
 * S67: a registry that puts our own request into its answers. Whatever it does to the secret, we do not pass it on.
 */

const SECRET = 'canary-Kf7&q"2-vX';
const PAIR = `ci:${SECRET}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const escaped = (text: string, one: (code: number) => string): string =>
  Array.from(text, (character) => one(character.codePointAt(0) ?? 0)).join('');

/** The spellings of the secret, and what of it must not be readable afterwards. */
const SPELLINGS: readonly (readonly [how: string, text: string, never: string])[] = [
  ['as it is', SECRET, 'Kf7'],
  ['in capitals', SECRET.toUpperCase(), 'KF7'],
  ['in base64', base64(SECRET), base64(SECRET).slice(0, 8)],
  ['as the header that we sent', `Basic ${base64(PAIR)}`, base64(PAIR).slice(0, 8)],
  ['as the header without its scheme', base64(PAIR), base64(PAIR).slice(0, 8)],
  ['in base64url without padding', Buffer.from(PAIR).toString('base64url'), base64(PAIR).slice(0, 8)],
  ['in base64 twice', base64(base64(PAIR)), base64(base64(PAIR)).slice(0, 8)],
  ['in base64 behind other letters', `abc${base64(SECRET)}`, base64(SECRET).slice(0, 8)],
  ['percent-encoded', encodeURIComponent(PAIR), 'Kf7'],
  ['percent-encoded to the last letter', escaped(SECRET, (code) => `%${code.toString(16)}`), '%4b%66%37'],
  ['in hex', Buffer.from(SECRET).toString('hex'), '4b6637'],
  [
    'in hex with colons',
    Buffer.from(SECRET)
      .toString('hex')
      .replaceAll(/(..)(?=.)/g, '$1:'),
    '4b:66:37',
  ],
  ['in the escapes of JSON', escaped(SECRET, (code) => `\\u${code.toString(16).padStart(4, '0')}`), 'u004b'],
  ['in the escapes of HTML', escaped(SECRET, (code) => `&#${code};`), '#75;'],
  ['in hexadecimal escapes of HTML', escaped(SECRET, (code) => `&#x${code.toString(16)};`), '#x4b;'],
  ['with spaces between its letters', Array.from(SECRET).join(' '), 'K f 7'],
  ['in pieces', SECRET.replace('-Kf7', ' ... Kf7'), 'Kf7'],
  ['in lines', SECRET.replaceAll(/(.{4})/g, '$1\r\n'), 'Kf7'],
  ['backwards', Array.from(SECRET).reverse().join(''), '7fK'],
  ['in base64 three times', base64(base64(base64(PAIR))), base64(base64(base64(PAIR))).slice(0, 8)],
  [
    'in base64 backwards',
    Array.from(base64(PAIR)).reverse().join(''),
    Array.from(base64(PAIR)).reverse().join('').slice(-8),
  ],
  ['in base32', 'MNQW4YLSPEWUWZRXEZYSEMRNOZMA====', 'PEWUWZRX'],
  ['as the bytes of a buffer', JSON.stringify(Buffer.from(SECRET)), '75,102,55'],
  ['as numbers', escaped(SECRET, (code) => `${code} `), '75 102 55'],
  ['as hexadecimal numbers', escaped(SECRET, (code) => `0x${code.toString(16)}, `), '0x4b, 0x66'],
  ['in bits', escaped(SECRET, (code) => code.toString(2).padStart(8, '0')), '0100101101100110'],
  ['in the escapes of shells', escaped(SECRET, (code) => `\\${code.toString(8)}`), '113\\146\\67'],
  ['quoted for mail', escaped(SECRET, (code) => `=${code.toString(16).toUpperCase()}`), '=4B=66=37'],
  ['in wide letters', escaped(SECRET, (code) => String.fromCodePoint(code + 0xfee0)), '\uff2b\uff46\uff17'],
  ['cut off', SECRET.slice(0, -3), 'Kf7'],
  ['without its beginning', SECRET.slice(2), 'Kf7'],
  ['base64 in pieces', base64(PAIR).replaceAll(/(.{5})/g, '$1 '), base64(PAIR).slice(0, 5)],
];

const CHALLENGE: Answer = { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } };

const ANSWERS: Readonly<Record<string, (text: string) => Answer>> = {
  'a plain text': (text) => ({ status: 400, body: `you sent ${text}, which is wrong` }),
  'the message of an error': (text) => ({
    status: 400,
    body: JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message: `you sent ${text}` }] }),
  }),
  'the detail of an error': (text) => ({
    status: 403,
    body: JSON.stringify({
      errors: [{ code: 'DENIED', message: 'no', detail: { headers: { authorization: [text] } } }],
    }),
  }),
  'the code of an error': (text) => ({
    status: 404,
    body: JSON.stringify({ errors: [{ code: text, message: 'no' }] }),
  }),
  'the title of a page': (text) => ({ status: 400, body: `<html><title>${text}</title></html>` }),
};

/** Everything that a user or a log could see. */
function told(error: unknown): string {
  if (!isTartletError(error)) return String(error);
  const { cause, ...facts } = error.facts;
  return `${error.message} ${JSON.stringify(facts)} ${cause === undefined ? '' : told(cause)}`;
}

async function failure(work: Promise<unknown>): Promise<TartletError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isTartletError(error)) throw error;
  return error;
}

describe('a registry that repeats our password (S67)', () => {
  const cases = SPELLINGS.flatMap(([how, text, never]) =>
    Object.entries(ANSWERS).map(([where, answer]) => [`${how}, in ${where}`, answer(text), never] as const),
  );

  it.each(cases)('%s: is not repeated by us', async (_title, answer, never) => {
    const registry = await scripted({
      '*': ({ headers }) => (headers['authorization'] === undefined ? CHALLENGE : answer),
    });
    const heard: WireEvent[] = [];
    const { client } = clientFor(registry, {
      credentials: password('ci', SECRET),
      onWire: (event) => heard.push(event),
    });
    const said = told(await failure(client.manifest({ tag: Tag.parse('x') })));
    expect(said).toContain('repeats our login, and is not shown');
    expect(`${said} ${JSON.stringify(heard)}`).not.toContain(never);
    expect(said).toMatch(/answered 40\d|does not let us/);
  });

  it('keeps what it says as long as it repeats nothing', async () => {
    const answer = ANSWERS['the message of an error']!('nothing of ours');
    const registry = await scripted({
      '*': ({ headers }) => (headers['authorization'] === undefined ? CHALLENGE : answer),
    });
    const { client } = clientFor(registry, { credentials: password('ci', SECRET) });
    expect((await failure(client.manifest({ tag: Tag.parse('x') }))).message).toContain(
      '(UNSUPPORTED: you sent nothing of ours)',
    );
  });

  it.each(SPELLINGS.filter(([how]) => !/lines|JSON|HTML|wide/.test(how)))(
    '%s, in headers and addresses: is not repeated by us',
    async (_how, text, never) => {
      const location = `https://elsewhere.invalid:1/${encodeURI(text)}`;
      const headers = { server: text, warning: `199 - "${text}"`, location: location.replace('https', 'ftp') };
      const registry = await scripted({
        '*': ({ headers: sent, method }) => {
          if (sent['authorization'] === undefined) return CHALLENGE;
          return method === 'GET' ? { status: 400, headers } : { status: 302, headers: { location } };
        },
      });
      const heard: WireEvent[] = [];
      const { client } = clientFor(registry, {
        credentials: password('ci', SECRET),
        onWire: (event) => heard.push(event),
      });
      const errors = [
        await failure(client.manifest({ tag: Tag.parse('x') })),
        await failure(client.putManifest({ tag: Tag.parse('x') }, Buffer.from('{}'), 'x/y')),
      ];
      expect(`${errors.map(told).join(' ')} ${JSON.stringify(heard)}`).not.toContain(never);
    },
  );
});

it('neither an address that a registry leads to, nor what it calls its coding, is repeated by us (S67)', async () => {
  const registry = await scripted({
    '*': ({ headers, path }) => {
      if (headers['authorization'] === undefined) return CHALLENGE;
      const repeated = encodeURIComponent(SECRET);
      if (path.includes('Kf7')) return { headers: { 'content-encoding': repeated }, body: 'x' };
      return { status: 307, headers: { location: `/${repeated}` } };
    },
  });
  const heard: WireEvent[] = [];
  const { client } = clientFor(registry, {
    credentials: password('ci', SECRET),
    onWire: (event) => heard.push(event),
  });
  const said = told(await failure(client.manifest({ tag: Tag.parse('x') })));
  expect(said).toContain('something that repeats our login');
  expect(`${said} ${JSON.stringify(heard)}`.toLowerCase()).not.toContain('kf7');
});

describe('a token service that repeats what it was asked with (S67)', () => {
  const byToken: CredentialSource = {
    find: (registry) =>
      Promise.resolve({ kind: 'identity-token', registry, token: SECRET, source: 'the test' } as const),
  };

  it.each([
    ['a password', password('ci', SECRET)],
    ['an identity token', byToken],
  ])('%s: is not repeated by us', async (_what, credentials) => {
    for (const [, text, never] of SPELLINGS) {
      const tokens = await tokenService();
      tokens.answer = () => ({ status: 401, body: JSON.stringify({ errors: [{ code: 'X', message: text }] }) });
      const registry = await scripted({ '*': tokens.challenge() });
      const { client } = clientFor(registry, { credentials });
      expect(told(await failure(client.manifest({ tag: Tag.parse('x') })))).not.toContain(never);
    }
  });

  it('a token that the registry repeats is not repeated by us', async () => {
    const tokens = await tokenService();
    const token = base64(JSON.stringify({ sub: SECRET }));
    tokens.answer = () => ({ body: JSON.stringify({ token }) });
    const registry = await scripted({
      '*': ({ headers }) =>
        headers['authorization'] === undefined ? tokens.challenge() : { status: 400, body: headers['authorization'] },
    });
    const { client } = clientFor(registry, { credentials: password('ci', 'other') });
    expect(told(await failure(client.manifest({ tag: Tag.parse('x') })))).not.toContain(token.slice(0, 10));
  });
});

describe('a proxy that repeats its password (S67)', () => {
  const asProxy = async (answer: Answer): Promise<string> => {
    const proxy = await scripted({ '*': answer });
    const { client } = clientFor(RegistryAddress.parse('registry.invalid:5000'), {
      insecure: true,
      environment: {
        HTTP_PROXY: `http://${encodeURIComponent('ci')}:${encodeURIComponent(SECRET)}@${proxy.authority}`,
      },
    });
    return told(await failure(client.manifest({ tag: Tag.parse('x') })));
  };

  it.each(SPELLINGS)('%s: is not repeated by us', async (how, text, never) => {
    expect(await asProxy({ status: 400, body: `sent: ${text}` })).not.toContain(never);
    if (/lines|wide/.test(how)) return;
    expect(await asProxy({ status: 407, headers: { 'x-squid-error': `ERR ${text}` } })).not.toContain(never);
  });
});

describe('what is no secret', () => {
  const knowing = (pair: string): SentSecrets => {
    const secrets = new SentSecrets();
    const headers = { authorization: `Basic ${base64(pair)}` };
    secrets.note({ method: 'GET', url: new URL('http://h/'), headers, access: { action: 'pull' }, idempotent: true });
    return secrets;
  };

  it.each([
    ['ci:cat', 'the category is unknown', false],
    ['ci:cat', 'the cat is unknown', true],
    ['admin:admin', 'admin may not do this', false],
    ['ci:hunter2', 'authentication required', false],
    ['ci:', 'anything', false],
  ])('with %s, in %j: %s', (pair, text, expected) => {
    expect(knowing(pair).isIn(text)).toBe(expected);
  });
});
