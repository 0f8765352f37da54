import { diskUsage, type DiskUsage, type UsedBytes } from '../../../usage/disk-usage.ts';
import { renderJson } from '../../render/json.ts';
import { humanBytes } from '../../render/quantity.ts';
import { renderTable } from '../../render/table.ts';
import { withSession } from '../../session/session.ts';
import { joined, type Printable, printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface DfCommandOptions {
  readonly format: 'text' | 'json';
}

export async function runDf(terminal: Terminal, { format }: DfCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const usage = await diskUsage(session);
    terminal.stdout.write(format === 'json' ? renderJson(usage) : toText(usage, terminal));
    return 0;
  });
}

function toText(usage: DiskUsage, terminal: Terminal): Printable {
  const rows = [
    ...usage.images.map((image) => ['image', nameOf(image), ...sizes(image), image.pinned ? 'pinned' : '']),
    ...usage.vms.map((vm) => ['VM', vm.name, ...sizes(vm), vm.state]),
  ];
  const columns = ['Kind', 'Name', 'Disk', 'Size', 'Unique', 'Shared', 'Reclaimable', 'State'];
  const others: (readonly [string, string] | undefined)[] = [
    ['In all', known(usage.occupiedBytes)],
    part('Content store', usage.content),
    part('Unfinished', usage.unfinished),
    part('Quarantine', usage.quarantine),
    ['Free', humanBytes(usage.freeBytes)],
  ];
  const lines = others.flatMap((each) => (each === undefined ? [] : `${`${each[0]}:`.padEnd(15)}${each[1]}`));
  const totals = printableLines(lines);
  if (rows.length === 0) return totals;
  return joined([renderTable(columns, rows, terminal.stdout, 'Name'), printableLines(['']), totals]);
}

/** People know the tag. One line for an image, however many it has. */
function nameOf({ name, tags }: { readonly name: string; readonly tags: readonly string[] }): string {
  const [first = name, ...more] = tags;
  return more.length === 0 ? first : `${first} (+${more.length})`;
}

function sizes({ logicalBytes, allocatedBytes, uniqueBytes, sharedBytes, reclaimableBytes }: UsedBytes): string[] {
  return [
    humanBytes(logicalBytes),
    humanBytes(allocatedBytes),
    known(uniqueBytes),
    known(sharedBytes),
    known(reclaimableBytes),
  ];
}

function known(bytes: number | null): string {
  return bytes === null ? 'unknown' : humanBytes(bytes);
}

function part(what: string, { files, allocatedBytes }: DiskUsage['content']): readonly [string, string] | undefined {
  return files === 0
    ? undefined
    : [what, `${humanBytes(allocatedBytes)} in ${files === 1 ? '1 file' : `${files} files`}`];
}
