import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import type { Credential, CredentialSource } from '../../src/credentials/credential.ts';
import { isTartletError } from '../../src/errors.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { WireEvent } from '../../src/registry/wire.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { freshSession } from '../support/home.ts';
import { type StaticRegistry, startStaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';
import { TokenService } from '../support/token-service.ts';

/*
 * S67 in worker threads: a blob is asked for by a thread that never saw the password, and the registry, which is in
 * league with its token service, puts it into its answer.
 */

const SECRET = 'canary-Kf7-v2X';
const image = tinyImage({ chunks: [Buffer.alloc(300_000, 'one'), Buffer.alloc(300_000, 'two')] });
const { layers } = JSON.parse(Buffer.from(image.manifest).toString()) as {
  layers: { mediaType: string; digest: string }[];
};
const [first = '', second = ''] = layers.flatMap(({ mediaType, digest }) =>
  mediaType.includes('.disk.') ? [digest] : [],
);

type Answerer = (request: IncomingMessage, response: ServerResponse) => void;

/** A registry with its token service, and a client. */
interface World {
  readonly registry: StaticRegistry;
  readonly tokens: TokenService;
  /** Asks for a login by the token service. */
  readonly challenge: Answerer;
  /** Pulls with a login, at most two blobs at once. Everything that a user or a log could see of it. */
  readonly pulled: (login: Partial<Credential>) => Promise<string>;
}

/**
 * @param answers instead of the chunks of the disk, by digest; all else needs a token, and is answered honestly then.
 */
async function world(answers: (world: World) => Readonly<Record<string, Answerer>>): Promise<World> {
  const registry = await startStaticRegistry({ latest: image });
  const tokens = await TokenService.start();
  onTestFinished(async () => tokens.server.close());
  const heard: WireEvent[] = [];
  const made: World = {
    registry,
    tokens,
    challenge: (_, response) => {
      const { headers = {} } = tokens.challenge();
      response.writeHead(401, { 'www-authenticate': headers['www-authenticate'] as string }).end();
    },
    pulled: async (login) => {
      const credentials: CredentialSource = {
        find: async (address) => ({ registry: address, source: 'the test', ...login }) as Credential,
      };
      const session = freshSession({ credentials: () => credentials, onWire: (event) => heard.push(event) });
      const error: unknown = await pull(session, RemoteName.parse(`${registry.address}/org/vm`), {
        concurrency: 2,
      }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!isTartletError(error)) throw error;
      return `${error.message} ${JSON.stringify(error.facts)} ${JSON.stringify(heard)}`;
    },
  };
  const chunks = answers(made);
  registry.intercept = (request, response) => {
    const answer = request.headers.authorization === undefined ? made.challenge : chunks[digestIn(request)];
    answer?.(request, response);
    return answer !== undefined;
  };
  return made;
}

function digestIn({ url = '' }: IncomingMessage): string {
  return url.split('/').at(-1) ?? '';
}

const repeat =
  (text: string): Answerer =>
  (_, response) => {
    response.writeHead(400, { server: text, warning: `199 - "${text}"` }).end(`you sent ${text}`);
  };

it.each<[string, Partial<Credential>]>([
  ['a password', { kind: 'password', username: 'ci', password: SECRET }],
  ['an identity token', { kind: 'identity-token', token: SECRET }],
])(
  '%s that only the token service got is known in the thread that a registry repeats it to (S67)',
  async (_, login) => {
    for (const text of [SECRET, Buffer.from(`ci:${SECRET}`).toString('base64')]) {
      const { pulled, tokens } = await world(() => ({ [first]: repeat(text), [second]: repeat(text) }));
      const said = await pulled(login);
      expect(tokens.requests.length).toBeGreaterThan(0);
      expect(said).toContain('answered 400 (its answer repeats our login, and is not shown)');
      expect(said).not.toContain(text);
    }
  },
);

it('a token that came for one thread is known in another one, which waits for its answer already (S67)', async () => {
  let answerSecond: (() => void) | undefined;
  const { pulled, tokens } = await world(({ challenge }) => ({
    // The thread of the first chunk is sent for another token, and says so to this registry only.
    [first]: (request, response) => {
      if (request.headers.authorization !== `Bearer ${SECRET}`) challenge(request, response);
      else answerSecond?.();
    },
    [second]: (request, response) => {
      answerSecond = () => repeat(SECRET)(request, response);
      // The first one may be here already.
      if (tokens.requests.length > 1) answerSecond();
    },
  }));
  tokens.answer = (_, count) => ({ body: JSON.stringify({ token: count === 1 ? 'token-1' : SECRET }) });
  const said = await pulled({ kind: 'password', username: 'ci', password: 'another-one' });
  expect(said).toContain('answered 400 (its answer repeats our login, and is not shown)');
  expect(said).not.toContain(SECRET);
});
