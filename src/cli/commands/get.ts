import { LocalName } from '../../names/local-name.ts';
import { describeVm, type VmDescription } from '../../vm/describe.ts';
import { renderJson } from '../render/json.ts';
import { humanBytes } from '../render/quantity.ts';
import { renderTable } from '../render/table.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface GetCommandOptions {
  readonly format: 'text' | 'json';
}

const GB = 1_000_000_000;

export async function runGet(terminal: Terminal, text: string, options: GetCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const vm = await describeVm(session, LocalName.ofExisting(text));
    terminal.stdout.write(options.format === 'json' ? renderJson(toJson(vm)) : toText(vm));
    return 0;
  });
}

/** Keys and types as in Tart: `Size` is a string here and a number in `list` (openai/tart#1241). */
function toJson(vm: VmDescription): Record<string, string | number | boolean> {
  return {
    OS: vm.os,
    CPU: vm.cpuCount,
    Memory: vm.memoryMiB,
    Disk: Math.floor(vm.logicalBytes / GB),
    DiskFormat: vm.diskFormat,
    Size: (vm.allocatedBytes / GB).toFixed(3),
    Display: vm.display,
    Running: vm.state === 'running',
    State: vm.state,
  };
}

function toText(vm: VmDescription): string {
  return renderTable(
    ['OS', 'CPU', 'Memory', 'Disk', 'DiskFormat', 'Size', 'Display', 'State'],
    [
      [
        vm.os,
        String(vm.cpuCount),
        String(vm.memoryMiB),
        humanBytes(vm.logicalBytes),
        vm.diskFormat,
        humanBytes(vm.allocatedBytes),
        vm.display,
        vm.state,
      ],
    ],
  );
}
