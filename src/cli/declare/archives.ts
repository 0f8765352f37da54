import type { ExportCommandOptions } from '../commands/export.ts';
import type { ImportCommandOptions } from '../commands/import.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { formatOption, JSON_RESULT, quietOption } from './option-types.ts';

/** Commands that move VMs by files. */
export const ARCHIVES: CommandGroup = {
  title: 'Archives:',
  commands: { export: declareExport, import: declareImport },
};

function declareExport({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('export')
    .description('Write a VM or a cached image into one file')
    .argument('<name>', 'a local VM or a cached image')
    .argument('[path]', 'the file, replaced when it is there; - for stdout (default: <name>.oci.tar in this directory)')
    .option('--reproducible', 'Leave the time out: the same VM always gives the same file')
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addHelpText(
      'after',
      `
The file is a tar of an OCI image layout, which skopeo, oras and other OCI tools read too. (Tart writes Apple
Archives, .tvm.)

Examples:
  ${terminal.programName} export ci
  ${terminal.programName} export ci - | ssh other.example ${terminal.programName} import - ci
  ${terminal.programName} export registry.example:8221/macos/base:15 base.oci.tar
  skopeo copy oci-archive:base.oci.tar docker://other.example/macos/base:15`,
    )
    .action(async (name: string, path: string | undefined, options: ExportCommandOptions) => {
      const { runExport } = await import('../commands/export.ts');
      setExitCode(await runExport(terminal, name, path, options));
    });
}

function declareImport({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('import')
    .description('Make a local VM from an exported file')
    .argument('<path>', 'a tar of an OCI image layout, or a directory with one; - for stdin')
    .argument('<name>', 'what the VM will be called; a VM of that name that does not run is replaced')
    .option('--ref <reference>', 'Which image, by its name or digest in the archive, when there are several')
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addHelpText(
      'after',
      `
Everything is checked against its digest before the VM appears. Apple Archives (.tvm, .aar) of tart export are not read.

Examples:
  ${terminal.programName} import ci.oci.tar ci
  zstd -dc ci.oci.tar.zst | ${terminal.programName} import - ci
  skopeo copy docker://registry.example:8221/macos/base:15 \\
    oci-archive:base.tar && ${terminal.programName} import base.tar base`,
    )
    .action(async (path: string, name: string, options: ImportCommandOptions) => {
      const { runImport } = await import('../commands/import.ts');
      setExitCode(await runImport(terminal, path, name, options));
    });
}
