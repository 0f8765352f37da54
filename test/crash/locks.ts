/*
 * Which locks a command takes while it holds which others, read from a log of `strace -f -y`. Commands that take the
 * same locks in one order never wait for each other in a cycle (reliability §4.8).
 */

/** The calls that tell. */
export const LOCKING_CALLS = 'flock,close,mkdir';

/** What kind of lock a file below a home is, or undefined for all other files. */
function kindOf(file: string, home: string): string | undefined {
  const place = file.slice(home.length + 1);
  if (/^cache\/\.locks\/tartlet-[\w-]+\.lock$/.test(place)) return 'scratch';
  if (/^cache\/\.locks\/[0-9a-f]{64}\.lock$/.test(place)) return 'image';
  if (/^vms\/[^/]+\/config\.json$/.test(place)) return 'vm';
  if (place === '.lock') return 'names of VMs';
  return place.endsWith('lock') ? place : undefined;
}

/** What a log says about locks. */
export interface LockLog {
  /** `a, then b`: a lock of the second kind was taken under one of the first. */
  readonly nested: ReadonlySet<string>;
  /** Scratch directories that were made without their lock. */
  readonly unlockedScratch: readonly string[];
  readonly taken: number;
}

/** Reads a log of {@link LOCKING_CALLS}. Calls that failed changed nothing. */
export function readLocks(log: string, home: string): LockLog {
  const held = new Map<string, string>();
  const nested = new Set<string>();
  const unlockedScratch: string[] = [];
  let taken = 0;
  for (const line of log.split('\n')) {
    if (/ = -1 /.test(line)) continue;
    const [, call = '', file = ''] = /^\d+ +(flock|close)\(\d+<([^>]*)>/.exec(line) ?? [];
    const kind = file.startsWith(`${home}/`) ? kindOf(file, home) : undefined;
    if (call === 'flock' && kind !== undefined && /LOCK_(?:SH|EX)/.test(line)) {
      for (const other of held.values()) nested.add(`${other}, then ${kind}`);
      held.set(file, kind);
      taken += 1;
    } else if (kind !== undefined) {
      held.delete(file);
    }
    const [, scratch] = /^\d+ +mkdir\("[^"]*\/tmp\/(tartlet-[\w-]+)"/.exec(line) ?? [];
    if (scratch !== undefined && !held.has(`${home}/cache/.locks/${scratch}.lock`)) unlockedScratch.push(scratch);
  }
  return { nested, unlockedScratch, taken };
}
