import http from 'node:http';
import { onTestFinished } from 'vitest';
import { createRegistry } from '../../src/server/server.ts';
import { type ProtocolClient, protocolClient } from '../server/running-registry.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** One request that came to an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  readonly repository: string;
  /** `name:password` of a Basic login; undefined without one. */
  readonly login: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
}

/** What is answered in place of the registry; `drop` ends the connection. */
export type Answered =
  | 'drop'
  | { readonly status: number; readonly headers?: http.OutgoingHttpHeaders; readonly body?: string | Buffer };

/** A registry whose answers a test may replace, and that remembers every request. */
export interface PolicedUpstream {
  readonly port: number;
  /** As clients of a cache write it. */
  readonly host: string;
  /** The same with a `_` for the colon. */
  readonly text: string;
  /** Pushes to it, without a policy. */
  readonly pusher: ProtocolClient;
  readonly requests: UpstreamRequest[];
  /** What is said instead of the registry's own answer; undefined: nothing. */
  policy: (request: UpstreamRequest) => Answered | undefined;
  /** Requests as `GET /v2/…`, of which each login can be seen as well. */
  said(): string[];
}

export async function startUpstream(): Promise<PolicedUpstream> {
  const registry = createRegistry({ dataDirectory: temporaryDirectory() });
  onTestFinished(async () => registry.close());
  const { port: ownPort } = await registry.listen();
  const requests: UpstreamRequest[] = [];
  const server = http.createServer((request, response) => {
    const asked = readRequest(request);
    requests.push(asked);
    const answer = upstream.policy(asked);
    if (answer === undefined) return void registry.handle(request, response);
    if (answer === 'drop') return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers ?? {});
    response.end(request.method === 'HEAD' ? '' : (answer.body ?? ''));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const upstream: PolicedUpstream = {
    port,
    host: `127.0.0.1:${port}`,
    text: `127.0.0.1_${port}`,
    pusher: protocolClient(ownPort),
    requests,
    policy: () => undefined,
    said: () => requests.map(({ method, path }) => `${method} ${path}`),
  };
  return upstream;
}

/** Asks for a login, and lets in those who are in the list of the repository; `anybody` needs none. */
export function onlyFor(readers: Readonly<Record<string, readonly string[]>>): PolicedUpstream['policy'] {
  const challenge = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="upstream"' } };
  return ({ path, repository, login }) => {
    if (path === '/v2/') {
      const all = Object.values(readers).flat();
      return login !== undefined && all.includes(login) ? undefined : challenge;
    }
    const allowed = readers[repository] ?? [];
    if (allowed.includes('anybody') && login === undefined) return undefined;
    if (login === undefined) return challenge;
    if (allowed.includes(login)) return undefined;
    return Object.values(readers).flat().includes(login) ? { status: 403 } : challenge;
  };
}

function readRequest({ method = '', url = '', headers }: http.IncomingMessage): UpstreamRequest {
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '')?.[1];
  const path = url.split('?', 1)[0] ?? '';
  return {
    method,
    path,
    repository: /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1] ?? '',
    login: basic === undefined ? undefined : Buffer.from(basic, 'base64').toString('utf8'),
    headers,
  };
}
