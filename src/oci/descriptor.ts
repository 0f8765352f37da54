import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { isJsonObject } from './json-document.ts';

/** Annotations of one descriptor, keys and values together (reliability §0.2). */
const MAX_ANNOTATION_CHARACTERS = 64 * 1024;

/** A reference from one OCI document to a blob: what it is, how long, and the digest that proves it (image spec, descriptor). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob as stored. */
  readonly size: number;
  readonly annotations: ReadonlyMap<string, string>;
}

/**
 * @param where for the message, e.g. `layers[3]`.
 * @throws TartletError `MANIFEST_INVALID` that names the field.
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  if (!isJsonObject(value)) throw invalid(where, 'is not an object');
  const mediaType = value['mediaType'];
  if (typeof mediaType !== 'string' || mediaType === '') throw invalid(`${where}.mediaType`, 'is missing');
  const size = value['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${where}.size`, 'is not a whole number of bytes');
  }
  return {
    mediaType,
    digest: parseDigest(value['digest'], where),
    size,
    annotations: parseAnnotations(value['annotations'], where),
  };
}

/** Absent and null both mean none (tart-formats §4.3). */
export function parseAnnotations(value: unknown, where: string): ReadonlyMap<string, string> {
  const annotations = new Map<string, string>();
  if (value === undefined || value === null) return annotations;
  if (!isJsonObject(value)) throw invalid(`${where}.annotations`, 'is not an object');
  let characters = 0;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(`${where}.annotations["${key.slice(0, 60)}"]`, 'is not a string');
    characters += key.length + text.length;
    annotations.set(key, text);
  }
  if (characters > MAX_ANNOTATION_CHARACTERS) throw invalid(`${where}.annotations`, 'are longer than 64 KiB');
  return annotations;
}

function parseDigest(value: unknown, where: string): Digest {
  if (typeof value !== 'string') throw invalid(`${where}.digest`, 'is missing');
  try {
    return Digest.parse(value);
  } catch (cause) {
    throw invalid(`${where}.digest`, 'is malformed', cause);
  }
}

/** The one shape of a complaint about a manifest. */
export function invalid(where: string, why: string, cause?: unknown): TartletError {
  return new TartletError('MANIFEST_INVALID', `the manifest is invalid: ${where} ${why}`, { subject: where, cause });
}
