import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { makeDirectoryTree } from '../fs/directory-tree.ts';
import { fsyncUpTo } from '../fs/fsync.ts';
import type { Home } from '../home/home.ts';
import { CacheEntry } from '../home/home-entry.ts';
import type { Plan } from './step.ts';

/**
 * Where the cache tells what became of every old name; texts of symlinks included, so that all of it can be undone by
 * hand.
 */
export function migrationLog(home: Home): string {
  return `${home.cacheDirectory}/${CacheEntry.migrationLog}`;
}

/** One line of the log. Paths are below `cache/OCIs`, so that they are true wherever the home is moved. */
type Entry =
  | { readonly image: string; readonly to: string; readonly because: string }
  | { readonly tag: string; readonly text: string; readonly to: string; readonly newText: string }
  | { readonly tag: string; readonly text: string; readonly to: null }
  | { readonly host: string; readonly text: string; readonly newText: string | null }
  | { readonly kept: string; readonly quarantinedAt: string }
  | { readonly protected: string };

/** Appends everything that a plan will do, durably, before any of it is done. */
export async function logPlan(home: Home, plan: Plan, at: Date): Promise<void> {
  await append(home, entriesOf(plan, home.imagesDirectory), at);
}

/** Appends where something was quarantined that no command deletes. */
export async function logKept(home: Home, kept: string, where: string, at: Date): Promise<void> {
  await append(home, [{ kept: below(home.imagesDirectory, kept), quarantinedAt: where }], at);
}

function entriesOf(plan: Plan, imagesDirectory: string): Entry[] {
  const short = (path: string): string => below(imagesDirectory, path);
  return [
    ...plan.protect.map(({ path }) => ({ protected: short(path) })),
    ...plan.inTheWay.map(({ directory, text }) => ({ host: directory, text, newText: null })),
    ...plan.relocations.flatMap(({ image, to, links, superseded }): Entry[] => [
      ...links.map(({ link, to: at, text }) => ({
        tag: short(link.path),
        text: link.text,
        to: short(at),
        newText: text,
      })),
      ...(to === undefined ? [] : [{ image: short(image.path), to: short(to.path), because: to.by }]),
      ...superseded.map((link) => ({ tag: short(link.path), text: link.text, to: null })),
    ]),
    ...plan.hostLinks.map(({ link, text }) => ({ host: link.directory, text: link.text, newText: text })),
  ];
}

function below(imagesDirectory: string, path: string): string {
  return path.slice(imagesDirectory.length + 1);
}

async function append(home: Home, entries: readonly Entry[], at: Date): Promise<void> {
  if (entries.length === 0) return;
  const file = migrationLog(home);
  await makeDirectoryTree(home.cacheDirectory);
  await onDisk('write', file, async () => {
    const handle = await createFile(file, 'append');
    try {
      const time = at.toISOString();
      await handle.appendFile(entries.map((entry) => `${JSON.stringify({ time, ...entry })}\n`).join(''));
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
  await fsyncUpTo(home.cacheDirectory, home.root);
}
