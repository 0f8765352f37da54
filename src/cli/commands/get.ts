import { LocalName } from '../../names/local-name.ts';
import { describeVm, type VmDescription } from '../../vm/describe.ts';
import { renderJson } from '../render/json.ts';
import type { Printable } from '../terminal/printable.ts';
import { exactGB, humanBytes, wholeGB } from '../render/quantity.ts';
import { renderTable } from '../render/table.ts';
import { withSession } from '../session/session.ts';
import type { Screen, Terminal } from '../terminal/terminal.ts';

export interface GetCommandOptions {
  readonly format: 'text' | 'json';
}

export async function runGet(terminal: Terminal, text: string, options: GetCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const vm = await describeVm(session, LocalName.ofExisting(text));
    terminal.stdout.write(options.format === 'json' ? renderJson(toJson(vm)) : toText(vm, terminal.stdout));
    return 0;
  });
}

/** Keys and types as in Tart: `Size` is a string here and a number in `list` (openai/tart#1241). */
function toJson(vm: VmDescription): Record<string, string | number | boolean> {
  return {
    OS: vm.os,
    CPU: vm.cpuCount,
    Memory: vm.memoryMiB,
    Disk: wholeGB(vm.logicalBytes),
    DiskFormat: vm.diskFormat,
    Size: exactGB(vm.allocatedBytes),
    Display: vm.display,
    Running: vm.state === 'running',
    State: vm.state,
  };
}

/**
 * Sizes with their units are for people. Programs cut the row at its blanks, where `50 GB` is two fields: they get the
 * plain numbers of Tart up to 2.35 (tart-cli §1.5).
 */
function toText(vm: VmDescription, screen: Screen): Printable {
  const [disk, size] =
    screen.isTTY === true
      ? [humanBytes(vm.logicalBytes), humanBytes(vm.allocatedBytes)]
      : [String(wholeGB(vm.logicalBytes)), exactGB(vm.allocatedBytes)];
  return renderTable(
    ['OS', 'CPU', 'Memory', 'Disk', 'DiskFormat', 'Size', 'Display', 'State'],
    [[vm.os, String(vm.cpuCount), String(vm.memoryMiB), disk, vm.diskFormat, size, vm.display, vm.state]],
    screen,
  );
}
