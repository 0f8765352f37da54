import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Partition, PartitionTable } from '../../../cloud-image/partition-table.ts';
import { TartletError } from '../../../errors.ts';
import { requireWithin } from '../../../fs/disk/read-range.ts';
import { openDiskOf, type OpenDisk } from '../../../library/image.ts';
import type { Session } from '../../../session/session.ts';
import { renderJson } from '../../render/json.ts';
import { humanBytes } from '../../render/quantity.ts';
import { renderTable } from '../../render/table.ts';
import { type MirrorOptions, mirrorsBy, type ReportOptions, withSession } from '../../session/session.ts';
import { joined, type Printable, printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/** Read and written at once. */
const PART_BYTES = 4 * 1024 * 1024;

/** Where a disk is looked at. */
interface DiskPlaceOptions extends ReportOptions, MirrorOptions {
  readonly remote?: true;
  readonly insecure?: true;
}

export interface CatCommandOptions extends DiskPlaceOptions {
  /** Bytes. */
  readonly offset: number;
  /** Bytes. Default: to the end. */
  readonly length?: number;
}

export interface DiskTableOptions extends DiskPlaceOptions {
  readonly format: 'text' | 'json';
}

/** The bytes of a disk on stdout, each verified before. */
export async function runCat(terminal: Terminal, text: string, options: CatCommandOptions): Promise<number> {
  if (terminal.stdout.isTTY === true) {
    throw new TartletError('USAGE', 'the bytes of a disk do not go to a terminal', {
      next: { kind: 'in-words', words: 'redirect stdout, or give it to a program like xxd' },
    });
  }
  return onDisk(terminal, text, options, async (disk, { signal }) => {
    const { offset, length = Math.max(0, disk.size - offset) } = options;
    // Before the first byte goes out.
    requireWithin({ offset, length }, disk.size);
    const out: Writable = terminal.stdout;
    for (let done = 0; done < length; done += PART_BYTES) {
      const part = await disk.read({ offset: offset + done, length: Math.min(PART_BYTES, length - done) });
      if (!out.write(part)) await once(out, 'drain', { signal });
    }
  });
}

/** What `inspect --disk` shows. */
export async function runDiskTable(terminal: Terminal, text: string, options: DiskTableOptions): Promise<number> {
  return onDisk(terminal, text, options, async (disk) => {
    const { kind, partitions } = await disk.partitions();
    const isJson = options.format === 'json';
    const document = { schema: 'tartlet.disk/v1', name: text, bytes: disk.size, table: kind, partitions };
    terminal.stdout.write(isJson ? renderJson(document) : toText(disk.size, { kind, partitions }, terminal));
  });
}

async function onDisk(
  terminal: Terminal,
  text: string,
  options: DiskPlaceOptions,
  work: (disk: OpenDisk, session: Session) => Promise<void>,
): Promise<number> {
  const how = { where: options.remote === true ? 'remote' : 'here', insecure: options.insecure ?? false } as const;
  return withSession(
    terminal,
    async (session) => {
      const disk = await openDiskOf(session, text, how);
      try {
        await work(disk, session);
      } finally {
        await disk.close();
      }
      return 0;
    },
    { report: options, mirrors: mirrorsBy(options) },
  );
}

const TABLES = { gpt: 'GPT', mbr: 'MBR', none: 'no partition table' } as const;

function toText(bytes: number, { kind, partitions }: PartitionTable, terminal: Terminal): Printable {
  const heading = printableLines([`Disk: ${humanBytes(bytes)} (${bytes} bytes), ${TABLES[kind]}`]);
  if (partitions.length === 0) return heading;
  const columns = ['Number', 'Offset', 'Size', 'Type', 'Label'];
  return joined([heading, renderTable(columns, partitions.map(rowOf), terminal.stdout, 'Label')]);
}

function rowOf({ number, offset, size, type, typeName, label }: Partition): string[] {
  return [String(number), String(offset), humanBytes(size), typeName ?? type, label ?? ''];
}
