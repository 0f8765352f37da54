import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import { createRegistry } from '../../src/server/server.ts';
import { temporaryDirectory } from './directory.ts';

/** The embedded registry behind a proxy that can spoil its answers. */
export interface MeddlingRegistry {
  /** `127.0.0.1:<port>` */
  readonly at: string;
  /** What reached the proxy, as `METHOD path?query`. */
  readonly requests: string[];
  /** What reached the registry, as `METHOD path status`. */
  readonly served: string[];
  /** Answers a request instead of the registry when it returns true. */
  meddle: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** The requests since the last call, those for blobs and manifests only. */
  takeRequests(): string[];
  /** No longer reachable. */
  stop(): Promise<void>;
  get(path: string): Promise<Buffer | undefined>;
  /** Stores a blob; returns its digest. */
  pushBlob(repository: string, content: string | Uint8Array, digest: string): Promise<void>;
  pushManifest(repository: string, reference: string, bytes: Uint8Array, mediaType: string): Promise<void>;
}

export async function startMeddlingRegistry(): Promise<MeddlingRegistry> {
  const served: string[] = [];
  const log = (event: RegistryEvent): void => {
    if (event.kind === 'request') served.push(`${event.method} ${event.path} ${event.status}`);
  };
  const registry = createRegistry({ dataDirectory: temporaryDirectory(), log });
  const { port: inner } = await registry.listen();
  onTestFinished(async () => registry.close());
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (meddling.meddle?.(request, response) !== true) forward(request, response, inner);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(stop);
  const put = async (path: string, body: Uint8Array, type: string): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${inner}${path}`, {
      method: 'PUT',
      body: body as Uint8Array<ArrayBuffer>,
      headers: { 'content-type': type },
    });
    if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  };
  const meddling: MeddlingRegistry = {
    at,
    requests,
    served,
    meddle: undefined,
    takeRequests: () => requests.splice(0).filter((line) => /\/(?:blobs|manifests)\//.test(line)),
    stop,
    get: async (path) => {
      const response = await fetch(`http://127.0.0.1:${inner}${path}`);
      return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : undefined;
    },
    pushBlob: async (repository, content, digest) => {
      const begun = await fetch(`http://127.0.0.1:${inner}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
      const location = begun.headers.get('location') ?? '';
      await put(`${location}?digest=${digest}`, Buffer.from(content), 'application/octet-stream');
    },
    pushManifest: async (repository, reference, bytes, mediaType) =>
      put(`/v2/${repository}/manifests/${reference}`, bytes, mediaType),
  };
  return meddling;
}

function forward(request: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url, headers } = request;
  const onward = http.request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.on('error', () => onward.destroy());
  request.on('close', () => {
    if (!request.complete) onward.destroy();
  });
  request.pipe(onward);
}
