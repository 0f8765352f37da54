import { type Listed, listVms } from '../../vm/listing.ts';
import { renderJson } from '../render/json.ts';
import { type Printable, printableLines } from '../terminal/printable.ts';
import { humanBytes, isoSeconds, relativeTime, wholeGB } from '../render/quantity.ts';
import { renderTable } from '../render/table.ts';
import { withSession } from '../session/session.ts';
import { writeLines } from '../terminal/message-stream.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface ListCommandOptions {
  readonly source?: 'local' | 'oci';
  readonly format: 'text' | 'json';
  readonly quiet?: true;
}

export async function runList(terminal: Terminal, options: ListCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const rows = await listVms(session, options.source);
    if (rows.length === 0 && terminal.stdout.isTTY === true && options.format === 'text' && options.quiet !== true) {
      writeLines(terminal.stderr, nothingIn(session.home.root, options.source));
      return 0;
    }
    terminal.stdout.write(render(rows, options, terminal));
    return 0;
  });
}

/** For people alone: programs get the empty table of Tart. */
function nothingIn(home: string, source: 'local' | 'oci' | undefined): string {
  const what = { local: 'no local VM', oci: 'no cached image', both: 'no local VM and no cached image' }[
    source ?? 'both'
  ];
  return `there is ${what} in ${home}`;
}

function render(rows: readonly Listed[], options: ListCommandOptions, terminal: Terminal): Printable {
  if (options.quiet === true) return printableLines(rows.map((row) => row.name));
  if (options.format === 'json') return renderJson(rows.map(toJson));
  const now = terminal.now();
  // Programs cut rows at blanks, where `50 GB` is two fields: in a pipe stand the plain numbers of Tart up to 2.35
  // (tart-cli §1.6).
  const size = terminal.stdout.isTTY === true ? humanBytes : (bytes: number): string => String(wholeGB(bytes));
  return renderTable(
    ['Source', 'Name', 'Disk', 'Size', 'Accessed', 'State'],
    rows.map((row) => [
      row.source,
      row.name,
      size(row.logicalBytes),
      size(row.allocatedBytes),
      relativeTime(row.accessed, now),
      row.state,
    ]),
    terminal.stdout,
    'Name',
  );
}

/** Keys, order and types as in Tart; sizes in whole GB (tart-cli §1.6). */
function toJson(row: Listed): Record<string, string | number | boolean> {
  return {
    Source: row.source,
    Name: row.name,
    Disk: wholeGB(row.logicalBytes),
    Size: wholeGB(row.allocatedBytes),
    Accessed: isoSeconds(row.accessed),
    Running: row.state === 'running',
    State: row.state,
  };
}
