import path from 'node:path';
import type { Event, Unpublished } from './order.ts';

/** What makes an image or a VM: with one of them missing it is half of one. */
const VM_FILES: ReadonlySet<string> = new Set(['config.json', 'nvram.bin', 'disk.img']);

/** What a home was before the command. */
export interface Before {
  readonly isUnpublished: Unpublished;
  /** Tags, and the directories that they lead to. */
  readonly tags: ReadonlyMap<string, string>;
}

/**
 * The order of removals (reliability P4): an image or a VM goes out of sight as a whole, and only after the removal of
 * each tag that led to it is durable.
 *
 * @returns findings, one line each.
 */
export function checkRemovals(events: readonly Event[], { isUnpublished, tags }: Before): string[] {
  const findings: string[] = [];
  const links = new Map(tags);
  const unflushed: { readonly tag: string; readonly target: string }[] = [];
  const take = (link: string): string | undefined => {
    const target = links.get(link);
    links.delete(link);
    if (target !== undefined && !isUnpublished(link)) unflushed.push({ tag: link, target });
    return target;
  };
  for (const event of events) {
    switch (event.kind) {
      case 'link':
        links.set(event.path, event.target);
        break;
      case 'rename': {
        const target = take(event.from);
        if (target !== undefined) {
          take(event.to);
          links.set(event.to, target);
        } else if (!isUnpublished(event.from) && isUnpublished(event.to)) {
          const leading = [...links].filter(([link, to]) => !isUnpublished(link) && to === event.from);
          findings.push(...leading.map(([link]) => `${event.from} went before its tag ${link}`));
          const doubtful = unflushed.filter(({ target: to }) => to === event.from);
          findings.push(...doubtful.map(({ tag }) => `${event.from} went before the removal of ${tag} was flushed`));
        }
        break;
      }
      case 'remove':
        if (take(event.path) === undefined && !isUnpublished(event.path) && VM_FILES.has(path.basename(event.path)))
          findings.push(`taken apart in its published place: ${event.path}`);
        break;
      case 'flush':
        for (const entry of unflushed.filter(({ tag }) => path.dirname(tag) === event.path))
          unflushed.splice(unflushed.indexOf(entry), 1);
        break;
      case 'make':
      case 'tidy':
      case 'write':
        break;
    }
  }
  return findings;
}
