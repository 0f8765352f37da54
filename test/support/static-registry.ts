import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { sha256, type TinyImage } from './tart-image.ts';

export interface StaticRegistry {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  /** `METHOD path`, in order of arrival; ranges are added as `bytes=…`. */
  readonly requests: string[];
  /** Changes what a tag leads to. */
  readonly tags: Map<string, TinyImage>;
  /** Answers a request instead of the registry when it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Requests for blobs so far. */
  blobRequests(): string[];
}

/** A registry that serves fixed images, whatever the repository, and does what a test tells it to. */
export async function startStaticRegistry(images: Readonly<Record<string, TinyImage>>): Promise<StaticRegistry> {
  const requests: string[] = [];
  const tags = new Map(Object.entries(images));
  const all = Object.values(images);
  const registry: StaticRegistry = {
    address: '',
    requests,
    tags,
    intercept: undefined,
    blobRequests: () => requests.filter((line) => line.includes('/blobs/')),
  };
  const server = createServer((request, response) => {
    requests.push(
      `${request.method ?? ''} ${request.url ?? ''}${request.headers.range === undefined ? '' : ` ${request.headers.range}`}`,
    );
    if (registry.intercept?.(request, response) === true) return;
    answer(request, response, [...new Set([...all, ...tags.values()])], tags);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(registry, { address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  images: readonly TinyImage[],
  tags: ReadonlyMap<string, TinyImage>,
): void {
  const [, kind, reference] = /\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? [];
  if (kind === undefined) {
    response.end('{}');
  } else if (kind === 'manifests') {
    const image = tags.get(reference ?? '') ?? images.find((each) => each.digest === reference);
    send(request, response, image?.manifest, 'application/vnd.oci.image.manifest.v1+json');
  } else {
    send(
      request,
      response,
      images.map((image) => image.blobs.get(reference ?? '')).find((blob) => blob !== undefined),
      'application/octet-stream',
    );
  }
}

/** Sends bytes as a registry would: digest, length, one range. */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array | undefined,
  type: string,
): void {
  if (bytes === undefined) {
    response
      .writeHead(404, { 'content-type': 'application/json' })
      .end('{"errors":[{"code":"UNKNOWN","message":"not here"}]}');
    return;
  }
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const first = Number(from ?? 0);
  const last = to === undefined || to === '' ? bytes.length - 1 : Math.min(Number(to), bytes.length - 1);
  const part = bytes.subarray(first, last + 1);
  response.writeHead(from === undefined ? 200 : 206, {
    'content-type': type,
    'content-length': part.length,
    'docker-content-digest': sha256(bytes),
    ...(from === undefined ? {} : { 'content-range': `bytes ${first}-${last}/${bytes.length}` }),
  });
  response.end(request.method === 'HEAD' ? undefined : part);
}
