import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { isTartletError, TartletError } from '../../src/errors.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { lockFile } from '../../src/fs/lock/lock.ts';
import type { CredentialNote } from '../../src/credentials/note.ts';
import type { CredentialStoreSettings } from '../../src/credentials/settings.ts';

/** A user of their own, in a temporary directory that goes when the test ends. */
export class World {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'tartlet-credentials-'));
  readonly userDirectory = path.join(this.directory, 'user');
  readonly bin = path.join(this.directory, 'bin');
  readonly notes: CredentialNote[] = [];
  readonly environment: Record<string, string>;

  constructor() {
    mkdirSync(this.userDirectory);
    mkdirSync(this.bin);
    this.environment = { PATH: `${this.bin}:/usr/bin:/bin`, XDG_RUNTIME_DIR: path.join(this.directory, 'run') };
    onTestFinished(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  settings(more: Partial<CredentialStoreSettings> = {}): CredentialStoreSettings {
    return {
      environment: this.environment,
      userDirectory: this.userDirectory,
      platform: 'linux',
      uid: process.getuid?.(),
      lockFile,
      onNote: (note) => this.notes.push(note),
      ...more,
    };
  }

  get dockerFile(): string {
    return path.join(this.userDirectory, '.docker/config.json');
  }

  get podmanFile(): string {
    return path.join(this.directory, 'run/containers/auth.json');
  }

  write(file: string, content: unknown, mode = 0o600): string {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, undefined, '\t'));
    chmodSync(file, mode);
    return file;
  }

  /** Puts a program into PATH. */
  program(name: string, script: string): string {
    return this.write(path.join(this.bin, name), script, 0o755);
  }

  /** A helper in shell: `body` finds the action in $1 and the first line of its input in $server. */
  helper(suffix: string, body: string): void {
    this.program(`docker-credential-${suffix}`, `#!/bin/sh\nIFS= read -r server\n${body}\n`);
  }

  /** A helper that keeps its secrets in `<bin>/<suffix>.json` and notes every call in `<bin>/<suffix>.log`. */
  keepingHelper(suffix: string, secrets: Readonly<Record<string, readonly [string, string]>> = {}): string {
    const file = this.write(path.join(this.bin, `${suffix}.json`), secrets);
    this.program(
      `docker-credential-${suffix}`,
      `#!${process.execPath}
const fs = require('node:fs');
const [file, log] = ${JSON.stringify([file, path.join(this.bin, `${suffix}.log`)])};
const action = process.argv[2];
const input = fs.readFileSync(0, 'utf8');
const secrets = JSON.parse(fs.readFileSync(file, 'utf8'));
fs.appendFileSync(log, action + ' ' + input.trim() + '\\n');
const known = secrets[input.trim()];
if (action === 'store') {
  const { ServerURL, Username, Secret } = JSON.parse(input);
  secrets[ServerURL] = [Username, Secret];
  fs.writeFileSync(file, JSON.stringify(secrets));
} else if (action === 'list') {
  console.log(JSON.stringify(Object.fromEntries(Object.entries(secrets).map(([server, [user]]) => [server, user]))));
} else if (known === undefined) {
  console.log('credentials not found in native keychain');
  process.exit(1);
} else if (action === 'get') {
  console.log(JSON.stringify({ ServerURL: input.trim(), Username: known[0], Secret: known[1] }));
} else {
  delete secrets[input.trim()];
  fs.writeFileSync(file, JSON.stringify(secrets));
}
`,
    );
    return file;
  }
}

export function address(text: string): RegistryAddress {
  return RegistryAddress.parse(text);
}

/** The `auth` field of an entry. */
export function basic(username: string, password: string): { auth: string } {
  return { auth: Buffer.from(`${username}:${password}`, 'utf8').toString('base64') };
}

/** The error that some work ends with; fails when it does not. */
export async function failure(work: Promise<unknown>): Promise<TartletError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome && isTartletError(outcome.error)) return outcome.error;
  throw new Error(`a TartletError was expected, not ${JSON.stringify(outcome)}`);
}

/** Everything of an error that could end up in a log: text, facts, stack, and those of its causes. */
export function everythingIn(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error) ?? String(error);
  const facts = error instanceof TartletError ? JSON.stringify(error.facts) : '';
  const cause = error.cause === undefined ? '' : everythingIn(error.cause);
  return [error.message, error.stack ?? '', facts, cause].join('\n');
}
