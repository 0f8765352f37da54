import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { onDisk } from '../home/disk-error.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-folder.ts';
import { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { type BlobIdentity, type EncodedChunk, flatManifest, stubConfig } from '../oci/flat-manifest.ts';
import { MediaType } from '../oci/media-type.ts';
import type { BlobSource, RegistryClient } from '../registry/client.ts';
import type { PushJob } from './chunk-job.ts';
import { DEFAULT_CONCURRENCY } from './pull.ts';
import type { Session } from './session.ts';
import { WorkerPool } from './worker-pool.ts';

/** Tart's chunk of a disk since 2.14.0, in bytes. Other sizes work, but chunks of equal size are shared between tools. */
export const DISK_CHUNK_BYTES = 512 * 1024 * 1024;

/** A VM folder to push; the caller holds its lock. */
export interface PushSource {
  readonly folder: string;
  /** What the stub config says of the VM. */
  readonly vm: { readonly os: string; readonly arch: string; readonly diskFormat: string };
  /** What goes up as the VM's configuration. */
  readonly config: Uint8Array;
}

export interface PushOptions {
  readonly insecure?: boolean;
  readonly concurrency?: number;
  /** Upload each blob in PATCH requests of this many bytes; default: one PUT. */
  readonly uploadChunkBytes?: number;
  readonly labels?: ReadonlyMap<string, string>;
  /** Bytes of disk per chunk, default {@link DISK_CHUNK_BYTES}. */
  readonly diskChunkBytes?: number;
  /** Leave the upload time out, so that the same VM always gives the same digest. */
  readonly reproducible?: boolean;
}

export interface PushOutcome {
  /** Every name that now leads to the image. */
  readonly names: readonly RemoteName[];
  readonly digest: Digest;
  /** The manifest as stored. */
  readonly manifest: Uint8Array;
  readonly uploadedBytes: number;
}

/**
 * Uploads a VM to one repository and gives it its names. Blobs that are there are not sent again, the manifest goes last and its
 * tags after it: a push that fails leaves every tag where it was.
 *
 * @param names all of one registry and repository; digest names are checked against what was pushed.
 * @throws TartletError of the registry client, `DISK_*`, `CHUNK_CORRUPT` when the disk changes meanwhile.
 */
export async function pushToRepository(
  session: Session,
  source: PushSource,
  names: readonly [RemoteName, ...RemoteName[]],
  options: PushOptions = {},
): Promise<PushOutcome> {
  const [name] = names;
  const client = session.client(name, options.insecure ?? false);
  try {
    const upload = new Upload(session, client, name, options);
    const disk = `${source.folder}/${VmFile.disk}`;
    const before = await diskIdentity(disk);
    const stub = await upload.bytes(stubConfig(source.vm, options.labels ?? new Map()));
    const config = await upload.bytes(source.config);
    const nvram = await upload.file(`${source.folder}/${VmFile.nvram}`);
    const chunks = await upload.disk(disk, before.size);
    if ((await diskIdentity(disk)).text !== before.text) throw changed(disk);
    const uploadTime = options.reproducible === true ? undefined : session.now();
    const manifest = flatManifest({ stubConfig: stub, config, chunks, nvram, uploadTime });
    const digest = await upload.manifest(manifest, names);
    session.emit({ kind: 'finished', subject: name.toString() });
    return { names, digest, manifest, uploadedBytes: upload.sentBytes };
  } finally {
    await client.close();
  }
}

/** One push under way. */
class Upload {
  readonly #session: Session;
  readonly #client: RegistryClient;
  readonly #subject: string;
  readonly #options: PushOptions;
  sentBytes = 0;

  constructor(session: Session, client: RegistryClient, name: RemoteName, options: PushOptions) {
    this.#session = session;
    this.#client = client;
    this.#subject = name.toString();
    this.#options = options;
  }

  #count(bytes: number): void {
    this.sentBytes += bytes;
    this.#session.emit({ kind: 'bytes', subject: this.#subject, count: bytes });
  }

  async bytes(bytes: Uint8Array): Promise<BlobIdentity> {
    const digest = Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
    return this.#blob({ digest, size: bytes.length, open: (from, to) => bytes.subarray(from, to) });
  }

  async file(path: string): Promise<BlobIdentity> {
    const hash = createHash('sha256');
    let size = 0;
    await onDisk('read', path, async () => {
      for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) {
        hash.update(piece);
        size += piece.length;
      }
    });
    const digest = Digest.sha256(hash.digest('hex'));
    return this.#blob({ digest, size, open: (from, to) => createReadStream(path, { start: from, end: to - 1 }) });
  }

  async #blob(blob: BlobSource): Promise<BlobIdentity> {
    const { signal } = this.#session;
    if (!(await this.#client.blobExists(blob, { signal }))) {
      const chunkBytes = this.#options.uploadChunkBytes;
      await this.#client.uploadBlob(blob, {
        signal,
        onBytes: (count) => this.#count(count),
        ...(chunkBytes === undefined ? {} : { chunkBytes }),
      });
    }
    return { digest: blob.digest, size: blob.size };
  }

  async disk(path: string, size: number): Promise<EncodedChunk[]> {
    const scratch = await Scratch.create(this.#session.home, this.#session.platform);
    const pool = await this.#pool();
    try {
      const jobs = this.#jobs(path, size, scratch);
      const chunks = new Map<number, EncodedChunk>();
      this.#session.emit({
        kind: 'started',
        subject: this.#subject,
        direction: 'push',
        bytesTotal: undefined,
        diskBytes: size,
        chunks: jobs.length,
      });
      await pool.runAll(jobs, (job, result) => {
        chunks.set(job.offset, {
          digest: Digest.parse(result.blob.digest),
          size: result.blob.size,
          contentSize: result.contentSize,
          contentDigest: Digest.parse(result.contentDigest),
        });
        const index = jobs.indexOf(job);
        if (result.uploaded)
          this.#session.emit({ kind: 'chunk-done', subject: this.#subject, index, bytes: job.contentSize });
        else this.#session.emit({ kind: 'chunk-reused', subject: this.#subject, index, bytes: job.contentSize });
      });
      return jobs.flatMap((job) => chunks.get(job.offset) ?? []);
    } finally {
      await pool.close();
      await scratch.dispose();
    }
  }

  #jobs(disk: string, size: number, scratch: Scratch): PushJob[] {
    const step = this.#options.diskChunkBytes ?? DISK_CHUNK_BYTES;
    return Array.from({ length: Math.ceil(size / step) }, (_, index) => ({
      kind: 'push',
      disk,
      offset: index * step,
      contentSize: Math.min(step, size - index * step),
      spool: `${scratch.folder}/chunk-${index}`,
      uploadChunkBytes: this.#options.uploadChunkBytes,
    }));
  }

  async #pool(): Promise<WorkerPool> {
    const { userAgent, environment, signal } = this.#session;
    return new WorkerPool({
      client: this.#client,
      settings: {
        userAgent,
        environment,
        insecure: this.#options.insecure ?? false,
        endpoint: await this.#client.endpoint(),
      },
      concurrency: Math.max(1, this.#options.concurrency ?? DEFAULT_CONCURRENCY),
      signal,
      onBytes: (count) => this.#count(count),
      onWait: (reason, waitMs) => this.#session.emit({ kind: 'retrying', subject: this.#subject, reason, waitMs }),
    });
  }

  /** By digest first, so that a registry which stores something else is found out before a tag moves (reliability Q17). */
  async manifest(bytes: Uint8Array, names: readonly RemoteName[]): Promise<Digest> {
    const { signal } = this.#session;
    const digest = Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
    for (const name of names) {
      if (name.digest !== undefined && !name.digest.equals(digest)) {
        throw new TartletError(
          'DIGEST_MISMATCH',
          `what was pushed is not ${name.toString()} but ${digest.toString()}`,
          {
            subject: name.toString(),
            expected: name.digest.toString(),
            found: digest.toString(),
            kept: 'the blobs are in the registry, no tag was moved',
            next: 'push to a tag',
          },
        );
      }
    }
    await this.#client.putManifest({ digest }, bytes, MediaType.ociManifest, { signal });
    for (const tag of new Set(names.flatMap((name) => name.tag ?? []))) {
      await this.#client.putManifest({ tag }, bytes, MediaType.ociManifest, { signal });
    }
    return digest;
  }
}

/** What tells that nobody wrote to a disk between two looks. */
async function diskIdentity(disk: string): Promise<{ size: number; text: string }> {
  const stats = await onDisk('look at', disk, async () => stat(disk, { bigint: true }));
  if (stats.size === 0n)
    throw new TartletError('VM_INVALID', `${disk} is empty: there is nothing to push`, { subject: disk });
  return { size: Number(stats.size), text: `${stats.ino} ${stats.size} ${stats.mtimeNs}` };
}

function changed(disk: string): TartletError {
  return new TartletError('CHUNK_CORRUPT', `${disk} was changed while it was being pushed`, {
    subject: disk,
    kept: 'the blobs are in the registry, no tag was moved',
    next: 'stop whatever writes to the disk and push again',
  });
}

/** The bytes of a small file of a VM folder. */
export async function readSmallFile(path: string): Promise<Uint8Array> {
  return onDisk('read', path, async () => readFile(path));
}
