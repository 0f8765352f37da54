/*
 * More than 250 lines, because it is one protocol.
 */
import type { Endpoint } from '../endpoints/endpoint.ts';
import type { AddressClass } from '../names/ip-address.ts';
import type { MessagePort } from 'node:worker_threads';
import type { StreamPosition } from '../codec/chunk-decoder.ts';
import type { ChunkMark } from '../home/chunk-journal.ts';
import type { PlainError } from '../errors.ts';
import type { Piece } from '../oci/piece-index.ts';
import type { FileExtent } from './file-blob.ts';
import type { WhyLeft } from '../registry/mirrors/endpoint-memory.ts';
import type { Limits } from '../registry/request/limits.ts';
import type { SharedRate } from '../registry/request/rate-limit.ts';
import type { PeerFault } from '../peering/peer-failure.ts';
import type { PeerList } from '../peering/peers.ts';
import type { WireEvent } from '../registry/wire.ts';
import type { TimeSpent } from './time-spent.ts';
import type { PauseState } from './urgency/pause.ts';

/*
 * What the main thread and the workers say to each other: plain data only, so that it can cross threads.
 * Nothing large ever does: a worker fetches, checks and writes by itself.
 */

/** A blob as plain data. */
export interface BlobText {
  readonly digest: string;
  /** Bytes as stored. */
  readonly size: number;
}

/**
 * Fetch one blob, decode it, check both digests, and write it wherever it belongs. One that belongs nowhere is checked
 * all the same.
 */
export interface FetchJob {
  readonly kind: 'fetch';
  readonly blob: BlobText;
  readonly contentDigest: string;
  /** Bytes after decoding. */
  readonly contentSize: number;
  readonly disk: string;
  readonly offsets: readonly number[];
  /** Whether the disk is known to be zero at the offsets. */
  readonly fresh: boolean;
  /** How far an earlier run says that it came; with one offset only. */
  readonly resume?: StreamPosition | undefined;
  /** Where to note how far it is, for a later run; with one offset only. */
  readonly mark?: ChunkMark | undefined;
  /** A new file for the blob as it came. Default: it is not kept. */
  readonly keep?: string | undefined;
  /**
   * The peers that say to have the content, by their places in the list of the thread, in order. They are asked before
   * the registry where the blob is neither kept nor continued.
   */
  readonly peers?: readonly number[] | undefined;
}

/** Decode one blob that lies in a file of this machine, check both digests, and write it wherever it belongs. */
export interface UnpackJob extends Omit<FetchJob, 'kind' | 'resume' | 'mark' | 'keep' | 'peers'> {
  readonly kind: 'unpack';
  readonly source: FileExtent;
}

/** A piece as plain data. */
export interface PieceText extends Omit<Piece, 'contentDigest'> {
  readonly contentDigest: string;
}

/**
 * Fetch pieces of one blob that follow each other, decode each and check its digest, and write it wherever it belongs:
 * nothing that was not verified. Each is told when it is there. Zeros are not fetched.
 */
export interface PiecesJob {
  readonly kind: 'pieces';
  readonly blob: BlobText;
  /** Of all of the blob, after decoding. */
  readonly contentSize: number;
  /** One or more. */
  readonly pieces: readonly PieceText[];
  readonly disk: string;
  /** Where the content of the blob begins on the disk. */
  readonly offsets: readonly number[];
  /** Whether the disk is known to be zero where the pieces belong. */
  readonly fresh: boolean;
  /** Where to note what is there, for a later run; with one offset only. */
  readonly mark?: ChunkMark | undefined;
}

/** Hash what is on the disk: an earlier run said that it had verified this. */
export interface VerifyJob {
  readonly kind: 'verify';
  readonly contentDigest: string;
  readonly contentSize: number;
  readonly disk: string;
  readonly offset: number;
}

/**
 * Copy what another disk of this machine should hold to wherever it belongs, hashing the very bytes that are written.
 */
export interface CopyJob {
  readonly kind: 'copy';
  readonly seed: string;
  /** Where it should be on the seed. */
  readonly from: number;
  readonly contentDigest: string;
  readonly contentSize: number;
  readonly disk: string;
  readonly offsets: readonly number[];
  /** Whether the disk is known to be zero at the offsets. */
  readonly fresh: boolean;
}

