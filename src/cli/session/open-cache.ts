import { isTartletError } from '../../errors.ts';
import type { Home } from '../../home/home.ts';
import { migrationLog } from '../../migration/log.ts';
import type { MigrationReport } from '../../migration/migrate.ts';
import { isInOrder } from '../../migration/marker.ts';
import type { Session } from '../../session/session.ts';

/**
 * Brings the cache to today's names before a command looks at it, and says in one line what it did. What the disk
 * refuses stops no command: everything can be used as it lies.
 */
export async function openCache(session: Session, say: (line: string) => void): Promise<void> {
  try {
    // Before anything else is loaded: nearly every command finds a cache that is in order.
    if (isInOrder(session.home)) return;
    const { migrateCache } = await import('../../migration/migrate.ts');
    const report = await migrateCache(session, {
      onWait: () => say('waiting for another process that is migrating the cache'),
    });
    const line = describeMigration(report, session.home);
    if (line !== undefined) say(line);
  } catch (error) {
    if (!isTartletError(error, 'DISK_READONLY', 'DISK_DENIED', 'DISK_FULL', 'DISK_IO', 'DISK_UNSUPPORTED')) throw error;
    say(`note: cache entries not migrated: ${error.message}`);
  }
}

/** What a migration did, in a line, or undefined when that is not worth one. */
function describeMigration(report: MigrationReport, home: Home): string | undefined {
  const { moved, tags, kept, busy } = report;
  const done = [
    ...movedText(moved),
    ...(tags === 0 ? [] : [`wrote ${counted(tags, 'tag')} anew`]),
    ...(report.protected === 0 ? [] : [`marked ${counted(report.protected, 'image')} without a tag to be kept`]),
    ...(kept.length === 0 ? [] : [`set ${counted(kept.length, 'image')} aside in ${home.quarantineDirectory}`]),
  ];
  if (done.length === 0) return undefined;
  const later = busy.length === 0 ? '' : `, ${counted(busy.length, 'image')} in use will follow`;
  return `cache: ${done.join(', ')}${later} (see ${migrationLog(home)})`;
}

function movedText(moved: MigrationReport['moved']): string[] {
  const [first] = moved;
  if (first === undefined) return [];
  const name = first.to.repositoryName;
  return [
    moved.length === 1
      ? `moved an image to its full name, ${name}`
      : `moved ${moved.length} images to their full names, e.g. ${name}`,
  ];
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
