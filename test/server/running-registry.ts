import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import type { RegistryOptions } from '../../src/server/settings/options.ts';
import { createRegistry, type Registry } from '../../src/server/server.ts';
import { temporaryDirectory } from '../support/directory.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** Codes of the error body; empty for anything else. */
  readonly codes: readonly string[];
}

interface Sent {
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
}

/** A client of a registry that sends what it is told byte for byte. */
export interface ProtocolClient {
  readonly port: number;
  send(method: string, target: string, sent?: Sent): Promise<Answer>;
  /** Opens an upload and returns its location. */
  begin(repository: string): Promise<string>;
  pushBlob(repository: string, content: string | Uint8Array): Promise<string>;
  /** Pushes config, layers and manifest; returns the manifest's digest. */
  pushImage(repository: string, reference: string | undefined, extra?: object): Promise<string>;
}

/** A registry on a free loopback port, gone with the test, and a client of it. */
export interface RunningRegistry extends ProtocolClient {
  readonly registry: Registry;
  readonly directory: string;
  readonly events: RegistryEvent[];
  /** Files that unfinished uploads take. */
  staged(): string[];
}

export function sha256(content: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** Bytes of which no two ranges look alike. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export async function startRegistry(options: Partial<RegistryOptions> = {}): Promise<RunningRegistry> {
  const directory = options.dataDirectory ?? temporaryDirectory();
  const events: RegistryEvent[] = [];
  const registry = createRegistry({ log: (event) => events.push(event), ...options, dataDirectory: directory });
  const { port } = await registry.listen();
  onTestFinished(async () => registry.close());
  return {
    ...protocolClient(port),
    registry,
    directory,
    events,
    staged: () => readdirSync(path.join(directory, 'staging')),
  };
}

/** A client of whatever registry listens on a port of this machine, gone with the test. */
export function protocolClient(port: number): ProtocolClient {
  const agent = new http.Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const send = async (method: string, target: string, sent: Sent = {}): Promise<Answer> =>
    exchange({ method, path: target, port, agent, headers: sent.headers ?? {} }, sent.body);
  const begin = async (repository: string): Promise<string> => {
    const { status, headers } = await send('POST', `/v2/${repository}/blobs/uploads/`);
    expect(status).toBe(202);
    return headers.location ?? '';
  };
  const pushBlob = async (repository: string, content: string | Uint8Array): Promise<string> => {
    const digest = sha256(content);
    const { status } = await send('PUT', `${await begin(repository)}?digest=${digest}`, { body: content });
    expect(status).toBe(201);
    return digest;
  };
  return {
    port,
    send,
    begin,
    pushBlob,
    pushImage: async (repository, reference, extra = {}) => {
      const config = '{"os":"darwin"}';
      const layer = `layer of ${reference ?? ''}`;
      await pushBlob(repository, config);
      await pushBlob(repository, layer);
      const manifest = imageManifest(config, [layer], extra);
      const target = `/v2/${repository}/manifests/${reference ?? sha256(manifest)}`;
      const { status } = await send('PUT', target, { headers: { 'Content-Type': OCI_MANIFEST }, body: manifest });
      expect(status).toBe(201);
      return sha256(manifest);
    },
  };
}

export function imageManifest(config: string, layers: readonly string[], extra: object = {}): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => descriptor('application/octet-stream', layer)),
    ...extra,
  });
}

export function descriptor(mediaType: string, content: string): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest: sha256(content), size: Buffer.byteLength(content) };
}

async function exchange(options: http.RequestOptions, body: string | Uint8Array | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', ...options }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => {
        const bytes = Buffer.concat(pieces);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes, codes: codesOf(bytes) });
      });
    });
    request.once('error', reject);
    request.end(body);
  });
}

function codesOf(body: Buffer): string[] {
  const text = body.toString('utf8');
  if (!text.startsWith('{"errors"')) return [];
  const parsed = JSON.parse(text) as { errors: { code: string }[] };
  return parsed.errors.map((error) => error.code);
}

/**
 * A connection that says exactly these bytes; resolves with everything heard when the server ends it, or when `until`
 * was heard.
 * @param localAddress where it comes from: another address is another client.
 */
export async function rawExchange(
  port: number,
  text: string,
  until?: RegExp,
  localAddress = '127.0.0.1',
): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress }, () => socket.write(text));
    let heard = '';
    const done = (): void => {
      socket.destroy();
      resolve(heard);
    };
    socket.on('data', (piece) => {
      heard += piece.toString('latin1');
      if (until?.test(heard) === true) done();
    });
    socket.once('error', done);
    socket.once('close', done);
  });
}

/** All bytes of files below a directory. */
export function diskUsage(directory: string): number {
  if (!existsSync(directory)) return 0;
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

/** Waits for a condition, not for a time. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