/** Make an extent of a disk zero that may hold something else. */
export interface ClearJob {
  readonly kind: 'clear';
  readonly contentSize: number;
  readonly disk: string;
  readonly offset: number;
}

/** Hash an extent of a disk, to find out what it is. */
export interface DigestJob {
  readonly kind: 'digest';
  readonly contentSize: number;
  readonly disk: string;
  readonly offset: number;
}

/**
 * Encode one extent of a disk into a spool file and upload it unless the repository has it, or tell that it is zero.
 */
export interface PushJob {
  readonly kind: 'push';
  readonly disk: string;
  readonly offset: number;
  readonly contentSize: number;
  /** A file of the worker's own for the encoded bytes; gone afterwards. */
  readonly spool: string;
  /** Upload in PATCH requests of this many bytes; undefined: one PUT. */
  readonly uploadChunkBytes: number | undefined;
  /** Upload it even if the registry says that it has it: it said so before, and had it not (reliability Q16). */
  readonly sendAnyway: boolean;
  /**
   * What to do with an extent of zeros. A sparse disk has hundreds, and all become the same blob, but threads do not
   * know of each other's uploads: the pool that gives them their jobs has one of them send it.
   */
  readonly zeros: 'tell' | 'send';
  /** Whether to encode it in pieces (`oci/piece-index.ts`). Default: false. */
  readonly pieces?: boolean | undefined;
}

/** Encode one extent of a disk into a spool file of the caller. */
export interface EncodeJob {
  readonly kind: 'encode';
  readonly disk: string;
  readonly offset: number;
  readonly contentSize: number;
  /** A file for the encoded bytes. */
  readonly spool: string;
}

export type ChunkJob =
  | FetchJob
  | PiecesJob
  | VerifyJob
  | CopyJob
  | ClearJob
  | DigestJob
  | PushJob
  | EncodeJob
  | UnpackJob;

export interface FetchResult {
  readonly kind: 'fetch';
  /**
   * Whether all of the blob came in one run, and so was hashed: of one that was continued, or whose content came from a
   * peer, only the content is known.
   */
  readonly verified: boolean;
}

export interface PiecesResult {
  readonly kind: 'pieces';
}

export interface VerifyResult {
  readonly kind: 'verify';
  readonly intact: boolean;
}

export interface CopyResult {
  readonly kind: 'copy';
  /**
   * False when the seed did not hold what it should have, or could not be read: whatever was written is worth nothing.
   */
  readonly intact: boolean;
}

export interface ClearResult {
  readonly kind: 'clear';
}

export interface DigestResult {
  readonly kind: 'digest';
  readonly contentDigest: string;
  /** Whether the extent holds nothing but zeros. */
  readonly isZero: boolean;
}

export type PushResult =
  | PushedChunk
  /** All zeros, and neither encoded nor sent. */
  | { readonly kind: 'push'; readonly outcome: 'zero' };

/** An extent whose blob is in the repository. */
export interface PushedChunk {
  readonly kind: 'push';
  readonly outcome: 'uploaded' | 'present';
  readonly blob: BlobText;
  readonly contentDigest: string;
  readonly contentSize: number;
  /** Entries of the piece index, of a chunk that was encoded in pieces. */
  readonly pieces?: Uint8Array | undefined;
}

export interface EncodeResult {
  readonly kind: 'encode';
  readonly blob: BlobText;
  readonly contentDigest: string;
  /**
   * Where the encoded bytes are; of zeros the file of the first such job of the thread, which others may name as well.
   */
  readonly spool: string;
  readonly isZero: boolean;
}

export interface UnpackResult {
  readonly kind: 'unpack';
}

export type ChunkResult =
  | FetchResult
  | PiecesResult
  | VerifyResult
  | CopyResult
  | ClearResult
  | DigestResult
  | PushResult
  | EncodeResult
  | UnpackResult;

/** What came from peers since it was told last; negative when it was for nothing. In bytes. */
export interface PeerBytes {
  /** That crossed the network. */
  readonly wire: number;
  /** Of the blob that need not come from the registry for it. */
  readonly spared: number;
}

