import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError, unreachable } from '../../../errors.ts';
import { removeEntry } from '../../../fs/remove.ts';
import { readSmallFileIfThere } from '../../../fs/small-file.ts';
import { findTart } from '../../../hypervisor/tart/tart-program.ts';
import { SshFile } from '../../../home/home-entry.ts';
import { LocalName } from '../../../names/local-name.ts';
import { DEFAULT_LOGIN, forgetHostKeys, type LoginFailure, loginFailureOf, prepareSsh } from '../../../run/ssh.ts';
import { sshDoorOf } from '../../../run/ssh-door.ts';
import { runAttached } from '../../session/attached-program.ts';
import { withSession } from '../../session/session.ts';
import { renderError } from '../../render/error.ts';
import { releaseNotes, writeError } from '../../terminal/message-stream.ts';
import { printableByLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface SshCommandOptions {
  readonly user: string;
  /** Seconds. */
  readonly wait: number;
  /** The command gets a terminal. */
  readonly t?: true;
  /** The guest may have new host keys. */
  readonly forgetHostKey?: true;
}

/**
 * The password of the user in the guest, where it is not that of the makers' images. A variable, since arguments are
 * seen by all users.
 */
export const PASSWORD_VARIABLE = 'TARTLET_SSH_PASSWORD';

/** Between two tries to log in, in milliseconds. */
const TRY_EVERY_MS = 1000;

/** OpenSSH with our streams and our terminal; its exit code is ours. */
export async function runSsh(
  terminal: Terminal,
  text: string,
  words: readonly string[],
  options: SshCommandOptions,
): Promise<number> {
  const user = userName(options.user);
  const name = LocalName.ofExisting(text);
  const before = terminal.now().getTime() + options.wait * 1000;
  if (options.forgetHostKey === true) {
    await withSession(
      terminal,
      async ({ vms }) => {
        await vms.require(name);
        await forgetHostKeys(vms.pathOf(name));
      },
      { cache: 'untouched' },
    );
  }
  for (;;) {
    const left = before - terminal.now().getTime();
    const tried = await logIn(terminal, name, { ...options, user, words, waitMs: Math.max(0, left) });
    switch (tried.failure) {
      case undefined:
        terminal.stderr.write(printableByLine(tried.words));
        return tried.exitCode;
      case 'other-host-key':
        writeError(
          terminal.stderr,
          renderError(otherHostKey(name), terminal.stderr, terminal.environment, terminal.programName),
        );
        return tried.exitCode;
      case 'not-greeted':
        // A server that begins anew, as cloud-init lets it, is there again in a moment.
        if (terminal.now().getTime() + TRY_EVERY_MS < before) {
          await delay(TRY_EVERY_MS, undefined, { signal: terminal.signal });
          break;
        }
        terminal.stderr.write(printableByLine(tried.words));
        return tried.exitCode;
      default:
        return unreachable(tried.failure);
    }
  }
}

/** One try. @returns the exit code of OpenSSH, and what it had to say itself. */
async function logIn(
  terminal: Terminal,
  name: LocalName,
  login: SshCommandOptions & { readonly user: string; readonly words: readonly string[]; readonly waitMs: number },
): Promise<{ readonly exitCode: number; readonly words: string; readonly failure: LoginFailure | undefined }> {
  const { words: command } = login;
  const logName = `${SshFile.log}.${randomUUID()}`;
  const call = await withSession(
    terminal,
    async (session) => {
      const door = await sshDoorOf(session, name, { waitMs: login.waitMs, tart: await findTart(terminal) });
      return prepareSsh(
        session.vms.pathOf(name),
        {
          door,
          user: login.user,
          password: terminal.environment[PASSWORD_VARIABLE] ?? DEFAULT_LOGIN.password,
          terminal: login.t === true,
          command: command[0] === '--' ? command.slice(1) : command,
          log: logName,
        },
        terminal.environment,
      );
    },
    { cache: 'untouched' },
  );
  const log = `${call.directory}/${logName}`;
  releaseNotes(terminal.stderr);
  try {
    const exitCode = await runAttached(terminal, call);
    const words = (await readSmallFileIfThere(log))?.toString('utf8') ?? '';
    return { exitCode, words, failure: loginFailureOf(exitCode, words) };
  } finally {
    await removeEntry(log);
  }
}

function otherHostKey({ text }: LocalName): TartletError {
  return new TartletError('GUEST_UNREACHABLE', `the guest of the VM "${text}" has other host keys than it had before`, {
    subject: text,
    next: {
      kind: 'in-words',
      words: `if it made itself new ones, as some do at each start: tartlet ssh --forget-host-key ${text}`,
    },
  });
}

/** @throws TartletError `USAGE` for what OpenSSH would not take, or read as something else. */
export function userName(text: string): string {
  if (/^[\w.@+][\w.@+-]*$/.test(text)) return text;
  throw new TartletError('USAGE', `"${text}" cannot be the name of a user in a guest`, {
    next: { kind: 'in-words', words: 'write it with letters, digits and the characters . _ @ + -' },
  });
}
