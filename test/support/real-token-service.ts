import { createSign, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CertificatePair, derOf } from './real-certificates.ts';
import type { Cleanup } from './real-cleanup.ts';

export interface TokenServiceOptions {
  readonly listen: string;
  /** By which host clients know it; the realm's host. */
  readonly host: string;
  readonly user: string;
  readonly password: string;
  /** The pair that tokens are signed with. */
  readonly signer: CertificatePair;
  /** Speak TLS. */
  readonly tls?: CertificatePair;
}

/** A token service that gives whoever has the password every scope asked for (distribution token specification). */
export interface RealTokenService {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** How many tokens were given out. */
  readonly issued: number;
}

const SERVICE = 'registry of the tests';
const ISSUER = 'issuer of the tests';
const LIFETIME_SECONDS = 300;

/** Starts a token service on a free port. */
export async function startTokenService(cleanup: Cleanup, options: TokenServiceOptions): Promise<RealTokenService> {
  let issued = 0;
  const answer = (request: IncomingMessage): { status: number; body: object } => {
    const url = new URL(request.url ?? '', 'http://service.example');
    const expected = `Basic ${Buffer.from(`${options.user}:${options.password}`).toString('base64')}`;
    if (url.pathname !== '/token' || url.searchParams.get('service') !== SERVICE) {
      return { status: 400, body: { details: 'not a question for this service' } };
    }
    if (request.headers.authorization !== expected) return { status: 401, body: { details: 'wrong user or password' } };
    issued += 1;
    const access = url.searchParams.getAll('scope').flatMap((scopes) => scopes.split(' ').map(grantOf));
    return { status: 200, body: { token: sign(options, access), expires_in: LIFETIME_SECONDS } };
  };
  const server = serverFor(options, answer);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, options.listen, resolve);
  });
  cleanup.add(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  });
  const scheme = options.tls === undefined ? 'http' : 'https';
  return {
    realm: `${scheme}://${options.host}:${(server.address() as AddressInfo).port}/token`,
    service: SERVICE,
    issuer: ISSUER,
    get issued() {
      return issued;
    },
  };
}

function serverFor(
  { tls }: TokenServiceOptions,
  answer: (request: IncomingMessage) => { status: number; body: object },
): Server {
  const pair = tls && { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) };
  const server = pair === undefined ? createServer() : createTlsServer(pair);
  return server.on('request', (request: IncomingMessage, response) => {
    const { status, body } = answer(request);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
}

/** `repository:a/b:pull,push` as a claim. */
function grantOf(scope: string): object {
  const [type, name, actions = ''] = scope.split(':');
  return { type, name, actions: actions.split(',') };
}

/** A JWT by RS256 (RFC 7515), with the certificate in its head, by which docker-registry finds the key. */
function sign({ signer, user }: TokenServiceOptions, access: readonly object[]): string {
  const now = Math.floor(Date.now() / 1000);
  const head = { alg: 'RS256', typ: 'JWT', x5c: [derOf(signer.certificate)] };
  const claims = {
    iss: ISSUER,
    sub: user,
    aud: SERVICE,
    iat: now,
    nbf: now - 10,
    exp: now + LIFETIME_SECONDS,
    jti: randomUUID(),
    access,
  };
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = createSign('RSA-SHA256').update(text).sign(readFileSync(signer.key));
  return `${text}.${signature.toString('base64url')}`;
}
