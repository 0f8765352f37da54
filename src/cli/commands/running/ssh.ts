import { TartletError } from '../../../errors.ts';
import { findTart } from '../../../hypervisor/tart/tart-program.ts';
import { LocalName } from '../../../names/local-name.ts';
import { DEFAULT_LOGIN, prepareSsh } from '../../../run/ssh.ts';
import { sshDoorOf } from '../../../run/ssh-door.ts';
import { runAttached } from '../../session/attached-program.ts';
import { withSession } from '../../session/session.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface SshCommandOptions {
  readonly user: string;
  /** Seconds. */
  readonly wait: number;
  /** The command gets a terminal. */
  readonly t?: true;
}

/**
 * The password of the user in the guest, where it is not that of the makers' images. A variable, since arguments are
 * seen by all users.
 */
export const PASSWORD_VARIABLE = 'TARTLET_SSH_PASSWORD';

/** OpenSSH with our streams and our terminal; its exit code is ours. */
export async function runSsh(
  terminal: Terminal,
  text: string,
  words: readonly string[],
  options: SshCommandOptions,
): Promise<number> {
  const user = userName(options.user);
  const call = await withSession(
    terminal,
    async (session) => {
      const name = LocalName.ofExisting(text);
      const tart = await findTart(terminal);
      const door = await sshDoorOf(session, name, { waitMs: options.wait * 1000, tart });
      return prepareSsh(
        session.vms.pathOf(name),
        {
          door,
          user,
          password: terminal.environment[PASSWORD_VARIABLE] ?? DEFAULT_LOGIN.password,
          terminal: options.t === true,
          command: words[0] === '--' ? words.slice(1) : words,
        },
        terminal.environment,
      );
    },
    { cache: 'untouched' },
  );
  releaseNotes(terminal.stderr);
  return runAttached(terminal, call);
}

/** @throws TartletError `USAGE` for what OpenSSH would not take, or read as something else. */
export function userName(text: string): string {
  if (/^[\w.@+][\w.@+-]*$/.test(text)) return text;
  throw new TartletError('USAGE', `"${text}" cannot be the name of a user in a guest`, {
    next: { kind: 'in-words', words: 'write it with letters, digits and the characters . _ @ + -' },
  });
}
