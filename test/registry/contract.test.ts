import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fetchBlobFile } from '../../src/chunks/blob-file.ts';
import { TartletError } from '../../src/errors.ts';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { BlobFetcher, ManifestSource } from '../../src/registry/contract.ts';
import { resolveManifest } from '../../src/transfer/manifest-tree.ts';
import { temporaryDirectory } from '../support/directory.ts';

const { signal } = new AbortController();
const BYTES = Buffer.from('twelve bytes');
const BLOB = {
  digest: digestOf(BYTES),
  size: BYTES.length,
  mediaType: 'application/octet-stream',
  annotations: new Map(),
};

/** A place that breaks after so many bytes of each answer. */
function place(breaksAfter: number, asked: number[]): BlobFetcher {
  return {
    blob: async function* blob(_, { from = 0, to = BYTES.length, onBytes } = {}) {
      asked.push(from);
      const piece = BYTES.subarray(from, Math.min(to, from + breaksAfter));
      onBytes?.(piece.length);
      yield piece;
      if (piece.length < to - from) throw new TartletError('NET_BROKEN', 'the mirror went away');
    },
  };
}

/** Several places that are asked in turn, each from the byte on where the one before broke. */
function inTurn(places: readonly BlobFetcher[]): BlobFetcher {
  return {
    blob: async function* blob(descriptor, options = {}) {
      let { from = 0 } = options;
      for (const [index, one] of places.entries()) {
        try {
          for await (const piece of one.blob(descriptor, { ...options, from })) {
            from += piece.length;
            yield piece;
          }
          return;
        } catch (error) {
          if (index === places.length - 1) throw error;
        }
      }
    },
  };
}

it('a blob can come from several places, the next one beginning where the last one broke', async () => {
  const file = `${temporaryDirectory()}/blob`;
  const [first, second]: [number[], number[]] = [[], []];
  let counted = 0;
  const source = {
    client: inTurn([place(5, first), place(100, second)]),
    signal,
    onBytes: (count: number) => {
      counted += count;
    },
  };
  await fetchBlobFile(source, BLOB, file);
  expect(readFileSync(file, 'utf8')).toBe('twelve bytes');
  expect({ first, second, counted }).toEqual({ first: [0], second: [5], counted: 12 });
});

it('a name can be resolved by the second of two places when the first does not have it', async () => {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] }),
  );
  const mirror: ManifestSource = {
    manifest: async () => Promise.reject(new TartletError('NOT_FOUND', 'the mirror does not have it')),
  };
  const origin: ManifestSource = {
    manifest: async () => ({
      bytes,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: digestOf(bytes),
    }),
  };
  const both: ManifestSource = {
    manifest: async (...asked) => mirror.manifest(...asked).catch(async () => origin.manifest(...asked)),
  };
  const { digest, manifest } = await resolveManifest(
    both,
    RemoteName.parse('registry.corp:8221/macos/base:15'),
    signal,
  );
  expect([digest.toString(), manifest.kind]).toEqual([digestOf(bytes).toString(), 'index']);
});

function digestOf(bytes: Uint8Array): Digest {
  return Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
}
