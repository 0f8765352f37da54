import type { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { authFileLocations } from './auth-file-location.ts';
import { authFileSource } from './auth-file-source.ts';
import type { Credential, CredentialSource } from './credential.ts';
import { environmentSource } from './environment.ts';
import { keychainSource } from './keychain.ts';
import type { CredentialSettings } from './settings.ts';

export interface CredentialSourceOptions extends CredentialSettings {
  /**
   * The single registry that the user named in this command: the environment's credential is for it alone (reliability
   * S4).
   */
  readonly commandRegistry?: RegistryAddress | undefined;
}

/**
 * Every source of credentials, asked in this order: `TART_REGISTRY_*`, Docker's file, Podman's files, on macOS
 * Tart's Keychain items. The first that knows decides; one that fails ends the search, because the next one's answer,
 * or none, would hide it (reliability S32). Every question is asked once: parallel and later ones share the answer.
 * Failures are forgotten, and what was of no use.
 */
export function createCredentialSource(options: CredentialSourceOptions): CredentialSource {
  const sources = [
    environmentSource(options, options.commandRegistry),
    ...authFileLocations(options).map((location) => authFileSource(location, options)),
    keychainSource(options),
  ];
  return new OnceAsked(sources, options);
}

/** A question under way or answered, and how many wait for it. */
interface Question {
  readonly answer: Promise<Credential | undefined>;
  readonly controller: AbortController;
  waiting: number;
}

class OnceAsked implements CredentialSource {
  readonly #sources: readonly CredentialSource[];
  readonly #settings: CredentialSettings;
  readonly #questions = new Map<string, Question>();
  /** Faults that were noted, by their messages: many tokens may be asked for without one login. */
  readonly #noted = new Set<string>();

  constructor(sources: readonly CredentialSource[], settings: CredentialSettings) {
    this.#sources = sources;
    this.#settings = settings;
  }

  passedOver({ message }: TartletError): void {
    if (this.#noted.has(message)) return;
    this.#noted.add(message);
    this.#settings.onNote?.({ kind: 'login-passed-over', why: message });
  }

  forget(registry: RegistryAddress, repository?: string): void {
    const key = keyOf(registry, repository);
    // One that is asked now is answered by what is there now.
    if (this.#questions.get(key)?.waiting === 0) this.#questions.delete(key);
  }

  async find(registry: RegistryAddress, repository?: string, signal?: AbortSignal): Promise<Credential | undefined> {
    signal?.throwIfAborted();
    const key = keyOf(registry, repository);
    const question = this.#questions.get(key) ?? this.#ask(key, registry, repository);
    question.waiting += 1;
    try {
      return await unlessAborted(question.answer, signal);
    } finally {
      question.waiting -= 1;
      // The last caller to leave ends the helper that still runs; the others must not suffer from one caller's signal.
      if (question.waiting === 0 && signal?.aborted === true) question.controller.abort(signal.reason);
    }
  }

  #ask(key: string, registry: RegistryAddress, repository: string | undefined): Question {
    const controller = new AbortController();
    const answer = this.#askInOrder(registry, repository, controller.signal);
    const question: Question = { answer, controller, waiting: 0 };
    this.#questions.set(key, question);
    const forget = (): void => {
      if (this.#questions.get(key) === question) this.#questions.delete(key);
    };
    controller.signal.addEventListener('abort', forget, { once: true });
    answer.catch(forget);
    return question;
  }

  async #askInOrder(
    registry: RegistryAddress,
    repository: string | undefined,
    signal: AbortSignal,
  ): Promise<Credential | undefined> {
    for (const source of this.#sources) {
      const found = await source.find(registry, repository, signal);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function keyOf(registry: RegistryAddress, repository: string | undefined): string {
  return `${registry.toString()}/${repository ?? ''}`;
}

async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return answer;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
