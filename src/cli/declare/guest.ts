import { type Command, Option } from 'commander';
import type { ExecCommandOptions } from '../commands/running/exec.ts';
import type { IpCommandOptions } from '../commands/running/ip.ts';
import type { StopCommandOptions } from '../commands/running/stop.ts';
import { excluding } from '../session/usage-error.ts';
import { LAZY_MODES } from '../session/lazy-settings.ts';
import type { RunFlags } from '../session/run-settings.ts';
import type { LifeFlags } from '../session/run-words.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { repeated, UINT16_MAX, wholeNumber, limitRateOption, wordOption } from './option-types.ts';

/** A week in seconds: as long as a VM is waited for to stop. */
const MAX_TIMEOUT = 7 * 24 * 60 * 60;

/**
 * Commands for VMs that run: by QEMU on Linux. On a Mac they hand over to Tart with all their words, also those that
 * only a newer Tart knows.
 */
export const GUEST: CommandGroup = {
  title: 'Running VMs (on a Mac, Tart does this):',
  commands: {
    run: declareRun,
    stop: declareStop,
    suspend: declareSuspend,
    ip: declareIp,
    exec: declareExec,
    screenshot: declareScreenshot,
  },
};

function lenientOnMac(command: Command, { terminal }: Declaration): Command {
  return terminal.platform === 'darwin' ? command.allowUnknownOption().allowExcessArguments() : command;
}

function declareRun(declaration: Declaration): void {
  const { program, terminal, setExitCode } = declaration;
  const command = program
    .command('run')
    .description('Run a VM')
    .argument('<name>')
    .argument('[command...]')
    .addHelpText(
      'after',
      `
Examples:
  ${terminal.programName} run --no-graphics ci
  ${terminal.programName} run --detach --wait-for ssh --timeout 120 ci
  ${terminal.programName} run --rm registry.example:8221/linux/debian:12 -- make test
  ${terminal.programName} run --lazy --name ci registry.example:8221/linux/debian:12

With --rm a command runs in the guest as soon as SSH or an agent answers: its streams and exit code are ours. SSH is
used as by the command ssh; with --wait-for agent the agent is. --wait-for ends with 4 when the guest does not come in
time, and says how far it came.`,
    );
  addDeviceOptions(command);
  addSharingOptions(command);
  addNetworkOptions(command);
  addLifeOptions(command);
  if (terminal.platform !== 'darwin') for (const word of ['graphics', 'audio']) refuseWithOpposite(command, word);
  lenientOnMac(command, declaration).action(
    async (name: string, words: readonly string[], flags: RunFlags & LifeFlags) => {
      const { runRun } = await import('../commands/running/run.ts');
      setExitCode(await runRun(terminal, name, words, flags));
    },
  );
}

/** Of an option and its opposite the last would win, in silence (tart-cli §1.3). */
function refuseWithOpposite(command: Command, word: string): void {
  const seen = new Set<string>();
  for (const option of [word, `no-${word}`]) {
    command.on(`option:${option}`, () => {
      if (seen.add(option).size > 1) throw excluding(`--${word}`, `--no-${word}`);
    });
  }
}

function addDeviceOptions(command: Command): void {
  command
    // Before its opposite: asked for is another thing than not refused.
    .option('--graphics', 'With a window, also together with VNC')
    .option('--no-graphics', 'Without a window')
    .option('--serial', 'Make a serial console and print its path')
    .option('--serial-path <path>', 'Attach this terminal device as the serial console')
    .option('--audio', 'With sound (not on a Mac, which has it by itself)')
    .option('--no-audio', 'Without sound')
    .option('--no-clipboard', 'Do not share the clipboard')
    .option('--recovery', 'Start the recovery system of macOS (on a Mac only)')
    .option('--vnc', 'Screen sharing of the guest instead of a window')
    .option('--vnc-experimental', 'A VNC server of the hypervisor instead of a window')
    .option('--nested', 'Let the guest run VMs itself')
    .option(
      '--root-disk-opts <options>',
      'Of the disk, by commas: ro, sync=none|fsync|full, caching=automatic|cached|uncached',
    )
    .option('--suspendable', 'Only with devices that can be suspended')
    .option('--capture-system-keys', 'Give system shortcuts to the guest from its window')
    .option('--no-trackpad', 'A mouse instead of a trackpad (on a Mac only)')
    .option('--no-pointer', 'Without a pointing device')
    .option('--no-keyboard', 'Without a keyboard')
    .option(
      '--provisioning-opts <options>',
      'First user of a macOS guest: fullName, username, password and so on (on a Mac only)',
    );
}

function addSharingOptions(command: Command): void {
  command
    .option(
      '--disk <path[:options]>',
      'Attach another disk, or a copy of a cached image; may be given several times',
      repeated,
    )
    .option('--rosetta <tag>', 'Share Rosetta with a Linux guest (on a Mac only)')
    .option('--dir <[name:]path[:options]>', 'Share a directory; may be given several times', repeated);
}

