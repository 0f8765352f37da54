import { Digest, type DigestAlgorithm } from '../../names/digest.ts';
import { Repository } from '../../names/repository.ts';
import { clientOf } from '../access/client-address.ts';
import { Refusal } from '../contract/refusal.ts';
import type { TakenUpload, Upload, UploadBeginning, UploadStore } from '../contract/upload-store.ts';
import type { Exchange } from './exchange.ts';
import { parseDigest } from './parse-name.ts';
import { type ChunkRange, parseChunkRange } from './range.ts';

/** The pushing of blobs (distribution spec § pushing blobs), in all its ways. */
export class UploadHandler {
  readonly #uploads: UploadStore;
  readonly #chunkAdvice: Readonly<Record<string, string>>;

  constructor(uploads: UploadStore, chunkAdviceBytes: number) {
    this.#uploads = uploads;
    this.#chunkAdvice = chunkAdviceBytes > 0 ? { 'OCI-Chunk-Min-Length': String(chunkAdviceBytes) } : {};
  }

  /** `POST …/blobs/uploads/`: mounts, takes a whole blob, or opens an upload. */
  async start(exchange: Exchange, repository: Repository): Promise<void> {
    const mount = exchange.query.get('mount');
    if (mount !== null && (await this.#mount(exchange, repository, mount))) return;
    const digest = exchange.query.get('digest');
    if (digest !== null && mount === null) {
      await this.#takeWhole(exchange, repository, parseDigest(digest));
      return;
    }
    // A hint of the coming spec: `?digest-algorithm=sha512` spares reading the blob again.
    const algorithm = exchange.query.get('digest-algorithm') === 'sha512' ? 'sha512' : 'sha256';
    const upload = await this.#uploads.begin(beginning(exchange, repository, algorithm));
    exchange.respond(202, { ...progress(upload), ...this.#chunkAdvice });
  }

  /** `GET` of an upload: how far it is. */
  async status(exchange: Exchange, repository: Repository, id: string): Promise<void> {
    exchange.respond(204, progress(await this.#find(exchange, repository, id)));
  }

  /** `PATCH`: a chunk with its range, or a stream without one. */
  async append(exchange: Exchange, repository: Repository, id: string): Promise<void> {
    const upload = await this.#find(exchange, repository, id);
    await upload.alone(exchange.body(), async (taken) => receive(exchange, upload, taken));
    exchange.respond(202, progress(upload));
  }

  /** `PUT …?digest=`: the rest of the content, or nothing more, and then the blob is complete. */
  async finish(exchange: Exchange, repository: Repository, id: string): Promise<void> {
    const upload = await this.#find(exchange, repository, id);
    const digest = parseDigest(exchange.query.get('digest') ?? '');
    await upload.alone(exchange.body(), async (taken) => {
      taken.expect(digest.algorithm);
      await receive(exchange, upload, taken);
      await complete(exchange, taken, digest);
    });
    created(exchange, repository, digest);
  }

  /** `DELETE` of an upload. */
  async cancel(exchange: Exchange, repository: Repository, id: string): Promise<void> {
    const upload = await this.#find(exchange, repository, id);
    await upload.cancel();
    exchange.respond(204, {});
  }

  async #find(exchange: Exchange, repository: Repository, id: string): Promise<Upload> {
    return this.#uploads.find(id, { repository, user: exchange.access.user });
  }

  /**
   * Links a blob of another repository. Without `from`, of any repository that the client may read. A blob that cannot
   * be mounted, for whatever reason, is an ordinary upload: the answer must not tell what unreadable repositories hold
   * (reliability S44).
   */
  async #mount(exchange: Exchange, repository: Repository, text: string): Promise<boolean> {
    const digest = Digest.tryParse(text);
    if (digest === undefined || !(await this.#uploads.mount(digest, repository, sourcesOf(exchange)))) return false;
    created(exchange, repository, digest);
    return true;
  }

  async #takeWhole(exchange: Exchange, repository: Repository, digest: Digest): Promise<void> {
    const upload = await this.#uploads.begin(beginning(exchange, repository, digest.algorithm));
    try {
      await upload.alone(exchange.body(), async (taken) => {
        await receive(exchange, upload, taken);
        await complete(exchange, taken, digest);
      });
    } finally {
      // No client knows its id: whatever went wrong, it cannot be continued.
      await upload.cancel();
    }
    created(exchange, repository, digest);
  }
}

/** The repositories that a blob may be mounted from. */
function sourcesOf({ access, query }: Exchange): readonly Repository[] | 'any' {
  const from = query.get('from');
  const named = from === null ? access.readable : [from];
  if (named === 'all') return 'any';
  return named.flatMap((text) => {
    const source = Repository.tryParseBySpec(text);
    const readable = source !== undefined && access.allows({ kind: 'repository', repository: text, actions: ['pull'] });
    return readable ? [source] : [];
  });
}

/** Everything that can be refused is refused before the body is asked for. */
async function receive(exchange: Exchange, upload: Upload, taken: TakenUpload): Promise<void> {
  const length = exchange.contentLength;
  const range = parseChunkRange(exchange.request.headers['content-range']);
  if (range !== undefined) checkChunk(range, length, upload);
  await taken.announce(length ?? 0);
  await taken.append(exchange.body(), range === undefined ? undefined : range.last - range.start + 1);
}

async function complete(exchange: Exchange, taken: TakenUpload, digest: Digest): Promise<void> {
  // The fsync of a large blob may take longer than a connection may be silent.
  const { socket } = exchange.request;
  const idle = socket.timeout ?? 0;
  socket.setTimeout(0);
  try {
    await taken.complete(digest);
  } finally {
    socket.setTimeout(idle);
  }
}

function beginning({ access, request }: Exchange, repository: Repository, algorithm: DigestAlgorithm): UploadBeginning {
  return { repository, user: access.user, client: clientOf(request.socket.remoteAddress), algorithm };
}

/** @throws Refusal 416 with where the upload really is, 400 when range and length disagree. */
function checkChunk(
  range: ChunkRange | 'malformed',
  length: number | undefined,
  upload: Upload,
): asserts range is ChunkRange {
  if (range === 'malformed' || range.start !== upload.received) {
    const headers = progress(upload);
    throw new Refusal(416, 'BLOB_UPLOAD_INVALID', `the next chunk begins at byte ${upload.received}`, { headers });
  }
  if (length !== undefined && length !== range.last - range.start + 1) {
    throw new Refusal(400, 'SIZE_INVALID', 'Content-Range and Content-Length disagree');
  }
}

/**
 * Where an upload is and how far. With nothing received `Range` is `0-0`, as everywhere else: the header has no way to
 * say "nothing", so 0 and 1 byte look alike, and only a client that sent one byte can tell.
 */
function progress(upload: Upload): Record<string, string> {
  return {
    Location: `/v2/${upload.repository.text}/blobs/uploads/${upload.id}`,
    Range: `0-${Math.max(upload.received - 1, 0)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function created(exchange: Exchange, repository: Repository, digest: Digest): void {
  exchange.respond(201, {
    Location: `/v2/${repository.text}/blobs/${digest.toString()}`,
    'Docker-Content-Digest': digest.toString(),
  });
}
