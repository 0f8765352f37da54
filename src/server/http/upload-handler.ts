import { rm } from 'node:fs/promises';
import { Digest } from '../../names/digest.ts';
import { clientOf } from '../access/client-address.ts';
import type { Exchange } from './exchange.ts';
import { type ChunkRange, parseChunkRange } from './range.ts';
import { Refusal } from '../contract/refusal.ts';
import { RepositoryName } from '../contract/repository-name.ts';
import { parseDigest } from './router.ts';
import type { Repository } from '../store/repository.ts';
import type { Storage } from '../store/storage.ts';
import type { Upload } from '../store/upload.ts';
import type { Uploads } from '../store/uploads.ts';

/** The pushing of blobs (distribution spec § pushing blobs), in all its ways. */
export class UploadHandler {
  readonly #storage: Storage;
  readonly #uploads: Uploads;
  readonly #chunkAdvice: Readonly<Record<string, string>>;

  constructor(storage: Storage, uploads: Uploads, chunkAdviceBytes: number) {
    this.#storage = storage;
    this.#uploads = uploads;
    this.#chunkAdvice = chunkAdviceBytes > 0 ? { 'OCI-Chunk-Min-Length': String(chunkAdviceBytes) } : {};
  }

  /** `POST …/blobs/uploads/`: mounts, takes a whole blob, or opens an upload. */
  async start(exchange: Exchange, repository: RepositoryName): Promise<void> {
    const mount = exchange.query.get('mount');
    if (mount !== null && (await this.#mount(exchange, repository, mount))) return;
    const digest = exchange.query.get('digest');
    if (digest !== null && mount === null) {
      await this.#takeWhole(exchange, repository, parseDigest(digest));
      return;
    }
    // A hint of the coming spec: `?digest-algorithm=sha512` spares reading the blob again.
    const algorithm = exchange.query.get('digest-algorithm') === 'sha512' ? 'sha512' : 'sha256';
    const upload = await this.#uploads.begin({ ...beginning(exchange, repository), algorithm });
    exchange.respond(202, { ...progress(upload), ...this.#chunkAdvice });
  }

  /** `GET` of an upload: how far it is. */
  async status(exchange: Exchange, repository: RepositoryName, id: string): Promise<void> {
    const upload = await this.#uploads.find(id, { repository, user: exchange.access.user });
    exchange.respond(204, progress(upload));
  }

  /** `PATCH`: a chunk with its range, or a stream without one. */
  async append(exchange: Exchange, repository: RepositoryName, id: string): Promise<void> {
    const upload = await this.#uploads.find(id, { repository, user: exchange.access.user });
    await this.#using(exchange, upload, async () => {
      await this.#receive(exchange, upload);
    });
    exchange.respond(202, progress(upload));
  }

  /** `PUT …?digest=`: the rest of the content, or nothing more, and then the blob is complete. */
  async finish(exchange: Exchange, repository: RepositoryName, id: string): Promise<void> {
    const upload = await this.#uploads.find(id, { repository, user: exchange.access.user });
    const digest = parseDigest(exchange.query.get('digest') ?? '');
    await this.#using(exchange, upload, async () => {
      upload.expect(digest.algorithm);
      await this.#receive(exchange, upload);
      await this.#complete(exchange, upload, digest);
    });
    created(exchange, repository, digest);
  }

  /** `DELETE` of an upload. */
  async cancel(exchange: Exchange, repository: RepositoryName, id: string): Promise<void> {
    const upload = await this.#uploads.find(id, { repository, user: exchange.access.user });
    this.#uploads.forget(upload);
    await upload.cancel();
    exchange.respond(204, {});
  }

