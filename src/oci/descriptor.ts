import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { isJsonObject, type JsonObject } from '../json/foreign.ts';
import { foldedKey } from './json-document.ts';
import { shown } from './shown.ts';

/** Annotations of one descriptor, UTF-8 bytes of keys and values together (reliability §0.2). */
const MAX_ANNOTATION_BYTES = 64 * 1024;

/** A well-formed digest of any algorithm (OCI image spec, descriptor § digests). */
const ANY_DIGEST = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):[a-zA-Z0-9=_-]+$/;

/** The digests of nothing. */
const EMPTY_HEX = {
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  sha512:
    'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
    '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
} as const;

/** The keys that decide what a manifest or a descriptor means, by how Go compares them. */
const SPELLING = new Map(
  ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'annotations', 'digest', 'size', 'platform'].map(
    (key) => [foldedKey(key), key],
  ),
);

/** Which bytes are meant: the part of a descriptor that proves a blob, for code that does not ask what is in it. */
export interface BlobIdentity {
  readonly digest: Digest;
  /** Bytes of the blob as stored; 0 only with the digest of nothing. */
  readonly size: number;
}

/**
 * A reference from one OCI document to a blob: what it is, how long, and the digest that proves it (image spec,
 * descriptor).
 */
export interface Descriptor extends BlobIdentity {
  readonly mediaType: string;
  readonly annotations: ReadonlyMap<string, string>;
}

/**
 * @param where for the message, e.g. `layers[3]`.
 * @throws TartletError that names the field: `MANIFEST_INVALID`; `MANIFEST_TOO_LARGE` for more than 64 KiB of
 * annotations; `MEDIA_UNSUPPORTED` for a digest of an algorithm we do not verify.
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  if (value === undefined) throw invalid(where, 'is missing');
  if (!isJsonObject(value)) throw invalid(where, 'is not an object');
  refuseOtherSpelling(value, where);
  const mediaType = value['mediaType'];
  if (mediaType === undefined || mediaType === '') throw invalid(`${where}.mediaType`, 'is missing');
  if (typeof mediaType !== 'string') throw invalid(`${where}.mediaType`, 'is not a string');
  const digest = parseDigest(value['digest'], `${where}.digest`);
  return {
    mediaType,
    digest,
    size: parseSize(value['size'], digest, `${where}.size`),
    annotations: parseAnnotations(value['annotations'], `${where}.annotations`),
  };
}

/** Absent and null both mean none (tart-formats §4.3). */
export function parseAnnotations(value: unknown, where: string): ReadonlyMap<string, string> {
  const annotations = new Map<string, string>();
  if (value === undefined || value === null) return annotations;
  if (!isJsonObject(value)) throw invalid(where, 'is not an object');
  let bytes = 0;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(`${where}["${shown(key)}"]`, 'is not a string');
    bytes += Buffer.byteLength(key) + Buffer.byteLength(text);
    annotations.set(key, text);
  }
  if (bytes > MAX_ANNOTATION_BYTES) {
    throw new TartletError('MANIFEST_TOO_LARGE', `${where} of the manifest has ${bytes} bytes, the limit is 64 KiB`, {
      subject: where,
    });
  }
  return annotations;
}

/**
 * @throws TartletError `MEDIA_UNSUPPORTED` for a good digest of an algorithm we do not know, else `MANIFEST_INVALID`
 *   (reliability C20).
 */
export function parseDigest(value: unknown, where: string): Digest {
  if (value === undefined) throw invalid(where, 'is missing');
  if (typeof value !== 'string') throw invalid(where, 'is not a string');
  try {
    return Digest.parse(value);
  } catch (cause) {
    const algorithm = ANY_DIGEST.exec(value)?.[1];
    if (algorithm === undefined || algorithm === 'sha256' || algorithm === 'sha512') {
      throw invalid(where, `is not a digest: "${shown(value)}"`, cause);
    }
    throw new TartletError(
      'MEDIA_UNSUPPORTED',
      `${where} of the manifest is a ${shown(algorithm)} digest, only sha256 and sha512 are supported`,
      { subject: where, cause },
    );
  }
}

/**
 * Go reads `Layers` as `layers`, JavaScript does not: one of those keys in another spelling would give one document two
 * meanings (reliability C15, S16), even where it does not stand beside the real one.
 *
 * @throws TartletError `MANIFEST_INVALID` that names the key.
 */
export function refuseOtherSpelling(value: JsonObject, where: string): void {
  for (const key of Object.keys(value)) {
    const expected = SPELLING.get(foldedKey(key));
    if (expected !== undefined && expected !== key) {
      throw invalid(where, `has the key "${shown(key)}", which is spelled "${expected}"`);
    }
  }
}

/** The one shape of a complaint about a manifest. */
export function invalid(where: string, why: string, cause?: unknown): TartletError {
  return new TartletError('MANIFEST_INVALID', `the manifest is invalid: ${where} ${why}`, { subject: where, cause });
}

function parseSize(value: unknown, digest: Digest, where: string): number {
  if (value === undefined) throw invalid(where, 'is missing');
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalid(where, 'is not a whole number of bytes');
  }
  // Nothing has one digest, and that digest has one length (reliability C12).
  if ((value === 0) !== (digest.hex === EMPTY_HEX[digest.algorithm])) {
    throw invalid(where, `is ${value}, which cannot be with the digest beside it`);
  }
  return value;
}