function addNetworkOptions(command: Command): void {
  command
    .option('--net-bridged <interface>', 'Bridge to this interface; may be given several times', repeated)
    .option('--net-softnet', 'Isolate the network by Softnet (on a Mac only)')
    .option('--net-softnet-allow <cidrs>', 'Networks that Softnet lets through (on a Mac only)')
    .option('--net-softnet-block <cidrs>', 'Networks that Softnet blocks (on a Mac only)')
    .option('--net-softnet-expose <ports>', 'Ports of the guest that Softnet exposes, like 2222:22 (on a Mac only)')
    .option('--net-softnet-control-fd <fd>', 'Descriptor of the control socket of Softnet (on a Mac only)')
    .option('--net-host', 'A network between host and guests only')
    .option('--net-user', 'No bridge, also where one is set up (not on a Mac)')
    .option(
      '--publish <[address:]host:guest[/udp]>',
      'Lead a port of this host to one of the guest (not on a Mac)',
      repeated,
    )
    .option('--allow-emulation', 'Run guests of another architecture, many times slower (not on a Mac)');
}

function addLifeOptions(command: Command): void {
  command
    .option('--rm', 'Run a clone of an image, or of a VM, and delete it when it has ended')
    .addOption(wordOption('--lazy [when]', 'Of an image: begin before its disk is here (Linux)', LAZY_MODES))
    .option('--name <name>', 'With --lazy: of the VM that is made of the image and stays (default: from the image)')
    .option('--detach', 'Run it in the background: prints the name when it runs; output goes to run.log of the VM')
    .option('--wait-for <condition>', 'Wait until the guest has an ip, answers by ssh or agent, or at tcp:PORT')
    .option('--timeout <seconds>', 'How long --wait-for waits (default: 300)', wholeNumber(1, MAX_TIMEOUT))
    .addOption(limitRateOption());
}

function declareStop(declaration: Declaration): void {
  const { program, terminal, setExitCode } = declaration;
  const command = program
    .command('stop')
    .description('Stop a VM, or drop its saved state')
    .argument('<name>')
    .option('-t, --timeout <seconds>', 'How long to wait before the VM is killed', wholeNumber(0, MAX_TIMEOUT), 30)
    .addHelpText('after', `\nExample:\n  ${terminal.programName} stop --timeout 60 ci`);
  lenientOnMac(command, declaration).action(async (name: string, options: StopCommandOptions) => {
    const { runStop } = await import('../commands/running/stop.ts');
    setExitCode(await runStop(terminal, name, options));
  });
}

function declareSuspend(declaration: Declaration): void {
  const { program, terminal, setExitCode } = declaration;
  const command = program
    .command('suspend')
    .description('Suspend a running VM to disk')
    .argument('<name>')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} suspend ci`);
  lenientOnMac(command, declaration).action(async (name: string) => {
    const { runSuspend } = await import('../commands/running/suspend.ts');
    setExitCode(await runSuspend(terminal, name));
  });
}

function declareIp(declaration: Declaration): void {
  const { program, terminal, setExitCode } = declaration;
  const command = program
    .command('ip')
    .description("Print a VM's IP address")
    .argument('<name>')
    .option('--wait <seconds>', 'How long to wait for an address', wholeNumber(0, UINT16_MAX), 0)
    .addOption(
      new Option('--resolver <resolver>', 'Where to look for it').choices(['dhcp', 'arp', 'agent']).default('dhcp'),
    )
    .addHelpText('after', `\nExample:\n  ${terminal.programName} ip --wait 60 ci`);
  lenientOnMac(command, declaration).action(async (name: string, options: IpCommandOptions) => {
    const { runIp } = await import('../commands/running/ip.ts');
    setExitCode(await runIp(terminal, name, options));
  });
}

function declareScreenshot({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('screenshot')
    .description("Take a picture of a running VM's screen (not on a Mac)")
    .argument('<name>')
    .argument('<file>', 'where to write it, a PNG; - for stdout')
    .addHelpText(
      'after',
      `
Works whether or not the VM has a window or VNC. A file that is there is replaced, in one step.

Examples:
  ${terminal.programName} screenshot ci screen.png
  ${terminal.programName} screenshot ci - | magick - -resize 50% small.jpg`,
    )
    .action(async (name: string, file: string) => {
      const { runScreenshot } = await import('../commands/running/screenshot.ts');
      setExitCode(await runScreenshot(terminal, name, file));
    });
}

/**
 * Its options stand before the name: everything behind it belongs to the guest, `--help` and `--` too (tart-cli §1.10).
 */
function declareExec(declaration: Declaration): void {
  const { program, terminal, setExitCode } = declaration;
  program
    .command('exec')
    .description('Run a command in a running VM, by the agent in its guest')
    .option('-i', 'Send our standard input to the command')
    .option('-t', 'Give the command a terminal')
    .argument('<name>')
    .argument('<command...>')
    .passThroughOptions()
    .addHelpText(
      'after',
      `\nExamples:\n  ${terminal.programName} exec ci uname -a\n  ${terminal.programName} exec -i ci tar ` +
        `-x <files.tar\n  ${terminal.programName} exec -it ci bash -l`,
    )
    .action(async (name: string, words: readonly string[], options: ExecCommandOptions) => {
      const { runExec } = await import('../commands/running/exec.ts');
      setExitCode(await runExec(terminal, name, words, options));
    });
}
