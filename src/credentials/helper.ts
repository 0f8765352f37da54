import { TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { isJsonObject, type JsonObject, parseJson } from '../json/foreign.ts';
import { shownName } from '../names/malformed.ts';
import { pairOf, type Secret, secretOf } from './auth-entry.ts';
import { parseAuthKey, sameRegistry } from './auth-key.ts';
import { findHelper, type ProgramEnd, runProgram } from './program.ts';
import type { CredentialSettings } from './settings.ts';

/**
 * What may follow `docker-credential-`: nothing that leads to another directory or would be an option (reliability
 * S33).
 */
const SUFFIX = /^[A-Za-z0-9._-]{1,100}$/;
/**
 * How helpers say that they have no login: the protocol's sentence, with and without more words (Podman's and
 * hand-written ones), and that of macOS. "not found" alone is not enough: that is what shells say of a missing program.
 */
const NOT_FOUND = new RegExp(
  [
    String.raw`^(?:error:? )?(?:(?:credentials?|login|entry) not found\b.*`,
    String.raw`no (?:credentials?|login|entry)(?: (?:found|stored|available|for)\b.*)?`,
    String.raw`the specified item could not be found in the keychain)\.?$`,
  ].join('|'),
  'i',
);

type Action = 'get' | 'store' | 'erase' | 'list';

/**
 * A program that keeps secrets for Docker and its relatives (docker-credential-helpers protocol): the action is its
 * argument, one text its input, JSON its answer. Whatever goes wrong is an error and never "no credential" (reliability
 * S32).
 */
export class CredentialHelper {
  /** `docker-credential-pass` */
  readonly program: string;
  /** Where it was configured, in words. */
  readonly #from: string;
  readonly #settings: CredentialSettings;

  private constructor(program: string, from: string, settings: CredentialSettings) {
    this.program = program;
    this.#from = from;
    this.#settings = settings;
  }

  /**
   * @param suffix what a file says behind `credsStore` or in `credHelpers`.
   * @param from where it says that, for messages.
   * @throws TartletError `CONFIG_INVALID` when that cannot be the name of a program.
   */
  static named(suffix: string, from: string, settings: CredentialSettings): CredentialHelper {
    if (SUFFIX.test(suffix)) return new CredentialHelper(`docker-credential-${suffix}`, from, settings);
    throw new TartletError(
      'CONFIG_INVALID',
      `${from} names a credential helper "${shownName(suffix)}", which is no program name`,
      {
        subject: from,
        expected: 'what follows docker-credential- in the name of a program: letters, digits, ".", "_", "-"',
        next: { kind: 'correct', what: from },
      },
    );
  }

  /**
   * @param server as the secret was stored: see `serverSpellings`.
   * @returns undefined when the helper says that it has none.
   * @throws TartletError `AUTH_HELPER`
   */
  async get(server: string, signal?: AbortSignal): Promise<Secret | undefined> {
    const end = await this.#run('get', `${server}\n`, signal);
    if (end.kind !== 'exited') throw this.#failed('get', server, end);
    if (saysNotFound(end.stdout) || (end.code !== 0 && saysNotFound(end.stderr))) return undefined;
    if (end.code !== 0) throw this.#failed('get', server, end);
    const answer = this.#readJson(end.stdout, server);
    const username = this.#textOf(answer, 'Username', server);
    const password = this.#textOf(answer, 'Secret', server);
    if (username === '' && password === '') return undefined;
    if (password === '') throw this.#misspoke(server, 'its answer has a user but no secret');
    this.#checkServer(this.#textOf(answer, 'ServerURL', server), server);
    return secretOf(username, password);
  }

  /** @throws TartletError `AUTH_HELPER`, `USAGE` for a text that the protocol cannot carry. */
  async store(server: string, secret: Secret, signal?: AbortSignal): Promise<void> {
    const { username, password } = pairOf(secret);
    checkUsername(username);
    checkPassword(password);
    const input = `${JSON.stringify({ ServerURL: server, Username: username, Secret: password })}\n`;
    const end = await this.#run('store', input, signal);
    if (end.kind !== 'exited' || end.code !== 0) throw this.#failed('store', server, end);
  }

  /** Forgets one server, known or not. @throws TartletError `AUTH_HELPER` */
  async erase(server: string, signal?: AbortSignal): Promise<void> {
    const end = await this.#run('erase', `${server}\n`, signal);
    if (end.kind === 'exited' && (end.code === 0 || saysNotFound(end.stdout) || saysNotFound(end.stderr))) return;
    throw this.#failed('erase', server, end);
  }

  /**
   * The servers it knows, as they were stored.
   * @returns undefined when it cannot tell: not every helper implements this.
   * @throws TartletError `AUTH_HELPER` when it cannot even be run.
   */
  async list(signal?: AbortSignal): Promise<readonly string[] | undefined> {
    const end = await this.#run('list', '', signal);
    if (end.kind !== 'exited') throw this.#failed('list', 'its list', end);
    return end.code === 0 ? Object.keys(this.#readJson(end.stdout, 'its list')) : undefined;
  }

  async #run(action: Action, input: string, signal: AbortSignal | undefined): Promise<ProgramEnd> {
    const program = await findHelper(this.program, this.#settings);
    if (program === undefined) {
      throw new TartletError(
        'AUTH_HELPER',
        `the credential helper ${this.program} is not in PATH (named by ${this.#from})`,
        {
          subject: this.program,
          next: { kind: 'install-helper', program: this.program, namedBy: this.#from },
        },
      );
    }
    return runProgram(program, [action], input, this.#settings, signal);
  }

  #failed(action: Action, server: string, end: ProgramEnd): TartletError {
    const hint: Hint | undefined = action === 'get' ? { kind: 'run-helper', program: this.program, server } : undefined;
    return new TartletError('AUTH_HELPER', `${this.program} ${action} failed for ${server}: ${howItEnded(end)}`, {
      subject: this.program,
      next: hint ?? { kind: 'check-helper', program: this.program, namedBy: this.#from },
    });
  }

  /** Its answer is not what the protocol says. The answer itself is never shown: it may hold the secret. */
  #misspoke(server: string, why: string): TartletError {
    return new TartletError('AUTH_HELPER', `${this.program} answered for ${server}, but ${why}`, {
      subject: this.program,
      next: { kind: 'check-helper', program: this.program, namedBy: this.#from },
    });
  }

  #readJson(stdout: Buffer, server: string): JsonObject {
    const answer = parseJson(stdout);
    if (isJsonObject(answer)) return answer;
    throw this.#misspoke(server, `its answer is not ${answer === undefined ? 'JSON' : 'a JSON object'}`);
  }

  #textOf(answer: JsonObject, field: string, server: string): string {
    const value = answer[field];
    if (value === undefined || value === null) return '';
    if (typeof value !== 'string') throw this.#misspoke(server, `"${field}" in its answer is not a text`);
    return value;
  }

  /** An answer that names another registry is not ours to send (reliability S32). */
  #checkServer(answered: string, asked: string): void {
    if (answered === '' || answered === asked) return;
    const theirs = parseAuthKey(answered);
    const ours = parseAuthKey(asked);
    if (theirs !== undefined && ours !== undefined && sameRegistry(theirs.registry, ours.registry)) return;
    throw this.#misspoke(asked, 'its answer is for another registry');
  }
}

/** @throws TartletError `USAGE` for a user name of several lines, which is a mistake. */
export function checkUsername(username: string): void {
  if (!/[\r\n\0]/.test(username)) return;
  throw new TartletError('USAGE', 'the user name contains a line break or a zero byte', {
    next: { kind: 'leave-out-zero-byte', part: 'user name' },
  });
}

/**
 * Line breaks are allowed: Google's registries take a whole JSON key file as the password of `_json_key`, and both JSON
 * and base64 carry it.
 * @throws TartletError `USAGE` for a zero byte, at which programs in C would end the text.
 */
export function checkPassword(password: string): void {
  if (!password.includes('\0')) return;
  throw new TartletError('USAGE', 'the password contains a zero byte', {
    next: { kind: 'leave-out-zero-byte', part: 'password' },
  });
}

/** Why a run was no success, in words that quote nothing of its output. */
export function howItEnded(end: ProgramEnd): string {
  switch (end.kind) {
    case 'exited':
      return `exit code ${end.code}`;
    case 'killed':
      return `it was ended by ${end.signal}`;
    case 'too-slow':
      return `no answer within ${end.milliseconds / 1000} s`;
    case 'too-chatty':
      return `more than ${end.bytes / 1024} KiB of output`;
    case 'not-started':
      return `it could not be started (${end.reason})`;
  }
}

function saysNotFound(output: Buffer): boolean {
  return output.length < 200 && NOT_FOUND.test(output.toString('utf8').trim());
}
