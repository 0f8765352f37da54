import type { LoginCommandOptions } from '../commands/login.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { debugOption } from './option-types.ts';

/** Commands for the credentials of registries. */
export const ACCOUNTS: CommandGroup = {
  title: 'Accounts:',
  commands: { login: declareLogin, logout: declareLogout },
};

function declareLogin({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('login')
    .description('Log in to a registry')
    .argument('<host>', 'host[:port], as in the names of its images')
    .option('--username <user>', 'Instead of a prompt; needs --password-stdin')
    .option('--password-stdin', 'Read the password from stdin; needs --username')
    .option('--insecure', 'Use plain HTTP instead of HTTPS')
    .option('--no-validate', 'Store without asking the registry')
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
A login belongs to one host and port: registry.example:8221 is another registry than registry.example.
It is kept by the credential helper that Docker's configuration names, else in the macOS Keychain, else in Docker's
config.json, readable by you only. The helper and the file serve Docker, Podman and skopeo as well.

Examples:
  ${terminal.programName} login registry.example:8221
  ${terminal.programName} login --username ci --password-stdin registry.example:8221 < token.txt`,
    )
    .action(async (host: string, options: LoginCommandOptions) => {
      const { runLogin } = await import('../commands/login.ts');
      setExitCode(await runLogin(terminal, host, options));
    });
}

function declareLogout({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('logout')
    .description('Log out from a registry')
    .argument('<host>', 'host[:port], as for login')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} logout registry.example:8221`)
    .action(async (host: string) => {
      const { runLogout } = await import('../commands/logout.ts');
      setExitCode(await runLogout(terminal, host));
    });
}
