import { describeError, isTartletError } from '../errors.ts';
import { type Origin, parseOrigin } from '../home/origin.ts';
import { OurFile } from '../home/home-entry.ts';
import type { ImagePlace } from './finding.ts';
import { type Look, readSmallFile } from '../fs/probe.ts';

/** More than this is no record: real ones have a few hundred bytes. In bytes. */
const MAX_RECORD_BYTES = 64 * 1024;

/** Whether Tartlet itself made an image directory: then each of its files is what the registry has, byte for byte. */
export function isVerbatimDirectory(directory: string): boolean {
  const record = readOriginRecord(directory);
  return isVerbatim(record.kind === 'found' ? record.value : undefined);
}

/** Whether the files of an image with this record are what the registry has, byte for byte. */
export function isVerbatim(origin: Origin | undefined): boolean {
  return origin !== undefined && ['pull', 'push', 'import'].includes(origin.via);
}

/** The record of where the image in a directory came from. */
export function readOriginRecord(directory: string): Look<Origin> {
  const at = `${directory}/${OurFile.origin}`;
  const read = readSmallFile(at, MAX_RECORD_BYTES);
  if (read.kind !== 'found') return read;
  try {
    return { kind: 'found', value: parseOrigin(read.value.toString('utf8'), at) };
  } catch (error) {
    if (!isTartletError(error)) throw error;
    return { kind: 'failed', why: describeError(error.cause), isKept: false };
  }
}

/**
 * What a record says of another image than the one it lies in; undefined when it agrees, or when no name leads to the
 * image.
 */
export function disagreement(origin: Origin, { name, digest }: ImagePlace): string | undefined {
  if (name === undefined) return undefined;
  if (origin.via === 'clone' || origin.via === 'create') return `it is the record of a local VM (${origin.via})`;
  const says = origin.via === 'import' ? name.repositoryName : `${origin.registry}/${origin.repository}`;
  if (says === name.repositoryName && origin.digest === digest.toString()) return undefined;
  return `it says ${says}@${origin.digest}`;
}