/** The result that belongs to a job. */
export type ResultOf<J extends ChunkJob> = Extract<ChunkResult, { kind: J['kind'] }>;

/** A host wants to be spared: the receiver pauses its requests, and tells the others (reliability N26, N28). */
export interface Hold {
  readonly kind: 'hold';
  readonly origin: string;
  readonly milliseconds: number;
}

/**
 * Requests above so many bytes are too large for the registry: the receiver sends smaller parts, and tells the
 * others.
 */
export interface PartLimit {
  readonly kind: 'part-limit';
  readonly bytes: number;
}

/** A peer is asked no more: the receiver ends what comes from it, and tells the others. */
export interface PeerDropped {
  readonly kind: 'peer-dropped';
  /** Its place in the list. */
  readonly peer: number;
  readonly fault: PeerFault;
}

/** What a thread may ask, and how. Plain data, and the port where credentials are asked for. */
export interface EndpointSettings {
  readonly endpoint: Endpoint;
  readonly insecure: boolean;
  /** The base URL in use; undefined: still to be found out. */
  readonly base: string | undefined;
  readonly isReached: boolean;
  /** See `RegistryClient.networks`. */
  readonly networks: readonly AddressClass[];
  readonly limits: Limits;
  /** What the registry is known to take in one request; see {@link PartLimit}. */
  readonly partBytes: number | undefined;
  readonly authenticatorPort: MessagePort;
  /** Why it is not asked any more. */
  readonly left: WhyLeft | undefined;
}

/** Where the jobs of a thread read, or the one registry that they write to. */
export interface RegistrySettings {
  /** The image, as its user calls it. */
  readonly subject: string;
  readonly endpoints: readonly [EndpointSettings, ...EndpointSettings[]];
  readonly userAgent: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whose budget the jobs share; see `RateLimit`. */
  readonly rateLimit: SharedRate | undefined;
  /** Whether to tell of requests and answers. */
  readonly tellsWire: boolean;
  /** To the secrets that the main thread knows: see `SentSecrets.link`. */
  readonly secretsPort: MessagePort;
}

/** An endpoint failed: the receiver does not ask it either, and tells the others. */
export interface EndpointLeft {
  readonly kind: 'endpoint-left';
  readonly index: number;
  readonly why: WhyLeft;
}

export type ToWorker =
  /** Comes before any job, where jobs need a registry. */
  | { readonly kind: 'registry'; readonly settings: RegistrySettings }
  /** Comes before any job that names peers. */
  | { readonly kind: 'peers'; readonly list: PeerList }
  | { readonly kind: 'job'; readonly id: number; readonly job: ChunkJob }
  | { readonly kind: 'abort'; readonly id: number }
  | EndpointLeft
  /** Forget which endpoints failed, and at what: they may have been mended. */
  | { readonly kind: 'ask-all-again' }
  /** Stand still between two pieces of what is fetched, or go on. */
  | { readonly kind: 'pause'; readonly id: number; readonly state: PauseState }
  | Hold
  | PartLimit
  | PeerDropped;

export type FromWorker =
  | { readonly kind: 'result'; readonly id: number; readonly result: ChunkResult }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError }
  /** A piece is where it belongs, and verified. */
  | { readonly kind: 'piece'; readonly id: number; readonly index: number }
  /** Bytes that crossed the network since the last such message; negative when an attempt starts over. */
  | { readonly kind: 'bytes'; readonly id: number; readonly count: number }
  /** The same for what came from peers. */
  | { readonly kind: 'peer-bytes'; readonly id: number; readonly bytes: PeerBytes }
  /** Work on the disk since the last such message, in bytes of it; negative when it was for nothing. */
  | { readonly kind: 'work'; readonly id: number; readonly diskBytes: number }
  /** What a job that has ended spent its time on. */
  | { readonly kind: 'spent'; readonly spent: TimeSpent }
  | { readonly kind: 'wait'; readonly reason: string; readonly milliseconds: number }
  | { readonly kind: 'wire'; readonly event: WireEvent }
  /** For the first time, an endpoint gave something that was asked for. */
  | { readonly kind: 'endpoint-served'; readonly index: number }
  | EndpointLeft
  | Hold
  | PartLimit
  | PeerDropped;