  /**
   * Links a blob of another repository. Without `from`, of any repository that the client may read. A blob that cannot be mounted,
   * for whatever reason, is an ordinary upload: the answer must not tell what unreadable repositories hold (reliability S44).
   */
  async #mount(exchange: Exchange, repository: RepositoryName, text: string): Promise<boolean> {
    const digest = Digest.tryParse(text);
    if (digest === undefined) return false;
    return this.#storage.gate.shared(async () => {
      const source = await this.#sourceOf(exchange, digest);
      if (source === undefined || (await this.#storage.blobs.size(digest)) === undefined) return false;
      await this.#storage.repository(repository).linkBlob(digest);
      created(exchange, repository, digest);
      return true;
    });
  }

  async #sourceOf(exchange: Exchange, digest: Digest): Promise<Repository | undefined> {
    const { access, query } = exchange;
    const from = query.get('from');
    // Without content there is no need to look at repositories, of which there may be many.
    if ((await this.#storage.blobs.size(digest)) === undefined) return undefined;
    const named = from !== null ? [from] : access.readable;
    if (named === 'all') {
      for await (const repository of this.#storage.repositories()) {
        if (await repository.hasBlob(digest)) return repository;
      }
      return undefined;
    }
    for (const text of named) {
      const name = RepositoryName.tryParse(text);
      if (name === undefined) continue;
      if (!access.allows({ kind: 'repository', repository: name.text, actions: ['pull'] })) continue;
      const repository = this.#storage.repository(name);
      if (await repository.hasBlob(digest)) return repository;
    }
    return undefined;
  }

  async #takeWhole(exchange: Exchange, repository: RepositoryName, digest: Digest): Promise<void> {
    const upload = await this.#uploads.begin({ ...beginning(exchange, repository), algorithm: digest.algorithm });
    try {
      await this.#using(exchange, upload, async () => {
        await this.#receive(exchange, upload);
        await this.#complete(exchange, upload, digest);
      });
    } finally {
      // Nobody knows its id: whatever went wrong, nobody can continue it.
      this.#uploads.forget(upload);
      await upload.discard();
    }
    created(exchange, repository, digest);
  }

  async #using(exchange: Exchange, upload: Upload, work: () => Promise<void>): Promise<void> {
    try {
      await upload.alone(exchange.request, work);
    } finally {
      if (upload.open) this.#uploads.touch(upload);
      else this.#uploads.forget(upload);
    }
  }

  /** Everything that can be refused is refused before the body is asked for. */
  async #receive(exchange: Exchange, upload: Upload): Promise<void> {
    const length = exchange.contentLength;
    const range = parseChunkRange(exchange.request.headers['content-range']);
    if (range !== undefined) checkChunk(range, length, upload);
    await upload.announce(length ?? 0);
    const before = upload.received;
    await upload.append(exchange.body());
    if (range === undefined || range === 'malformed') return;
    if (upload.received - before !== range.last - range.start + 1) {
      await upload.discard();
      throw new Refusal(400, 'SIZE_INVALID', 'the chunk has not the length that its Content-Range says');
    }
  }

  async #complete(exchange: Exchange, upload: Upload, digest: Digest): Promise<void> {
    // Flushing a large blob may take longer than a connection may be silent.
    const { socket } = exchange.request;
    const idle = socket.timeout ?? 0;
    socket.setTimeout(0);
    try {
      await upload.seal(digest);
      await this.#storage.gate.shared(async () => {
        await this.#storage.blobs.adopt(upload.file, digest);
        await this.#storage.repository(upload.repository).linkBlob(digest);
      });
    } catch (error) {
      await rm(upload.file, { force: true });
      throw error;
    } finally {
      socket.setTimeout(idle);
    }
  }
}

function beginning(
  { access, request }: Exchange,
  repository: RepositoryName,
): { readonly repository: RepositoryName; readonly user: string | undefined; readonly client: string } {
  return { repository, user: access.user, client: clientOf(request.socket.remoteAddress) };
}

/** @throws Refusal 416 with where the upload really is, 400 when range and length disagree. */
function checkChunk(range: ChunkRange | 'malformed', length: number | undefined, upload: Upload): void {
  if (range === 'malformed' || range.start !== upload.received) {
    const headers = progress(upload);
    throw new Refusal(416, 'BLOB_UPLOAD_INVALID', `the next chunk begins at byte ${upload.received}`, { headers });
  }
  if (length !== undefined && length !== range.last - range.start + 1) {
    throw new Refusal(400, 'SIZE_INVALID', 'Content-Range and Content-Length disagree');
  }
}

/**
 * Where an upload is and how far. With nothing received `Range` is `0-0`, as everywhere else: the header has no way to say
 * "nothing", so 0 and 1 byte look alike, and only a client that sent one byte can tell.
 */
function progress(upload: Upload): Record<string, string> {
  return {
    Location: `/v2/${upload.repository.text}/blobs/uploads/${upload.id}`,
    Range: `0-${Math.max(upload.received - 1, 0)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function created(exchange: Exchange, repository: RepositoryName, digest: Digest): void {
  exchange.respond(201, {
    Location: `/v2/${repository.text}/blobs/${digest.toString()}`,
    'Docker-Content-Digest': digest.toString(),
  });
}
