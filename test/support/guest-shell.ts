import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Cleanup } from './real-cleanup.ts';
import type { Ran } from './real-command.ts';

/**
 * What drivers say to a guest: by SSH, as admin with the password admin, whatever its host key is (run-fleet-demand
 * §4.1).
 */
export class GuestShell {
  readonly #asker: string;

  constructor(cleanup: Cleanup) {
    this.#asker = path.join(cleanup.directory(), 'password');
    writeFileSync(this.#asker, '#!/bin/sh\necho admin\n');
    chmodSync(this.#asker, 0o700);
  }

  /** Writes to a login shell, as Orchard does, and gives what it answered. @param address where port 22 is. */
  async login(address: string, input: string): Promise<Ran> {
    return this.#ssh(address, [], input);
  }

  /** Runs one command, as Packer and the GitLab executor do. */
  async command(address: string, words: string): Promise<Ran> {
    return this.#ssh(address, [words], '');
  }

  async #ssh(address: string, words: readonly string[], input: string): Promise<Ran> {
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'ConnectTimeout=60', 'LogLevel=ERROR']
      .concat(['PreferredAuthentications=password', 'NumberOfPasswordPrompts=1'])
      .flatMap((option) => ['-o', option]);
    const child = spawn('ssh', ['-F', '/dev/null', ...options, `admin@${address}`, ...words], {
      env: { PATH: process.env['PATH'] ?? '', SSH_ASKPASS: this.#asker, SSH_ASKPASS_REQUIRE: 'force' },
      timeout: 60_000,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ exitCode: code ?? undefined, stdout, stderr }));
    });
  }
}
