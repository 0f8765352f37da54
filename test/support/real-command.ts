import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CANARY_ENVIRONMENT, CANARY_LOGINS, secretsIn } from './canary.ts';
import type { Cleanup } from './real-cleanup.ts';

/** The command as users start it: built, in a process of its own. */
export const COMMAND = path.resolve(import.meta.dirname, '../../bin/tartlet');
/** Nothing that these tests do takes a fraction of this, in milliseconds. */
const TOO_LONG_MS = 120_000;

/** How a command ended. */
export interface Ran {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Login {
  /** Exactly the key of `auths`: `host:port`. */
  readonly registry: string;
  readonly user: string;
  readonly password: string;
}

export interface WorkplaceOptions {
  /** A home that is there already, of another user. */
  readonly home?: string;
  /** The CA to trust, a PEM file. */
  readonly authority?: string;
  readonly login?: Login;
  /**
   * A user who never logged in anywhere: no file of logins, and none of the secrets that are planted with everybody
   * else.
   */
  readonly isFresh?: true;
}

/**
 * A user of their own: home directory, TART_HOME, Docker configuration, secrets that nobody may tell, and no other
 * variables than these.
 */
export class Workplace {
  /** What this user has: their home directory, TART_HOME and settings lie in it. */
  readonly directory: string;
  /** TART_HOME. It does not exist before a command makes it. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string>>;
  /** After so long a command is ended, in milliseconds. */
  readonly withinMs: number = TOO_LONG_MS;

  constructor(cleanup: Cleanup, options: WorkplaceOptions = {}) {
    this.directory = cleanup.directory();
    const at = (name: string): string => path.join(this.directory, name);
    for (const name of ['user', 'docker', 'run', 'config']) mkdirSync(at(name));
    this.home = options.home ?? at('home');
    this.environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: at('user'),
      TART_HOME: this.home,
      DOCKER_CONFIG: at('docker'),
      XDG_RUNTIME_DIR: at('run'),
      XDG_CONFIG_HOME: at('config'),
      NO_COLOR: '1',
      // Each is in a home of its own, where nothing could be reused.
      NODE_DISABLE_COMPILE_CACHE: '1',
      ...(options.isFresh === true ? {} : CANARY_ENVIRONMENT),
      ...(options.authority === undefined ? {} : { SSL_CERT_FILE: options.authority }),
    };
    if (options.isFresh === true) return;
    const login = options.login === undefined ? {} : entryOf(options.login);
    writeFileSync(at('docker/config.json'), JSON.stringify({ auths: { ...CANARY_LOGINS, ...login } }), { mode: 0o600 });
  }

  /** Runs a command to its end. */
  async run(...args: readonly string[]): Promise<Ran> {
    return this.start(...args).ended;
  }

  /** Runs a command and leaves it running. */
  start(...args: readonly string[]): Running {
    return new Running(process.execPath, [COMMAND, ...args], this.environment, this.withinMs);
  }

  /**
   * Runs a shell script with `$TARTLET` as the command.
   * @param starter a program that starts the shell, with its options.
   */
  async shell(script: string, starter: readonly string[] = []): Promise<Ran> {
    const [program, ...args] = [...starter, 'bash', '-c', script];
    return new Running(program, args, { ...this.environment, TARTLET: `${process.execPath} ${COMMAND}` }).ended;
  }

  /** The names that `list` shows, in its order. */
  async names(): Promise<string[]> {
    const { stdout } = await this.run('list', '-q');
    return stdout.split('\n').filter((line) => line !== '');
  }

  vmDirectory(name: string): string {
    return path.join(this.home, 'vms', name);
  }

  /**
   * Everything in the home: kind, size, time of change and target of symlinks. Two equal answers: nothing was changed.
   */
  snapshot(): string[] {
    return entriesBelow(this.home).map((file) => {
      const stats = lstatSync(file, { bigint: true });
      const what = stats.isSymbolicLink() ? `-> ${readlinkSync(file)}` : `${stats.mode} ${stats.size} ${stats.mtimeNs}`;
      return `${path.relative(this.home, file)} ${what}`;
    });
  }

  /** Files and symlinks that are not work in progress: what users and other tools see. */
  visibleFiles(): string[] {
    return entriesBelow(this.home)
      .filter((file) => !lstatSync(file).isDirectory())
      .map((file) => path.relative(this.home, file))
      .filter((file) => !file.startsWith('cache/.staging/') && !file.startsWith('cache/.locks/'));
  }
}

function entryOf({ registry, user, password }: Login): Readonly<Record<string, object>> {
  return { [registry]: { auth: Buffer.from(`${user}:${password}`).toString('base64') } };
}

/** A command under way. */
export class Running {
  readonly child: ChildProcess;
  /** How it ended. Rejects when it told a secret. */
  readonly ended: Promise<Ran>;
  stdout = '';
  stderr = '';

  constructor(
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
    withinMs = TOO_LONG_MS,
  ) {
    this.child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], timeout: withinMs });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code) => {
        const told = secretsIn(`${this.stdout}${this.stderr}`, environment);
        if (told.length > 0)
          reject(new Error(`${args.join(' ')} told ${told.join(', ')}:\n${this.stdout}${this.stderr}`));
        else resolve({ exitCode: code ?? undefined, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

function entriesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .map((entry) => path.join(directory, entry))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** SHA-256 of a file, in hex. */
async function digestOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file) as AsyncIterable<Uint8Array>) hash.update(piece);
  return hash.digest('hex');
}

/** Digests of the three files that make a VM. */
export async function digestsOfVm(directory: string): Promise<Record<string, string>> {
  const files = ['config.json', 'disk.img', 'nvram.bin'];
  const digests = await Promise.all(files.map(async (file) => digestOfFile(path.join(directory, file))));
  return Object.fromEntries(files.map((file, index) => [file, digests[index] ?? '']));
}
