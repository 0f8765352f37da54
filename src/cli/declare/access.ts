import type { LogsCommandOptions } from '../commands/running/logs.ts';
import type { SshCommandOptions } from '../commands/running/ssh.ts';
import type { SshConfigCommandOptions } from '../commands/running/ssh-config.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { UINT16_MAX, wholeNumber } from './option-types.ts';

/** Ways into guests that run here or by Tart. They are ours: Tart has none of these commands. */
export const ACCESS: CommandGroup = {
  title: 'Reaching guests:',
  commands: { ssh: declareSsh, 'ssh-config': declareSshConfig, logs: declareLogs },
};

/** Whom the makers' images know, with the same word as password (run-fleet-demand §0, 4). */
const USER = ['--user <user>', 'user in the guest', 'admin'] as const;
const WAIT = ['--wait <seconds>', 'how long to wait for the guest to answer', wholeNumber(0, UINT16_MAX), 0] as const;

/** Its options stand before the name: everything behind it belongs to the guest. */
function declareSsh({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('ssh')
    .description('Log in to a running VM by SSH, or run a command in it')
    .option(...USER)
    .option(...WAIT)
    .option('-t', 'Give the command a terminal')
    .option('--forget-host-key', 'Take the host keys that the guest has now, and forget those that it had')
    .argument('<name>')
    .argument('[command...]')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Nothing is asked: host keys are kept in the directory of the VM, and the password is "admin", as in the makers' images,
or what the variable TARTLET_SSH_PASSWORD says. Of your OpenSSH configuration nothing is read; for forwards and other
options of OpenSSH there is ssh-config. A command goes to the guest's shell, its words with a space between them.

Examples:
  ${terminal.programName} ssh ci
  ${terminal.programName} ssh --wait 60 ci -- uname -a
  ${terminal.programName} ssh -t ci -- 'cd /tmp && top'
  tar c src | ${terminal.programName} ssh ci -- tar x`,
    )
    .action(async (name: string, words: readonly string[], options: SshCommandOptions) => {
      const { runSsh } = await import('../commands/running/ssh.ts');
      setExitCode(await runSsh(terminal, name, words, options));
    });
}

function declareSshConfig({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('ssh-config')
    .description("Print a running VM's block for OpenSSH's configuration")
    .option(...USER)
    .option(...WAIT)
    .argument('<name>')
    .addHelpText(
      'after',
      `
Address and port are those of the VM now. The password is not in it: OpenSSH asks, or uses a key that the guest knows.

Example:
  ${terminal.programName} ssh-config ci >ci.conf && ssh -F ci.conf -L 8080:localhost:80 ci`,
    )
    .action(async (name: string, options: SshConfigCommandOptions) => {
      const { runSshConfig } = await import('../commands/running/ssh-config.ts');
      setExitCode(await runSshConfig(terminal, name, options));
    });
}

function declareLogs({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('logs')
    .description('Print what the guest of a VM wrote to its serial console')
    .option('-f, --follow', 'Go on with what comes, also of later runs, until interrupted')
    .option('-p, --previous', 'Of the run before the last one')
    .argument('<name>')
    .addHelpText(
      'after',
      `
Of a VM that runs, and of one that does not. Into pipes and files every byte goes as it is; on a terminal colours and
other sequences are left out. On a Mac there is none: Tart keeps no serial log.

Examples:
  ${terminal.programName} logs ci | tail -n 50
  ${terminal.programName} logs -f ci`,
    )
    .action(async (name: string, options: LogsCommandOptions) => {
      const { runLogs } = await import('../commands/running/logs.ts');
      setExitCode(await runLogs(terminal, name, options));
    });
}
