import { TartletError } from '../../../errors.ts';
import { findTart } from '../../../hypervisor/tart/tart-program.ts';
import { SshFile } from '../../../home/home-entry.ts';
import { LocalName } from '../../../names/local-name.ts';
import { sshOptions } from '../../../run/ssh.ts';
import { sshDoorOf } from '../../../run/ssh-door.ts';
import { withSession } from '../../session/session.ts';
import { printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';
import { userName } from './ssh.ts';

export interface SshConfigCommandOptions {
  readonly user: string;
  /** Seconds. */
  readonly wait: number;
}

/** A block for `~/.ssh/config` (ssh_config(5)). Passwords have no place there. */
export async function runSshConfig(
  terminal: Terminal,
  text: string,
  options: SshConfigCommandOptions,
): Promise<number> {
  const user = userName(options.user);
  return withSession(
    terminal,
    async (session) => {
      const name = LocalName.ofExisting(text);
      const host = hostPattern(name);
      const tart = await findTart(terminal);
      const door = await sshDoorOf(session, name, { waitMs: options.wait * 1000, tart });
      const settings = [
        ['HostName', door.address],
        ['Port', String(door.port)],
        ['User', user],
        ...sshOptions(quotedPath(`${session.vms.pathOf(name)}/${SshFile.knownHosts}`)),
      ];
      terminal.stdout.write(printableLines([`Host ${host}`, ...settings.map((words) => `  ${words.join(' ')}`)]));
      return 0;
    },
    { cache: 'untouched' },
  );
}

/** Names of VMs may have characters that mean something else there. */
function hostPattern({ text }: LocalName): string {
  if (/^[\w.:@%+=,-]+$/.test(text)) return text;
  throw new TartletError('USAGE', `the name "${text}" has characters that OpenSSH's configuration has other uses for`, {
    subject: text,
    next: { kind: 'in-words', words: 'rename the VM, or log in with the command ssh' },
  });
}

/** OpenSSH replaces what stands behind a percent sign, and variables. */
function quotedPath(file: string): string {
  if (!/["\\]|\$\{/.test(file)) return `"${file.replaceAll('%', '%%')}"`;
  throw new TartletError('USAGE', `${file} has characters that OpenSSH's configuration has other uses for`, {
    subject: file,
    next: { kind: 'in-words', words: 'log in with the command ssh' },
  });
}
