import { describe, expect, it } from 'vitest';
import type { Answer, RecordedRequest, ScriptedRegistry } from '../../support/scripted-registry.ts';
import type { TokenService } from '../../support/token-service.ts';
import { basicValue, clientFor, password, scripted, tokenService } from '../world.ts';
import { Tag } from '../../../src/names/tag.ts';

const MANIFEST = '{"schemaVersion":2}';
const TAG = { tag: Tag.parse('latest') };
const PATH = '/v2/a/b/manifests/latest';
const GET = `GET ${PATH}`;
const BASIC = 'Basic realm="registry"';

const bearer = (tokens: TokenService): string => `Bearer realm="${tokens.realm}",service="registry.example"`;

function wants(...challenges: readonly string[]): Answer {
  return { status: 401, headers: { 'www-authenticate': challenges } };
}

/** A registry that serves whom `accepts` accepts. */
function accepting(
  accepts: (authorization: string | undefined) => boolean,
  challenge: Answer | ((authorization: string | undefined) => Answer),
): Promise<ScriptedRegistry> {
  return scripted({
    [GET]: ({ headers }: RecordedRequest): Answer => {
      const value = headers['authorization'];
      if (accepts(value)) return { body: MANIFEST };
      return typeof challenge === 'function' ? challenge(value) : challenge;
    },
  });
}

const sentTo = ({ requests }: ScriptedRegistry): (string | undefined)[] =>
  requests.map(({ headers }) => headers['authorization']);

describe('every challenge that is offered and can be answered is tried once (Q29)', () => {
  it('Basic, when the token is refused and only Basic is offered then, as Harbor does to its robots', async () => {
    const tokens = await tokenService();
    const registry = await accepting(
      (value) => value === basicValue(),
      (value) => wants(value === undefined ? bearer(tokens) : BASIC),
    );
    const { client } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    await client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, 'Bearer token-1', basicValue(), basicValue()]);
    expect(tokens.requests).toHaveLength(1);
  });

  it('Basic, also when it was offered only in the first answer', async () => {
    const tokens = await tokenService();
    const registry = await accepting(
      (value) => value === basicValue(),
      (value) => (value === undefined ? wants(BASIC, bearer(tokens)) : wants(bearer(tokens))),
    );
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, 'Bearer token-1', basicValue()]);
  });

  it('the token first, whatever the order of the offers', async () => {
    const tokens = await tokenService();
    const registry = await accepting((value) => value === 'Bearer token-1', wants(BASIC, bearer(tokens)));
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, 'Bearer token-1']);
  });

  it('the token, when Basic alone was offered first and is refused', async () => {
    const tokens = await tokenService();
    const registry = await accepting(
      (value) => value === 'Bearer token-1',
      (value) => wants(value === undefined ? BASIC : bearer(tokens)),
    );
    const { client } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    await client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, basicValue(), 'Bearer token-1', 'Bearer token-1']);
  });

  it('Basic at once, when the token service beside it is dead', async () => {
    const tokens = await tokenService();
    tokens.answer = () => ({ status: 503 });
    const registry = await accepting((value) => value === basicValue(), wants(bearer(tokens), BASIC));
    const { client, clock } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, basicValue()]);
    expect(tokens.requests).toHaveLength(1);
    expect(clock.slept).toEqual([]);
  });

  it('Basic, when the token service does not know the user', async () => {
    const tokens = await tokenService();
    tokens.answer = () => ({ status: 401 });
    const registry = await accepting((value) => value === basicValue(), wants(bearer(tokens), BASIC));
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, basicValue()]);
  });

  it('Basic, when the token service must not see the password, which it never does (S6)', async () => {
    const registry = await accepting(
      (value) => value === basicValue(),
      wants('Bearer realm="https://evil.test/token"', BASIC),
    );
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, basicValue()]);
  });

  it('both of two token services', async () => {
    const [first, second] = [await tokenService(), await tokenService()];
    second.answer = () => ({ body: '{"token":"other"}' });
    const registry = await accepting((value) => value === 'Bearer other', wants(bearer(first), bearer(second)));
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, 'Bearer token-1', 'Bearer other']);
  });

  it('and then it gives up, with the password asked for no more often than that', async () => {
    const tokens = await tokenService();
    tokens.answer = () => ({ status: 401 });
    const registry = await accepting(() => false, wants(bearer(tokens), BASIC));
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_DENIED',
    });
    expect(sentTo(registry)).toEqual([undefined, basicValue()]);
    expect(tokens.requests).toHaveLength(1);
  });

  it('a token service that failed for a moment gets its usual patience when nothing else is left', async () => {
    const tokens = await tokenService();
    tokens.answer = (_request, count) => (count <= 2 ? { status: 503 } : { body: '{"token":"t"}' });
    const registry = await accepting((value) => value === 'Bearer t', wants(bearer(tokens), BASIC));
    await clientFor(registry, { credentials: password() }).client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, basicValue(), 'Bearer t']);
  });

  it('a token that expired on the other side is renewed before Basic is tried (N33)', async () => {
    const tokens = await tokenService();
    let valid = 'Bearer token-1';
    const registry = await accepting((value) => value === valid, wants(bearer(tokens), BASIC));
    const { client } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    valid = 'Bearer token-2';
    await client.manifest(TAG);
    expect(sentTo(registry)).toEqual([undefined, 'Bearer token-1', 'Bearer token-1', 'Bearer token-2']);
  });

  it('by eight requests at once, with one token and one Basic for all', async () => {
    const tokens = await tokenService();
    const registry = await accepting(
      (value) => value === basicValue(),
      (value) => wants(value === undefined ? bearer(tokens) : BASIC),
    );
    const { client } = clientFor(registry, { credentials: password() });
    await Promise.all(Array.from({ length: 8 }, () => client.manifest(TAG)));
    expect(tokens.requests).toHaveLength(1);
  });
});
