import { Digest } from '../../src/names/digest.ts';
import type { Repository } from '../../src/names/repository.ts';
import type { BlobStore } from '../../src/server/contract/blob-store.ts';
import type { Content } from '../../src/server/contract/content.ts';
import type { ManifestStore } from '../../src/server/contract/manifest-store.ts';
import { cutPage } from '../../src/server/contract/page.ts';
import { Refusal } from '../../src/server/contract/refusal.ts';
import type { RequestBody } from '../../src/server/contract/request-body.ts';
import type { Catalog, Stores } from '../../src/server/contract/stores.ts';
import type { TagStore } from '../../src/server/contract/tag-store.ts';
import type { TakenUpload, Upload, UploadBeginning, UploadStore } from '../../src/server/contract/upload-store.ts';

interface Manifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly subject: Digest | undefined;
}

interface Held {
  readonly blobs: Map<string, () => Content>;
  readonly manifests: Map<string, Manifest>;
  readonly tags: Map<string, Digest>;
}

function contentOf(bytes: Buffer): Content {
  return {
    size: bytes.length,
    read: async (buffer, position) => bytes.copy(buffer, 0, position),
    close: async () => undefined,
  };
}

/** A blob that arrives while it is read, as one of an upstream does. */
export class ArrivingBlob {
  readonly #size: number | undefined;
  #bytes = Buffer.alloc(0);
  #state: 'arriving' | 'complete' | 'broken' = 'arriving';
  readonly #waiting = new Set<() => void>();

  /** @param size undefined when the source has not told. */
  constructor(size: number | undefined) {
    this.#size = size;
  }

  /** How many reads wait for bytes. */
  get waiting(): number {
    return this.#waiting.size;
  }

  arrive(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake();
  }

  end(how: 'complete' | 'broken'): void {
    this.#state = how;
    this.#wake();
  }

