import { isTartletError } from '../../errors.ts';
import { Digest } from '../../names/digest.ts';
import { isJsonObject, type JsonObject, parseJson, textOf } from '../../json/foreign.ts';
import { parseJsonDocument } from '../../oci/json-document.ts';
import { bareMediaType, isImageManifestType, isIndexType, isNonDistributable } from '../../oci/media-type.ts';
import { Refusal } from '../contract/refusal.ts';

/*
 * A check of its own beside `oci/manifest.ts`, on purpose: the two ask different questions. A client must understand an
 * image, and refuses whatever it could misread (sizes, annotations, another spelling of a key, digests of algorithms it
 * does not verify). A registry keeps artifacts of every kind as they came, and needs only what they link to; to refuse
 * more would turn away what other registries take. What both must agree on is shared: which JSON is one document
 * (`oci/json-document.ts`), and what a media type means (`oci/media-type.ts`).
 */

/**
 * What a registry must know of a manifest: what it links to. Fields that it does not understand are kept as they came.
 */
export interface PushedManifest {
  readonly mediaType: string;
  /** Blobs that must be in the repository. */
  readonly blobs: readonly Digest[];
  /** Manifests (or blobs) that must be in the repository. */
  readonly children: readonly Digest[];
  /** The manifest that this one is about; it may be missing (distribution spec § pushing manifests with subject). */
  readonly subject: Digest | undefined;
  /** The entry of this manifest in the list of referrers, without digest and size. */
  readonly referrer: JsonObject;
}

/**
 * @param contentType the header that came with it.
 * @throws Refusal `MANIFEST_INVALID`, also when header, `mediaType` and content contradict each other (CVE-2021-41190,
 * S16).
 */
export function parsePushedManifest(bytes: Uint8Array, contentType: string | undefined): PushedManifest {
  const document = parseObject(bytes);
  if (document['schemaVersion'] !== 2) throw invalid('schemaVersion is not 2');
  const isIndex = document['manifests'] !== undefined;
  if (isIndex && (document['layers'] !== undefined || document['config'] !== undefined)) {
    throw invalid('it is an image and an index at once');
  }
  const mediaType = agreedMediaType(document['mediaType'], contentType, isIndex);
  const subject = document['subject'];
  return {
    mediaType,
    blobs: isIndex ? [] : [digestOf(document['config'], 'config'), ...layersOf(document)],
    children: isIndex ? listOf(document, 'manifests').map((entry, at) => digestOf(entry, `manifests[${at}]`)) : [],
    subject: subject === undefined || subject === null ? undefined : digestOf(subject, 'subject'),
    referrer: referrerOf(document, mediaType),
  };
}

/**
 * What a manifest links to that was taken before, so that it need not be judged again: as texts, because there may be
 * tens of thousands, and most are only compared. None for bytes that are no manifest any more: whatever is deleted, it
 * is broken already.
 */
export function linksOfStored(bytes: Uint8Array): ReadonlySet<string> {
  const document = parseJson(bytes);
  if (!isJsonObject(document)) return new Set();
  const { config, manifests } = document;
  const layers: readonly unknown[] = Array.isArray(document['layers']) ? document['layers'] : [];
  const entries: readonly unknown[] = Array.isArray(manifests) ? manifests : [config, ...layers.filter(isHere)];
  return new Set(entries.flatMap((entry) => textOf(entry, 'digest') ?? []));
}

function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = parseJsonDocument(bytes, 'manifest');
  } catch (error) {
    if (!isTartletError(error)) throw error;
    throw invalid(error.message);
  }
  if (!isJsonObject(value)) throw invalid('it is not an object');
  return value;
}

function agreedMediaType(field: unknown, header: string | undefined, isIndex: boolean): string {
  if (field !== undefined && typeof field !== 'string') throw invalid('mediaType is not a string');
  const claimed = header === undefined ? undefined : bareMediaType(header);
  if (field !== undefined && claimed !== undefined && field !== claimed) {
    throw invalid(`mediaType is ${field.slice(0, 80)}, Content-Type is ${claimed.slice(0, 80)}`);
  }
  const mediaType = field ?? claimed;
  if (mediaType === undefined) throw invalid('neither mediaType nor Content-Type says what it is');
  const fits = isIndex ? isIndexType : isImageManifestType;
  if (!fits(mediaType)) throw invalid(`${mediaType.slice(0, 80)} is not the type of an ${isIndex ? 'index' : 'image'}`);
  return mediaType;
}

function layersOf(document: JsonObject): Digest[] {
  return listOf(document, 'layers').flatMap((layer, at) => {
    const digest = digestOf(layer, `layers[${at}]`);
    return isHere(layer) ? [digest] : [];
  });
}

/**
 * Layers that may live elsewhere need not be here: they have URLs and a type that says so (image spec §
 * non-distributable layers).
 */
function isHere(layer: unknown): boolean {
  if (!isJsonObject(layer) || !Array.isArray(layer['urls'])) return true;
  const type = layer['mediaType'];
  return typeof type !== 'string' || !isNonDistributable(type);
}

function listOf(document: JsonObject, name: string): readonly unknown[] {
  const list = document[name];
  if (!Array.isArray(list)) throw invalid(`${name} is not a list`);
  return list;
}

function digestOf(value: unknown, where: string): Digest {
  const text = textOf(value, 'digest');
  const digest = text === undefined ? undefined : Digest.tryParse(text);
  if (digest === undefined) throw invalid(`${where} has no valid digest`);
  return digest;
}

/** Distribution spec § listing referrers: the type of an image is that of its config when it names none itself. */
function referrerOf(document: JsonObject, mediaType: string): JsonObject {
  const config = document['config'];
  const fallback = isJsonObject(config) ? config['mediaType'] : undefined;
  const own = document['artifactType'];
  const artifactType = typeof own === 'string' && own !== '' ? own : fallback;
  const annotations = document['annotations'];
  return {
    mediaType,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(isJsonObject(annotations) ? { annotations } : {}),
  };
}

function invalid(why: string): Refusal {
  return new Refusal(400, 'MANIFEST_INVALID', why.startsWith('the manifest') ? why : `the manifest is invalid: ${why}`);
}
