import { spawn } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import type { Cleanup } from './real-cleanup.ts';
import { COMMAND, type Ran, Running, Workplace, type WorkplaceOptions } from './real-command.ts';

/** Nothing here takes a fraction of this, in milliseconds. */
const TOO_LONG_MS = 120_000;

/**
 * A user whose `PATH` has us under the names `tart` and `vetu`, in the home of Tart's integration tests (tart-cli
 * §6.1): its `cache` is a symlink to `~/.tart/cache`, which nobody has made yet.
 */
export class TartInPath extends Workplace {
  /** Its environment, with the `PATH` that has `tart`. */
  readonly variables: Readonly<Record<string, string>>;

  constructor(cleanup: Cleanup, options: WorkplaceOptions = {}, more: Readonly<Record<string, string>> = {}) {
    const home = cleanup.directory();
    super(cleanup, { ...options, home });
    const bin = cleanup.directory();
    symlinkSync(COMMAND, path.join(bin, 'tart'));
    // A link to a symlink, as where a package is linked first.
    symlinkSync('tart', path.join(bin, 'vetu'));
    symlinkSync(process.execPath, path.join(bin, 'node'));
    symlinkSync(path.join(this.environment['HOME'] ?? '', '.tart/cache'), path.join(home, 'cache'));
    this.variables = { ...this.environment, PATH: `${bin}:${this.environment['PATH']}`, ...more };
  }

  /** Runs `tart`, looked up as drivers do; both streams must be UTF-8. */
  async tart(...args: readonly string[]): Promise<Ran> {
    return this.call('tart', ...args);
  }

  /** Runs us by one of our names, looked up as drivers do; both streams must be UTF-8. */
  async call(name: 'tart' | 'vetu', ...args: readonly string[]): Promise<Ran> {
    const child = spawn(name, args, {
      env: this.variables,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TOO_LONG_MS,
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    const text = (pieces: readonly Buffer[]): string =>
      new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
    return { exitCode, stdout: text(out), stderr: text(err) };
  }

  /** Runs `tart`, which must succeed, and gives what it printed. */
  async succeed(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.tart(...args);
    expect(exitCode, `tart ${args.join(' ')}\n${stderr}`).toBe(0);
    return stdout;
  }

  /** Runs `tart` and leaves it running. */
  startTart(...args: readonly string[]): Running {
    return this.startCalled('tart', ...args);
  }

  /** Runs us by one of our names and leaves us running. */
  startCalled(name: 'tart' | 'vetu', ...args: readonly string[]): Running {
    return new Running(name, args, this.variables);
  }

  /** The rows of `list --format json`, keys in lower case: drivers match them in any case. */
  async rows(): Promise<Record<string, unknown>[]> {
    const rows = JSON.parse(await this.succeed('list', '--format', 'json')) as Record<string, unknown>[];
    return rows.map(lowerCaseKeys);
  }
}

export function lowerCaseKeys(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]));
}
