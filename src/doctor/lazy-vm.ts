import { describeError, isTartletError } from '../errors.ts';
import { readSmallFile, whyUnreadable } from '../fs/probe.ts';
import { LazyFile } from '../home/home-entry.ts';
import { readLazyRecord } from '../home/lazy-record.ts';
import { RemoteName } from '../names/remote-name.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../oci/manifest.ts';
import { finding, type Finding, unreadable } from './finding.ts';

/** Looks at what a VM has whose disk has not arrived yet: without it the disk cannot come, or what its guest wrote. */
export function checkLazyVm(at: string, name: string): Finding[] {
  const findings: Finding[] = [];
  const why = whyUnreadable(`${at}/${LazyFile.overlay}`);
  if (why !== undefined) findings.push(unreadable(`${at}/${LazyFile.overlay}`, why, name));
  const file = `${at}/${LazyFile.manifest}`;
  const read = readSmallFile(file, MAX_MANIFEST_BYTES);
  if (read.kind === 'failed' && read.isKept) return [...findings, unreadable(file, read.why, name)];
  const problem = read.kind === 'found' ? problemOf(at, name, read.value) : 'is not there';
  if (problem === undefined) return findings;
  const message = `its disk cannot arrive: ${LazyFile.manifest} ${problem}`;
  return [...findings, finding('vm-incomplete', at, message, { name, next: { kind: 'restore-missing' } })];
}

function problemOf(at: string, name: string, bytes: Uint8Array): string | undefined {
  const wanted = readLazyRecord(at)?.image;
  if (wanted === undefined) return undefined; // Changed since we looked.
  try {
    const { digest } = requireImage(parseManifest(bytes), name);
    return RemoteName.tryParse(wanted)?.digest?.equals(digest) === true ? undefined : `is not that of ${wanted}`;
  } catch (error) {
    if (isTartletError(error)) return `cannot be understood (${describeError(error)})`;
    throw error;
  }
}
