import { contentReferences, HEX } from '../home/content/content-reference.ts';
import type { Hint } from '../hint.ts';
import type { ContentStore, StoredFile } from '../home/content/content-store.ts';
import type { Home } from '../home/home.ts';
import { contentAsideOf } from '../home/home-entry.ts';
import type { AccessCheck } from './access.ts';
import { finding, type Finding, unreadable } from './finding.ts';
import { kindText, lookAt, lookInto, whyUnreadable } from '../fs/probe.ts';

/** What Tart was copying in: gone with its owner. Its locks and ours stay for ever. */
const COPIED_BY_TART = /^\.[0-9A-Fa-f-]{36}\.tmp$/;

/**
 * Why the content store does not have a file as a manifest wants it; undefined when it has, or when
 * {@link checkContent} says more.
 */
export function contentProblem(contents: ContentStore, file: StoredFile): string | undefined {
  const look = lookAt(contents.pathOf(file.fileDigest));
  if (look.kind === 'gone') return 'is not in the content store';
  if (look.kind === 'failed') return undefined;
  const stats = look.value;
  if (!stats.isFile()) return `is ${kindText(stats)} in the content store`;
  return stats.size === file.size ? undefined : `has ${stats.size} bytes in the content store instead of ${file.size}`;
}

/** Everything in `cache/content` that no image complains about by itself (tart-formats §4.7). */
export function checkContent(home: Home, access: AccessCheck): Finding[] {
  const directory = `${home.contentDirectory}/sha256`;
  const entries = lookInto(directory);
  if (entries.kind === 'failed') return [unreadable(directory, entries.why)];
  if (entries.kind === 'gone') return [];
  const needed = neededDigests(home);
  const findings: Finding[] = [...access.lookIfThere(directory)];
  for (const { name } of entries.value) {
    const at = `${directory}/${name}`;
    const look = lookAt(at);
    if (look.kind === 'failed') findings.push(unreadable(at, look.why));
    if (look.kind !== 'found') continue;
    const stats = look.value;
    findings.push(...access.look(at, stats));
    if (HEX.test(name)) {
      if (!stats.isFile()) {
        const message = `${kindText(stats)} where a disk file belongs`;
        findings.push(finding('content-odd', at, message, { remedy: { kind: 'quarantine' } }));
        continue;
      }
      const why = whyUnreadable(at);
      if (why !== undefined) findings.push(unreadable(at, why));
      if (needed?.has(name) === false) {
        const next: Hint = { kind: 'collect-garbage' };
        findings.push(
          finding('content-unreferenced', at, `no image and no VM needs this file of ${stats.size} bytes`, { next }),
        );
      }
    } else if (contentAsideOf(name)?.kind === 'partial') {
      findings.push(finding('content-partial', at, `${stats.blocks * 512} bytes of a disk file that is being fetched`));
    } else if (contentAsideOf(name) === undefined && !COPIED_BY_TART.test(name)) {
      findings.push(finding('foreign-entry', at, `${kindText(stats)} that is no disk file`));
    }
  }
  return findings;
}

/**
 * Undefined when that cannot be told: then nothing counts as unneeded. The reason is a finding of its own elsewhere.
 */
function neededDigests(home: Home): ReadonlySet<string> | undefined {
  const references = contentReferences(home);
  return references.kind === 'known' ? references.digests : undefined;
}
