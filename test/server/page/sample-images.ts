import { expect } from 'vitest';
import {
  configLayer,
  diskLayer,
  json,
  nvramLayer,
  overlayLayer,
  sha256,
  tinyDocument,
} from '../../support/tart-image.ts';
import { OCI_MANIFEST, type ProtocolClient } from '../running-registry.ts';

const MIB = 1024 ** 2;

/** A part of a disk: which content it has, and how many MiB it is on the disk and stored. */
export interface SampleChunk {
  /** Parts of the same name are the same blob. */
  readonly content: string;
  readonly size: number;
  readonly stored: number;
}

export interface SampleImage {
  readonly chunks: readonly SampleChunk[];
  readonly overlays?: readonly (readonly SampleChunk[])[];
  readonly pushedAt?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly config?: object;
}

/** A disk of many parts: some with content of its own, some of zeros. */
export function chunksOf(names: readonly string[], size = 512): SampleChunk[] {
  return names.map((content, at) =>
    content === '0'
      ? { content: `zeros of ${size}`, size, stored: size / 233 }
      : { content, size, stored: Math.round(size * (0.15 + ((at * 7 + content.length) % 10) / 16)) },
  );
}

/**
 * Pushes an image whose manifest claims sizes of real ones, over blobs of a few bytes: a registry looks at what the
 * manifest links to, and not at its numbers.
 * @returns the digest of the manifest.
 */
export async function pushSample(
  { pushBlob, send }: ProtocolClient,
  repository: string,
  tag: string,
  sample: SampleImage,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const config = JSON.stringify({
    os: 'linux',
    arch: 'arm64',
    cpuCount: 4,
    memorySize: 4 * 1024 ** 3,
    ...sample.config,
  });
  const stub = JSON.stringify({ architecture: 'arm64', os: 'linux', config: { Labels: sample.labels ?? {} } });
  const all = [...sample.chunks, ...(sample.overlays ?? []).flat()];
  for (const blob of new Set([config, stub, 'nvram', ...all.map(({ content }) => content)])) {
    await pushBlob(repository, blob);
  }
  const document = json(manifestOf(sample, { config, stub }));
  const target = `/v2/${repository}/manifests/${tag}`;
  const { status } = await send('PUT', target, {
    headers: { 'Content-Type': OCI_MANIFEST, ...headers },
    body: document,
  });
  expect(status).toBe(201);
  return sha256(document);
}

/** Sets up to 100 tags to the image of another tag, `name:tag`. */
export async function setTags({ send }: ProtocolClient, image: string, tags: readonly string[]): Promise<void> {
  const [repository, tag] = image.split(':');
  const { headers, body } = await send('GET', `/v2/${repository}/manifests/${tag}`);
  const query = tags.map((each) => `tag=${each}`).join('&');
  const target = `/v2/${repository}/manifests/${String(headers['docker-content-digest'])}?${query}`;
  const { status } = await send('PUT', target, { headers: { 'Content-Type': headers['content-type'] }, body });
  expect(status).toBe(201);
}

/** The same client with the login of somebody, for what samples need. */
export function withLogin(client: ProtocolClient, authorization: string): ProtocolClient {
  const send: ProtocolClient['send'] = async (method, target, sent = {}) =>
    client.send(method, target, { ...sent, headers: { Authorization: authorization, ...sent.headers } });
  const pushBlob: ProtocolClient['pushBlob'] = async (repository, content) => {
    const digest = sha256(Buffer.from(content));
    const begun = await send('POST', `/v2/${repository}/blobs/uploads/`);
    expect((await send('PUT', `${begun.headers.location ?? ''}?digest=${digest}`, { body: content })).status).toBe(201);
    return digest;
  };
  return { ...client, send, pushBlob };
}

function manifestOf(sample: SampleImage, { config, stub }: { readonly config: string; readonly stub: string }): object {
  const { chunks, overlays = [], pushedAt = '2026-11-27T09:30:00Z', annotations = {} } = sample;
  const diskSize = chunks.reduce((sum, { size }) => sum + size, 0) * MIB;
  const stacked = overlays.length > 0;
  const blob = ({ content, stored }: SampleChunk): object => ({
    digest: sha256(Buffer.from(content)),
    size: Math.round(stored * MIB),
  });
  const facts = ({ content, size }: SampleChunk): Record<string, string> => ({
    'org.cirruslabs.tart.uncompressed-size': String(size * MIB),
    'org.cirruslabs.tart.uncompressed-content-digest': sha256(Buffer.from(`decoded ${content}`)),
  });
  const fileDigest = { 'org.cirruslabs.tart.disk-file-content-digest': sha256(Buffer.from('whole file')) };
  return tinyDocument({
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...descriptorOf(stub) },
    layers: [
      configLayer(descriptorOf(config)),
      ...chunks.map((chunk, at) =>
        diskLayer(blob(chunk) as Record<string, unknown>, {
          ...facts(chunk),
          ...(stacked && at === 0 ? fileDigest : {}),
        }),
      ),
      ...overlays.flatMap((overlay) =>
        overlay.map((chunk, at) =>
          overlayLayer(blob(chunk) as Record<string, unknown>, at === 0 ? overlay.length : undefined, facts(chunk)),
        ),
      ),
      nvramLayer(descriptorOf('nvram')),
    ],
    annotations: {
      ...(stacked ? {} : { 'org.cirruslabs.tart.uncompressed-disk-size': String(diskSize) }),
      'org.cirruslabs.tart.upload-time': pushedAt,
      ...annotations,
    },
  });
}

function descriptorOf(content: string): { digest: string; size: number } {
  return { digest: sha256(Buffer.from(content)), size: Buffer.byteLength(content) };
}
