import { isTartletError, TartletError } from '../errors.ts';
import { isJsonObject, type JsonObject, parseJson, textOf } from '../json/foreign.ts';
import { Digest } from '../names/digest.ts';
import type { Repository } from '../names/repository.ts';
import { MediaType } from '../oci/media-type.ts';
import type { RawManifest } from '../registry/manifest.ts';
import type { Content } from '../server/contract/content.ts';
import type { ManifestStore, Referrer, StoredManifest, TakenManifest } from '../server/contract/manifest-store.ts';
import { Refusal } from '../server/contract/refusal.ts';
import type { Asked } from './access.ts';
import type { DocumentWork } from './document-work.ts';
import { readOnly } from './read-only.ts';
import { isPassing, refusalOf } from './upstream-failure.ts';
import type { RepositoryUsage } from './usage.ts';

/** The manifests of upstreams by digest, as one client may see them. What is here stays true: it cannot change. */
export class UpstreamManifests implements ManifestStore {
  readonly #work: DocumentWork;
  readonly #askedFor: (name: Repository) => Asked;

  constructor(work: DocumentWork, askedFor: (name: Repository) => Asked) {
    this.#work = work;
    this.#askedFor = askedFor;
  }

  async open(name: Repository, digest: Digest): Promise<StoredManifest | undefined> {
    const asked = this.#askedFor(name);
    const known = await asked.records.manifest(digest);
    try {
      if (known === undefined) return await this.#fetch(asked, digest);
      if (await this.#isThere(asked, digest)) {
        asked.usage.count('hits');
        return { mediaType: known.mediaType, content: counted(known.content, asked.usage) };
      }
      await known.content.close();
      return undefined;
    } catch (error) {
      await known?.content.close();
      if (isTartletError(error, 'NOT_FOUND')) return undefined;
      throw refusalOf(error, asked.upstream, asked.loginAdvice);
    }
  }

  async put(): Promise<TakenManifest> {
    throw readOnly();
  }

  async delete(): Promise<boolean> {
    throw readOnly();
  }

  async *referrers(name: Repository, subject: Digest, after: string): AsyncGenerator<Referrer> {
    const asked = this.#askedFor(name);
    for (const [digest, descriptor] of sorted(await this.#listReferrers(asked, subject))) {
      if (digest.toString() <= after) continue;
      const text = JSON.stringify(descriptor);
      yield { digest, size: text.length, read: async () => text };
    }
  }

  /** Whether the client may have what is here, by the upstream's word, or by its last one when it does not answer. */
  async #isThere(asked: Asked, digest: Digest): Promise<boolean> {
    const { access } = this.#work;
    if (access.isAllowed(asked)) return true;
    try {
      const { documents } = asked.client;
      const there = await this.#work.digests.run(`${asked.key} ${digest.toString()}`, async () =>
        access.ask(asked, true, async (signal) => (await documents.headManifest({ digest }, { signal }))?.digest),
      );
      return there !== undefined;
    } catch (error) {
      if (!isPassing(error) || !(await access.isAllowedWithoutUpstream(asked))) throw error;
      asked.usage.count('stale');
      return true;
    }
  }

  async #fetch(asked: Asked, digest: Digest): Promise<StoredManifest> {
    const key = `${asked.key} ${digest.toString()}`;
    const { bytes, mediaType } = await this.#work.manifests.run(key, async () => {
      const { documents } = asked.client;
      const raw = await this.#work.access.ask(asked, false, async (signal) =>
        documents.manifest({ digest }, { signal }),
      );
      const manifest = checked(raw);
      asked.usage.count('misses');
      asked.usage.count('fetchedBytes', raw.bytes.length);
      // A full disk is no reason to refuse what has come.
      await asked.records.keepManifest(manifest, this.#work.now()).catch(this.#work.onFault);
      return manifest;
    });
    const kept = await asked.records.manifest(digest);
    return { mediaType, content: counted(kept?.content ?? contentOf(bytes), asked.usage) };
  }

  async #listReferrers(asked: Asked, subject: Digest): Promise<readonly JsonObject[]> {
    try {
      return await this.#work.referrers.get(`${asked.key} ${subject.toString()}`, async () =>
        this.#work.access.askForList(asked, async (signal) => asked.client.documents.referrers(subject, { signal })),
      );
    } catch (error) {
      // Clients then look for the tag that older registries have for this.
      if (isTartletError(error, 'NOT_FOUND')) {
        throw new Refusal(404, 'MANIFEST_UNKNOWN', `${asked.upstream} keeps no list of what refers to a manifest`);
      }
      throw refusalOf(error, asked.upstream, asked.loginAdvice);
    }
  }
}

/** Each digest once. */
function sorted(descriptors: readonly JsonObject[]): (readonly [Digest, JsonObject])[] {
  const byDigest = new Map<string, readonly [Digest, JsonObject]>();
  for (const descriptor of descriptors) {
    const digest = Digest.tryParse(textOf(descriptor, 'digest') ?? '');
    if (digest !== undefined) byDigest.set(digest.toString(), [digest, descriptor]);
  }
  return [...byDigest].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => entry);
}

/**
 * A manifest of an upstream, in a type that can be told to clients.
 * @throws TartletError `MANIFEST_INVALID` for what is no JSON object: it is not kept, and not passed on.
 */
function checked({ bytes, mediaType, digest }: RawManifest): RawManifest {
  const document = parseJson(bytes);
  if (!isJsonObject(document)) {
    throw new TartletError('MANIFEST_INVALID', `what it sent for ${digest.toString()} is no manifest`);
  }
  const types = [mediaType, textOf(document, 'mediaType') ?? '', MediaType.ociManifest];
  return {
    bytes,
    digest,
    mediaType: types.find((type) => /^[a-z0-9.+-]{1,60}\/[a-z0-9.+-]{1,120}$/i.test(type)) ?? '',
  };
}

function contentOf(bytes: Uint8Array): Content {
  return {
    size: bytes.length,
    read: async (buffer, position) => {
      const part = bytes.subarray(position, position + buffer.length);
      buffer.set(part);
      return part.length;
    },
    close: async () => undefined,
  };
}

function counted(content: Content, usage: RepositoryUsage): Content {
  return {
    size: content.size,
    read: async (buffer, position) => {
      const count = await content.read(buffer, position);
      usage.count('servedBytes', count);
      return count;
    },
    close: async () => content.close(),
  };
}