  open(): Content {
    const reader = { isOpen: true };
    return {
      size: this.#size,
      read: async (buffer, position) => {
        while (reader.isOpen && this.#state === 'arriving' && this.#bytes.length <= position) await this.#more();
        if (!reader.isOpen) throw new Error('it was closed');
        if (this.#state === 'broken' && this.#bytes.length <= position) throw new Error('the rest will never come');
        return this.#bytes.copy(buffer, 0, position);
      },
      close: async () => {
        reader.isOpen = false;
        this.#wake();
      },
    };
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #wake(): void {
    for (const tell of this.#waiting) tell();
    this.#waiting.clear();
  }
}

/**
 * The contracts of a registry over maps, with no thought of limits: what a store must do at least so that the protocol
 * is right.
 */
export class MemoryStores implements Stores {
  readonly #repositories = new Map<string, Held>();
  readonly #uploads = new Map<string, MemoryUpload>();
  /** Value of the `Warning` that tags come with. */
  warning: string | undefined;

  readonly blobs: BlobStore = {
    open: async (repository, digest) => this.#held(repository)?.blobs.get(digest.toString())?.(),
    delete: async (repository, digest) => this.#held(repository)?.blobs.delete(digest.toString()) ?? false,
  };

  readonly tags: TagStore = {
    resolve: async (repository, tag) => {
      const digest = this.#held(repository)?.tags.get(tag.text);
      return digest === undefined ? undefined : { digest, warning: this.warning };
    },
    list: async (repository, page) => {
      const held = this.#held(repository);
      return held === undefined ? undefined : cutPage([...held.tags.keys()].sort(), page);
    },
    delete: async (repository, tag) => this.#held(repository)?.tags.delete(tag.text) ?? false,
  };

  readonly catalog: Catalog = { list: async (page) => cutPage([...this.#repositories.keys()].sort(), page) };

  readonly manifests: ManifestStore = {
    open: async (repository, digest) => {
      const found = this.#held(repository)?.manifests.get(digest.toString());
      return found === undefined ? undefined : { mediaType: found.mediaType, content: contentOf(found.bytes) };
    },
    put: async (repository, { bytes, contentType = '', expected, tags }) => {
      const digest = Digest.of(bytes);
      if (expected?.equals(digest) === false) throw new Refusal(400, 'DIGEST_INVALID', 'it is something else');
      const held = this.#make(repository);
      const { config, layers, subject } = JSON.parse(bytes.toString()) as Document;
      for (const blob of [config, ...layers]) {
        if (!held.blobs.has(blob.digest)) throw new Refusal(404, 'MANIFEST_BLOB_UNKNOWN', 'a blob is missing');
      }
      const about = subject === undefined ? undefined : Digest.parse(subject.digest);
      held.manifests.set(digest.toString(), { bytes, mediaType: contentType, subject: about });
      for (const tag of tags) held.tags.set(tag.text, digest);
      return { digest, subject: about };
    },
    delete: async (repository, digest) => {
      const held = this.#held(repository);
      for (const [tag, named] of held?.tags ?? []) if (named.equals(digest)) held?.tags.delete(tag);
      return held?.manifests.delete(digest.toString()) ?? false;
    },
    referrers: async function* (this: MemoryStores, repository: Repository, subject: Digest, after: string) {
      const manifests = [...(this.#held(repository)?.manifests ?? [])].sort(([one], [other]) => (one < other ? -1 : 1));
      for (const [digest, { bytes, mediaType, subject: about }] of manifests) {
        if (about?.equals(subject) !== true || digest <= after) continue;
        const text = JSON.stringify({ mediaType, digest, size: bytes.length });
        yield { digest: Digest.parse(digest), size: text.length, read: async () => text };
      }
    }.bind(this),
  };

  readonly uploads: UploadStore = {
    mount: async (digest, to, from) => {
      const sources = from === 'any' ? [...this.#repositories.values()] : from.map((source) => this.#held(source));
      const blob = sources.flatMap((held) => held?.blobs.get(digest.toString()) ?? [])[0];
      if (blob === undefined) return false;
      this.#make(to).blobs.set(digest.toString(), blob);
      return true;
    },
    begin: async (beginning) => {
      const id = this.#uploads.size.toString(16).padStart(32, '0');
      const upload = new MemoryUpload(id, beginning, (bytes) =>
        this.hold(beginning.repository, () => contentOf(bytes), Digest.of(bytes)),
      );
      this.#uploads.set(id, upload);
      return upload;
    },
    find: async (id, { repository }) => {
      const upload = this.#uploads.get(id);
      if (upload === undefined || upload.ended || !upload.repository.equals(repository)) throw unknownUpload();
      return upload;
    },
  };

  /** Puts a blob into a repository without an upload. */
  hold(repository: Repository, open: () => Content, digest: Digest): void {
    this.#make(repository).blobs.set(digest.toString(), open);
  }

  #held(repository: Repository): Held | undefined {
    return this.#repositories.get(repository.text);
  }

  #make(repository: Repository): Held {
    const held = this.#held(repository) ?? { blobs: new Map(), manifests: new Map(), tags: new Map() };
    this.#repositories.set(repository.text, held);
    return held;
  }
}

interface Document {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
  readonly subject?: { readonly digest: string };
}

class MemoryUpload implements Upload, TakenUpload {
  readonly id: string;
  readonly repository: Repository;
  ended = false;
  #bytes = Buffer.alloc(0);
  readonly #keep: (bytes: Buffer) => void;
  #turn: Promise<void> = Promise.resolve();

  constructor(id: string, { repository }: UploadBeginning, keep: (bytes: Buffer) => void) {
    this.id = id;
    this.repository = repository;
    this.#keep = keep;
  }

  get received(): number {
    return this.#bytes.length;
  }

  async alone(_: RequestBody, work: (taken: TakenUpload) => Promise<void>): Promise<void> {
    const before = this.#turn;
    const mine = (async () => {
      await before;
      if (this.ended) throw unknownUpload();
      await work(this);
    })();
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  expect(): void {}

  async announce(): Promise<void> {}

  async append(body: RequestBody): Promise<void> {
    await body.consume(async (pieces) => {
      this.#bytes = Buffer.concat([this.#bytes, ...pieces]);
    });
  }

  async complete(digest: Digest): Promise<void> {
    this.ended = true;
    if (!Digest.of(this.#bytes).equals(digest)) throw new Refusal(400, 'DIGEST_INVALID', 'it is something else');
    this.#keep(this.#bytes);
  }

  async cancel(): Promise<void> {
    this.ended = true;
  }
}

function unknownUpload(): Refusal {
  return new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
}
