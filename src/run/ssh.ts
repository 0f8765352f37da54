import { randomUUID } from 'node:crypto';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { writeNewFile } from '../fs/fsync.ts';
import { removeEntry } from '../fs/remove.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { findProgram } from '../fs/system-program.ts';
import { SshFile } from '../home/home-entry.ts';
import type { SshDoor } from '../network/own-address.ts';

/*
 * Logging in to guests by the OpenSSH client of this machine. Each VM has a file of known hosts of its own, in its
 * directory: a VM that is deleted and cloned again begins without one, and no other VM that once had its address is
 * confused with it.
 */

/** The name of the guest in the file of known hosts, whatever its address is now. */
const KEY_NAME = 'vm';

/** The variable that {@link ASKPASS} prints. In the environment, because arguments are seen by all users. */
const PASSWORD = 'TARTLET_SSH_PASSWORD';

/** What makers of images use (run-fleet-demand §0, 4). */
export const DEFAULT_LOGIN = { user: 'admin', password: 'admin' } as const;

/** Answers OpenSSH, which asks for passwords of keys and for yes and no as well: those are not ours to say. */
const ASKPASS = `#!/bin/sh
case "$1" in
*[Pp]assword*) printf '%s\\n' "$${PASSWORD}" ;;
*) exit 1 ;;
esac
`;

/** Options of OpenSSH that hold for a VM, each with its value (ssh_config(5)). */
type SshOptions = readonly (readonly [string, string])[];

/** @param knownHosts the path of the file, as OpenSSH reads it. */
export function sshOptions(knownHosts: string): SshOptions {
  return [
    ['HostKeyAlias', KEY_NAME],
    ['UserKnownHostsFile', knownHosts],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'accept-new'],
    ['CheckHostIP', 'no'],
    ['LogLevel', 'ERROR'],
  ];
}

/** How to log in. */
export interface SshLogin {
  readonly door: SshDoor;
  readonly user: string;
  readonly password: string;
  /** Whether a command gets a terminal; without a command it gets one wherever we have one. */
  readonly terminal: boolean;
  /** Words that the guest's shell gets, with a space between them. None: a shell. */
  readonly command: readonly string[];
  /** A file in the VM's directory, for what OpenSSH has to say itself. Default: stderr. */
  readonly log?: string;
}

/** Why OpenSSH could not log in, where that can be said for certain. */
export type LoginFailure =
  /** The guest has other host keys than it had when it was logged in to first. */
  | 'other-host-key'
  /** What took the connection ended it before it said that it is an SSH server: nothing was run. */
  | 'not-greeted';

/** What OpenSSH ends with where it is not the exit code of the command (ssh(1)). */
const SSH_FAILED = 255;

/**
 * Reads what OpenSSH has to say of a login that it ended itself.
 * @param words of OpenSSH, and not of the guest. @returns undefined for what may have begun, and all else.
 */
export function loginFailureOf(exitCode: number, words: string): LoginFailure | undefined {
  if (exitCode !== SSH_FAILED) return undefined;
  if (/^(?:Host key verification failed|@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED)/m.test(words))
    return 'other-host-key';
  return /^(?:kex|ssh)_exchange_identification:|^ssh: connect to host /m.test(words) ? 'not-greeted' : undefined;
}

/** Forgets which host keys a guest had. @param directory of the VM. @throws TartletError `DISK_*` */
export async function forgetHostKeys(directory: string): Promise<void> {
  await removeEntry(`${directory}/${SshFile.knownHosts}`);
}

/** A call of OpenSSH. */
export interface SshCall {
  readonly file: string;
  readonly argv: readonly string[];
  /** Where it works: its files are named from there. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Prepares a call of OpenSSH that asks the user nothing: the password is tried first, since servers take few tries, and
 * then the user's keys. Of the user's configuration it reads nothing, so that it is the same everywhere.
 *
 * @param directory of the VM.
 * @throws TartletError `HOST_LACKS` without OpenSSH, `DISK_*`
 */
export async function prepareSsh(
  directory: string,
  login: SshLogin,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<SshCall> {
  const file = await findSsh(environment['PATH'] ?? '');
  const askpass = await placeAskpass(directory);
  const options: SshOptions = [
    ...sshOptions(SshFile.knownHosts),
    ['PreferredAuthentications', 'password,keyboard-interactive,publickey'],
    ['NumberOfPasswordPrompts', '1'],
    ['ConnectTimeout', '30'],
  ];
  return {
    file,
    argv: [
      '-F',
      'none',
      ...options.flatMap(([name, value]) => ['-o', `${name}=${value}`]),
      '-p',
      String(login.door.port),
      '-l',
      login.user,
      ...(login.terminal ? ['-t'] : []),
      ...(login.log === undefined ? [] : ['-E', login.log]),
      '--',
      login.door.address,
      ...login.command,
    ],
    directory,
    environment: {
      ...environment,
      [PASSWORD]: login.password,
      SSH_ASKPASS: askpass,
      SSH_ASKPASS_REQUIRE: 'force',
      // OpenSSH before 8.4 knows the line above not, and asks by a program only where there is a display.
      DISPLAY: environment['DISPLAY'] ?? ':0',
    },
  };
}

/** @param searchPath the environment's `PATH`. @throws TartletError `HOST_LACKS` */
async function findSsh(searchPath: string): Promise<string> {
  const file = await findProgram(searchPath, 'ssh');
  if (file !== undefined) return file;
  throw new TartletError('HOST_LACKS', 'the OpenSSH client is not installed on this machine', {
    next: { kind: 'install-openssh' },
  });
}

const RUNNABLE = 0o700;

/** @returns the path of what answers OpenSSH, which stays in the VM's directory. */
async function placeAskpass(directory: string): Promise<string> {
  const file = `${directory}/${SshFile.askpass}`;
  if ((await readSmallFileIfThere(file).catch(() => undefined))?.toString() === ASKPASS) return file;
  await onDisk('write', file, async () => {
    // Renamed, because what is being written to cannot be started.
    const fresh = `${file}.${randomUUID()}`;
    await writeNewFile(fresh, ASKPASS, RUNNABLE);
    await moveEntry(fresh, file);
  });
  return file;
}

/** A word as the shell of a guest reads it again. */
export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
