import type { OnDemandOutcome } from '../../lazy-disk/clone-on-demand.ts';
import type { CopyOutcome } from '../../transfer/copy/copy.ts';
import type { PullOutcome } from '../../transfer/pull/pull.ts';
import type { PushOutcome } from '../../transfer/push/push.ts';
import type { ExportOutcome } from '../../archive/export.ts';
import type { ImportOutcome } from '../../archive/import.ts';

/*
 * What commands did, for programs (`--format json`, docs/guide/output.md). Digests are whole, sizes are bytes, names
 * are as commands take them; a key is always there, null when there is nothing to tell. What is here may get more keys,
 * and loses none within its `schema`.
 */

export function pullResult({ name, digest, status, fetchedBytes, peerBytes }: PullOutcome): object {
  return {
    schema: 'tartlet.pull/v1',
    name: name.toString(),
    digest: digest.toString(),
    status,
    fetchedBytes,
    peerBytes,
  };
}

/** The name of a local VM, which drivers pull like any other (tart-cli §1.11). */
export function localPullResult(name: string): object {
  return { schema: 'tartlet.pull/v1', name, digest: null, status: 'local', fetchedBytes: 0, peerBytes: 0 };
}

/**
 * One entry for each repository, in the order of the names. They may differ: blobs that a repository has are used
 * again.
 */
export function pushResult(source: string, outcomes: readonly PushOutcome[]): object {
  const [digest, ...others] = distinctDigests(outcomes);
  return {
    schema: 'tartlet.push/v1',
    source,
    digest: others.length === 0 ? (digest ?? null) : null,
    uploadedBytes: outcomes.reduce((sum, { uploadedBytes }) => sum + uploadedBytes, 0),
    repositories: outcomes.map((outcome) => ({
      names: outcome.names.map((name) => name.toString()),
      digest: outcome.digest.toString(),
      manifestBytes: outcome.manifest.length,
      uploadedBytes: outcome.uploadedBytes,
    })),
  };
}

export function copyResult({ source, target, digest, uploadedBytes }: CopyOutcome): object {
  return {
    schema: 'tartlet.copy/v1',
    source: source.toString(),
    destination: target.toString(),
    digest: digest.toString(),
    uploadedBytes,
  };
}

/** The digest is that of the image that was cloned; a VM has none. */

export function cloneResult(source: string, { name, digest, copied, replaced, start }: OnDemandOutcome): object {
  return {
    schema: 'tartlet.clone/v1',
    source,
    name: name.text,
    digest: digest?.toString() ?? null,
    copied,
    replaced,
    start:
      start === undefined
        ? null
        : { bytes: start.startBytes, ofBytes: start.wholeBytes, bytesPerSecond: start.bytesPerSecond ?? null },
  };
}

export function importResult(source: string, { name, digest, macChanged, replaced }: ImportOutcome): object {
  return { schema: 'tartlet.import/v1', source, name: name.text, digest: digest.toString(), macChanged, replaced };
}

export function exportResult(source: string, path: string, { digest, archiveBytes }: ExportOutcome): object {
  return { schema: 'tartlet.export/v1', source, path, digest: digest.toString(), archiveBytes };
}

/** Each digest once, in the order in which they came. */
export function distinctDigests(outcomes: readonly PushOutcome[]): string[] {
  return [...new Set(outcomes.map(({ digest }) => digest.toString()))];
}
