import type { Answer, Handler, RecordedRequest, ScriptedRegistry } from './scripted-registry.ts';
import type { TinyImage } from './tart-image.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** An honest answer to a request for these bytes, ranged or not. */
export function honest(bytes: Uint8Array, { headers }: RecordedRequest): Answer {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
  if (first === undefined || last === undefined) return { body: bytes };
  const [from, to] = [Number(first), Math.min(Number(last), bytes.length - 1)];
  return {
    status: 206,
    headers: { 'content-range': `bytes ${from}-${to}/${bytes.length}` },
    body: bytes.subarray(from, to + 1),
  };
}

/** Does to the first answers what a test says, and is honest from then on. */
export function atFirst(bytes: Uint8Array, ...answers: readonly (Answer | Handler)[]): Handler {
  return (request, count) => {
    const answer = answers[count - 1];
    return typeof answer === 'function' ? answer(request, count) : (answer ?? honest(bytes, request));
  };
}

/** Adds all routes of an image, honest ones: a test then replaces those it wants to spoil. */
export function serveImage(registry: ScriptedRegistry, repository: string, tag: string, image: TinyImage): void {
  for (const reference of [tag, image.digest]) {
    registry.on(manifestRoute(repository, reference), {
      headers: { 'content-type': MANIFEST, 'docker-content-digest': image.digest },
      body: image.manifest,
    });
  }
  for (const [digest, bytes] of image.blobs) {
    registry.on(blobRoute(repository, digest), (request) => honest(bytes, request));
  }
}

/** What {@link ScriptedRegistry.on} calls the reading of a manifest. */
export function manifestRoute(repository: string, reference: string): string {
  return `GET /v2/${repository}/manifests/${reference}`;
}

/** What {@link ScriptedRegistry.on} calls the reading of a blob. */
export function blobRoute(repository: string, digest: string): string {
  return `GET /v2/${repository}/blobs/${digest}`;
}
