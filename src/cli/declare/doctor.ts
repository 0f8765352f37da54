import { InvalidArgumentError } from 'commander';
import { TartletError } from '../../errors.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import type { Assignment } from '../../doctor/run-doctor.ts';
import type { DoctorCommandOptions } from '../commands/doctor.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { debugOption, formatOption, noMirrorOption } from './option-types.ts';

/** The command that looks after the home as a whole. */
export const DOCTOR: CommandGroup = { title: 'Images:', commands: { doctor: declareDoctor } };

function declareDoctor({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('doctor')
    .description('Check the home directory for problems and repair them')
    .option('--fix', 'Repair what can be repaired; what cannot is quarantined, never deleted')
    .option('--deep', 'Hash every disk, and not only look at lengths')
    .option(
      '--assign <from=to>',
      'Say which registry the images of a host without evidence came from; may be given several times',
      assignment,
    )
    .option('--host', 'Look at what this machine has for running VMs, and not at the home')
    .option('--insecure', 'Speak plain HTTP to the registries that damaged images are fetched from')
    .addOption(noMirrorOption())
    .addOption(formatOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
Without --fix nothing is changed. Damaged chunks are fetched again one by one; an image that its registry no longer
has goes to cache/.quarantine. Local VMs are never touched.

With --host, an empty VM is started for a moment: whether KVM works is known by nothing else. Each line that is no
ok has the command that repairs it.

Exit codes: 0 when there are at most notes, 1 when there is damage or a warning (left).

Examples:
  ${terminal.programName} doctor
  ${terminal.programName} doctor --fix --deep
  ${terminal.programName} doctor --host
  ${terminal.programName} doctor --assign registry.example=registry.example:8221
  ${terminal.programName} doctor --format json |
    jq '.findings[] | select(.severity == "damage")'`,
    )
    .action(async (options: DoctorCommandOptions) => {
      if (options.host === true) {
        refuseBesideHost(options);
        const { runDoctorHost } = await import('../commands/running/doctor-host.ts');
        setExitCode(await runDoctorHost(terminal, options));
        return;
      }
      const { runDoctor } = await import('../commands/doctor.ts');
      setExitCode(await runDoctor(terminal, options));
    });
}

function refuseBesideHost({ fix, deep, assign, insecure }: DoctorCommandOptions): void {
  if ([fix, deep, assign, insecure].every((each) => each === undefined)) return;
  throw new TartletError('USAGE', '--host looks at this machine, and the other options are about the home', {
    next: { kind: 'in-words', words: 'leave the other options out, or --host' },
  });
}

/** `host=host:port`, gathered. */
function assignment(text: string, before: readonly Assignment[] | undefined): readonly Assignment[] {
  const at = text.indexOf('=');
  const to = RegistryAddress.tryParse(text.slice(at + 1));
  if (at < 1 || to === undefined)
    throw new InvalidArgumentError('It must be like registry.example=registry.example:8221.');
  return [...(before ?? []), { from: text.slice(0, at), to }];
}
