import * as v from 'valibot';
import { describeError, isTartletError, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncDirectory, writeNewFile } from '../fs/fsync.ts';
import { readSmallFileIfThere, readSmallFileIfThereSync } from '../fs/small-file.ts';
import { OurFile } from './home-entry.ts';

/**
 * Blobs of the image that were never decoded here, because their content was at hand: that they hold it is the
 * manifest's word alone. Absent when there are none.
 */
const unproven = v.optional(v.array(v.string()));

const imageOrigin = v.object({
  version: v.literal(1),
  via: v.picklist(['pull', 'push']),
  /** The address as used, port and all: it survives a renamed parent directory (openai/tart#827). */
  registry: v.string(),
  repository: v.string(),
  digest: v.string(),
  mediaType: v.string(),
  /** Bytes of the manifest. */
  size: v.number(),
  pulledAt: v.string(),
  unproven,
  /** Bytes that peers of the fleet gave instead of the registry. Absent when they gave none. */
  peerBytes: v.optional(v.number()),
  /** Mirrors that gave something of it, and the registry if it did, too; absent when the registry gave all. */
  servedBy: v.optional(v.array(v.string())),
});

const migrationOrigin = v.object({
  version: v.literal(1),
  via: v.literal('migration'),
  /** Where the image is from, as migration found out or the user said. */
  registry: v.string(),
  repository: v.string(),
  digest: v.string(),
  /** Of the manifest; absent like `size` where an older Tart kept none (tart-formats §1.6). */
  mediaType: v.optional(v.string()),
  /** Bytes of the manifest that lies beside it. */
  size: v.optional(v.number()),
  /** Where it lay, below `cache/OCIs`. */
  movedFrom: v.string(),
  migratedAt: v.string(),
});

const cloneOrigin = v.object({
  version: v.literal(1),
  via: v.literal('clone'),
  /** The name that was cloned, as canonical text. */
  source: v.string(),
  /** Digest of the image it came from; absent for a clone of a local VM that had none. */
  digest: v.optional(v.string()),
  clonedAt: v.string(),
  unproven,
});

const createOrigin = v.object({
  version: v.literal(1),
  via: v.literal('create'),
  createdAt: v.string(),
  /** Which format `nvram.bin` has: Apple's own, or edk2's for the hypervisors of other systems. */
  nvram: v.picklist(['apple', 'edk2']),
});

const importOrigin = v.object({
  version: v.literal(1),
  via: v.literal('import'),
  /**
   * Digest of the image's manifest in the archive. The archive's own name for it proves nothing, and is not kept
   * (reliability S28).
   */
  digest: v.string(),
  importedAt: v.string(),
});

const origin = v.variant('via', [imageOrigin, migrationOrigin, cloneOrigin, createOrigin, importOrigin]);

/**
 * Where a VM directory came from: evidence for people, migration and `inspect`; its absence is normal for what Tart
 * made.
 */
export type Origin = v.InferOutput<typeof origin>;

/** The record of an image that came from or went to a registry. */
export function originOfImage(facts: {
  name: RemoteName;
  digest: Digest;
  mediaType: string;
  manifestBytes: number;
  at: Date;
  via: 'pull' | 'push';
  unproven?: readonly string[];
  peerBytes?: number;
  /** All places that gave something, `host[:port]/repository` each. */
  servedBy?: readonly string[];
}): Origin {
  const { servedBy = [] } = facts;
  const named = `${facts.name.registry.toString()}/${facts.name.repository.text}`;
  return {
    version: 1,
    via: facts.via,
    registry: facts.name.registry.toString(),
    repository: facts.name.repository.text,
    digest: facts.digest.toString(),
    mediaType: facts.mediaType,
    size: facts.manifestBytes,
    pulledAt: facts.at.toISOString(),
    ...(facts.unproven === undefined || facts.unproven.length === 0 ? {} : { unproven: [...facts.unproven] }),
    ...(facts.peerBytes === undefined || facts.peerBytes === 0 ? {} : { peerBytes: facts.peerBytes }),
    ...(servedBy.every((each) => each === named) ? {} : { servedBy: [...servedBy] }),
  };
}

/** Writes the record into a directory that is not published yet. */
export async function writeOrigin(directory: string, record: Origin): Promise<void> {
  await writeNewFile(`${directory}/${OurFile.origin}`, serialize(record));
}

/** Puts the record into a directory that others see already, as one durable step. One that is there is replaced. */
export async function addOrigin(directory: string, record: Origin): Promise<void> {
  const file = `${directory}/${OurFile.origin}`;
  await writeNewFile(`${file}.new`, serialize(record));
  await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
  await fsyncDirectory(directory);
}

function serialize(record: Origin): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/**
 * The record of a directory, or undefined when it has none.
 * @throws TartletError `STORE_DAMAGED` when there is one that cannot be read: evidence must not vanish silently.
 */
export async function readOrigin(directory: string): Promise<Origin | undefined> {
  const file = `${directory}/${OurFile.origin}`;
  return parseIfThere(await readSmallFileIfThere(file).catch(refuseUnread), file);
}

/** The same for callers that look at thousands, where each promise would cost more than the reading. */
export function readOriginSync(directory: string): Origin | undefined {
  const file = `${directory}/${OurFile.origin}`;
  try {
    return parseIfThere(readSmallFileIfThereSync(file), file);
  } catch (error) {
    return refuseUnread(error);
  }
}

/** It is evidence, and nothing works less without it. */
const MOVE_RECORD_AWAY: Hint = { kind: 'move-record-away' };

function parseIfThere(bytes: Buffer | undefined, file: string): Origin | undefined {
  return bytes === undefined ? undefined : parseOrigin(bytes.toString(), file);
}

/** A record that the system keeps us from reading is as good as damaged. */
function refuseUnread(error: unknown): never {
  if (!isTartletError(error, 'DISK_DENIED', 'DISK_IO', 'DISK_UNSUPPORTED')) throw error;
  throw new TartletError('STORE_DAMAGED', error.message, { ...error.facts, next: MOVE_RECORD_AWAY });
}

/**
 * Understands the text of a record.
 * @param file where it was found, for the message.
 * @throws TartletError `STORE_DAMAGED`
 */
export function parseOrigin(text: string, file: string): Origin {
  try {
    return v.parse(origin, JSON.parse(text));
  } catch (cause) {
    throw new TartletError('STORE_DAMAGED', `${file} is not an origin record: ${describeError(cause)}`, {
      subject: file,
      next: MOVE_RECORD_AWAY,
      cause,
    });
  }
}

/** The blobs that a record calls unproven. */
export function unverifiedBlobs(record: Origin | undefined): readonly string[] {
  return record?.via === 'clone' || record?.via === 'pull' ? (record.unproven ?? []) : [];
}

/**
 * Tells of a directory's manifest whether a blob was seen to hold the content that the manifest says. Where the record
 * cannot be read, none was; Tart keeps no record, and decodes every blob that it has.
 */
export async function proofOfBlobs(directory: string): Promise<(blob: Digest) => boolean> {
  try {
    const unverified = new Set(unverifiedBlobs(await readOrigin(directory)));
    return (blob) => !unverified.has(blob.toString());
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return () => false;
    throw error;
  }
}
