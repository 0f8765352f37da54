import { createHash } from 'node:crypto';
import { type Answer, type RecordedRequest, ScriptedRegistry } from './scripted-registry.ts';
import { honest } from './scripted-image.ts';
import type { TinyImage } from './tart-image.ts';

/** What a request is for. */
export type Step =
  | 'ask for the registry'
  | 'get a token'
  | 'look for a blob'
  | 'read a blob'
  | 'mount a blob'
  | 'start an upload'
  | 'send a part'
  | 'send the rest'
  | 'read the manifest'
  | 'look for the manifest'
  | 'store the manifest'
  | 'move the tag'
  | 'delete the manifest';

/** A request, and where it goes: `repository` is empty for `/v2/` itself. */
export interface Asked {
  readonly step: Step;
  readonly repository: string;
  readonly request: RecordedRequest;
}

/** The manifest that a repository has, under its digest and all its tags. */
interface Stored {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/**
 * A registry in memory that does what the distribution specification says, and refuses a manifest whose blobs it lacks,
 * until a test answers in its place.
 */
export class HonestRegistry {
  readonly server: ScriptedRegistry;
  /** By repository and digest: `a/b sha256:…`. */
  readonly blobs = new Map<string, Buffer>();
  /** By repository and tag or digest. */
  readonly manifests = new Map<string, Stored>();
  /** Whether it wants a token for everything. */
  wantsToken = false;
  /** Asked first; what it answers is the answer, and nothing is done. */
  instead: ((asked: Asked) => Answer | undefined) | undefined;
  readonly #uploads = new Map<string, Buffer[]>();
  #lastUpload = 0;

  private constructor(server: ScriptedRegistry) {
    this.server = server;
    server.on('*', (request) => this.#answer(request));
  }

  static async start(): Promise<HonestRegistry> {
    return new HonestRegistry(await ScriptedRegistry.start());
  }

  /** Stores an image as a push would. */
  plant(repository: string, tag: string, image: TinyImage): void {
    for (const [digest, bytes] of image.blobs) this.blobs.set(`${repository} ${digest}`, Buffer.from(bytes));
    const stored = { bytes: Buffer.from(image.manifest), mediaType: MANIFEST };
    this.manifests.set(`${repository} ${tag}`, stored).set(`${repository} ${image.digest}`, stored);
  }

  /** What the image under a name lacks: the name itself, or blobs. Nothing: all of it is there. */
  lacks(repository: string, reference: string): string[] {
    const manifest = this.manifests.get(`${repository} ${reference}`);
    if (manifest === undefined) return [reference];
    return blobsOf(manifest.bytes).filter((digest) => !this.blobs.has(`${repository} ${digest}`));
  }

  #answer(request: RecordedRequest): Answer {
    const asked = understand(request);
    const answer = this.instead?.(asked);
    if (answer !== undefined) return answer;
    if (this.wantsToken && asked.step !== 'get a token' && request.headers['authorization'] === undefined) {
      return { status: 401, headers: { 'www-authenticate': `Bearer realm="${this.server.origin}/token",service="x"` } };
    }
    return this.#honestly(asked);
  }

  #honestly({ step, repository, request }: Asked): Answer {
    const { pathname, searchParams } = new URL(request.path, this.server.origin);
    const last = pathname.split('/').at(-1) ?? '';
    const key = `${repository} ${last}`;
    switch (step) {
      case 'ask for the registry':
        return { body: '{}' };
      case 'get a token':
        return { body: '{"token":"t","expires_in":300}' };
      case 'look for a blob':
      case 'read a blob': {
        const blob = this.blobs.get(key);
        if (blob === undefined) return refusal(404, 'BLOB_UNKNOWN');
        return step === 'read a blob' ? honest(blob, request) : { headers: { 'content-length': String(blob.length) } };
      }
      case 'mount a blob': {
        const digest = searchParams.get('mount') ?? '';
        const blob = this.blobs.get(`${searchParams.get('from')} ${digest}`);
        if (blob === undefined) return this.#startUpload(repository);
        this.blobs.set(`${repository} ${digest}`, blob);
        return { status: 201 };
      }
      case 'start an upload':
        return this.#startUpload(repository);
      case 'send a part':
        this.#uploads.get(key)?.push(request.body);
        return { status: 202, headers: { location: pathname } };
      case 'send the rest': {
        const bytes = Buffer.concat([...(this.#uploads.get(key) ?? []), request.body]);
        const digest = searchParams.get('digest') ?? '';
        if (digest !== sha256(bytes)) return refusal(400, 'DIGEST_INVALID');
        this.blobs.set(`${repository} ${digest}`, bytes);
        return { status: 201 };
      }
      case 'read the manifest':
      case 'look for the manifest': {
        const found = this.manifests.get(key);
        if (found === undefined) return refusal(404, 'MANIFEST_UNKNOWN');
        const headers = { 'content-type': found.mediaType, 'docker-content-digest': sha256(found.bytes) };
        const length = { 'content-length': String(found.bytes.length) };
        return step === 'read the manifest' ? { headers, body: found.bytes } : { headers: { ...headers, ...length } };
      }
      case 'store the manifest':
      case 'move the tag': {
        const unknown = blobsOf(request.body).filter((digest) => !this.blobs.has(`${repository} ${digest}`));
        if (unknown.length > 0) return refusal(400, 'MANIFEST_BLOB_UNKNOWN', unknown.join(' '));
        this.manifests.set(key, { bytes: request.body, mediaType: request.headers['content-type'] ?? '' });
        return { status: 201 };
      }
      case 'delete the manifest':
        return this.manifests.delete(key) ? { status: 202 } : refusal(404, 'MANIFEST_UNKNOWN');
    }
  }

  #startUpload(repository: string): Answer {
    this.#lastUpload += 1;
    this.#uploads.set(`${repository} ${this.#lastUpload}`, []);
    return { status: 202, headers: { location: `/v2/${repository}/blobs/uploads/${this.#lastUpload}` } };
  }
}

function understand(request: RecordedRequest): Asked {
  const [path = '', query = ''] = request.path.split('?');
  const [, named, what, reference = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/(.*)$/.exec(path) ?? [];
  const scoped = new URLSearchParams(query).get('scope')?.split(':')[1];
  return {
    step: stepOf(request.method, path, { what, reference, query }),
    repository: named ?? scoped ?? '',
    request,
  };
}

function stepOf(
  method: string,
  path: string,
  { what, reference, query }: { readonly what: string | undefined; readonly reference: string; readonly query: string },
): Step {
  if (path === '/token') return 'get a token';
  if (what === 'blobs') {
    if (method === 'HEAD') return 'look for a blob';
    if (method === 'GET') return 'read a blob';
    if (method === 'PATCH') return 'send a part';
    if (method === 'PUT') return 'send the rest';
    return query.includes('mount=') ? 'mount a blob' : 'start an upload';
  }
  if (what === 'manifests') {
    if (method === 'HEAD') return 'look for the manifest';
    if (method === 'GET') return 'read the manifest';
    if (method === 'DELETE') return 'delete the manifest';
    return reference.includes(':') ? 'store the manifest' : 'move the tag';
  }
  return 'ask for the registry';
}

function blobsOf(manifest: Buffer): string[] {
  const { config, layers } = JSON.parse(manifest.toString()) as Record<'config', { digest: string }> & {
    layers: { digest: string }[];
  };
  return [config, ...layers].map(({ digest }) => digest);
}

function refusal(status: number, code: string, message = code): Answer {
  return { status, body: JSON.stringify({ errors: [{ code, message }] }) };
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
