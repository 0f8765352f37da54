import type { ServeCommandOptions } from '../commands/serve.ts';
import type { Shell } from '../completion/script.ts';
import { declareObserving } from './observing.ts';
import { declareProxying } from './proxying.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { declarePeer } from './peer.ts';
import { declareNetwork } from './network.ts';

/** Tartlet's own commands. */
export const SERVICES: CommandGroup = {
  title: 'Tartlet:',
  commands: {
    network: declareNetwork,
    serve: declareServe,
    peer: declarePeer,
    demo: declareDemo,
    completion: declareCompletion,
    __complete: declareComplete,
  },
};

function declareServe({ program, terminal, setExitCode }: Declaration): void {
  const command = program
    .command('serve')
    .description('Run a registry on this machine')
    .option('--listen <address>', 'Host:port to listen on; a port alone is one of this machine', '127.0.0.1:8221')
    .requiredOption('--data <directory>', 'where the registry keeps its content')
    .option('--htpasswd <file>', 'Ask for a user and a password; bcrypt entries as `htpasswd -B` writes them')
    .option('--read-only-users <file>', 'Users who may pull and not push, in a file of the same kind; needs --htpasswd')
    .option('--anonymous-read', 'Let everybody pull; only pushing needs a password or a token')
    .option('--token-realm <url>', 'Ask for tokens of this token service; needs the three options below')
    .option('--token-service <name>', 'Our name at the token service')
    .option('--token-issuer <name>', 'Who issues the tokens')
    .option('--token-keys <file>', 'Public keys or certificates that tokens are signed with (PEM)')
    .option('--tls-cert <file>', 'Speak TLS with this certificate (PEM)')
    .option('--tls-key <file>', 'The key of the certificate (PEM)')
    .option(
      '--host-name <names...>',
      'Names by which clients may call this registry, besides the address it listens on',
    )
    .option('--allow-breaking-deletes', 'Let clients delete what the image of a tag still needs')
    .option('--open', 'Listen on other addresses than loopback without a password or without TLS');
  declareProxying(command);
  declareObserving(command)
    .addHelpText(
      'after',
      `
Without --htpasswd or tokens everybody who can reach the address can read and write. Other addresses than loopback need
them and TLS, or --open. Users and certificates are read again when their files change, and on SIGHUP.

With --proxy it is a cache of other registries: clients read there as they would themselves. What takes a login there is
given to that login alone: me@ghcr.io is the user "me" of ghcr.io.

Examples:
  ${terminal.programName} serve --data ~/registry
  ${terminal.programName} serve --data /srv/registry --listen 0.0.0.0:8221 \\
    --htpasswd users --read-only-users runners \\
    --tls-cert cert.pem --tls-key key.pem
  ${terminal.programName} serve --data /srv/cache --listen 0.0.0.0:8221 --open \\
    --proxy ghcr.io --proxy registry.example:8221`,
    )
    .action(async (options: ServeCommandOptions) => {
      const { runServe } = await import('../commands/serve.ts');
      setExitCode(await runServe(terminal, options));
    });
}

function declareDemo({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('demo')
    .description('Show the main job end to end, in a temporary directory')
    .option('--lazy', 'Show instead what it is worth to begin before an image is here (Linux, QEMU)')
    .addHelpText('after', `\nExamples:\n  ${terminal.programName} demo\n  ${terminal.programName} demo --lazy`)
    .action(async ({ lazy }: { readonly lazy?: true }) => {
      if (lazy === true) {
        const { runLazyDemo } = await import('../demo/lazy-demo.ts');
        setExitCode(await runLazyDemo(terminal));
        return;
      }
      const { runDemo } = await import('../commands/demo.ts');
      setExitCode(await runDemo(terminal));
    });
}

function declareCompletion({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('completion')
    .description('Print a completion script for your shell')
    .addArgument(program.createArgument('<shell>', 'your shell').choices(['bash', 'zsh', 'fish'] as const))
    .addHelpText(
      'after',
      `
Examples:
  source <(${terminal.programName} completion bash)
  ${terminal.programName} completion zsh > "\${fpath[1]}/_${terminal.programName}"
  ${terminal.programName} completion fish > ~/.config/fish/completions/${terminal.programName}.fish`,
    )
    .action(async (shell: Shell) => {
      const { runCompletion } = await import('../completion/completion.ts');
      setExitCode(await runCompletion(terminal, shell));
    });
}

function declareComplete({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const { runComplete } = await import('../completion/complete.ts');
      setExitCode(await runComplete(terminal, program, words));
    });
}
