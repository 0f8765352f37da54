import { type Credential, type CredentialSource, isLoginFault } from '../../credentials/credential.ts';
import type { TartletError } from '../../errors.ts';
import type { RegistryAddress } from '../../names/registry-address.ts';
import type { Access } from '../request/request.ts';

/** The credential for one access. */
export type Identity =
  | { readonly kind: 'login'; readonly credential: Credential }
  | { readonly kind: 'anonymous' }
  /** The setting that may name a login cannot be used. Reading goes on without one: a public image needs none. */
  | { readonly kind: 'unusable'; readonly fault: TartletError };

/** Looks up the login for one registry, once per repository, and only when the registry asks for it. */
export class LoginLookup {
  readonly #registry: RegistryAddress;
  readonly #source: CredentialSource;
  readonly #found = new Map<string, Promise<Credential | undefined>>();
  /** By repository. Reading does not ask again: a helper that hangs would cost its whole time with every token. */
  readonly #faults = new Map<string, TartletError>();

  constructor(registry: RegistryAddress, source: CredentialSource) {
    this.#registry = registry;
    this.#source = source;
  }

  /**
   * The credential for `access`. A login setting that cannot be used is `unusable` for reading, as for Docker and
   * skopeo.
   * @throws TartletError what `CredentialSource.find` throws, for everything that changes the registry.
   */
  async identify({ repository, action }: Access): Promise<Identity> {
    const key = repository ?? '';
    const known = action === 'pull' ? this.#faults.get(key) : undefined;
    if (known !== undefined) return { kind: 'unusable', fault: known };
    try {
      const credential = await this.#find(repository);
      return credential === undefined ? { kind: 'anonymous' } : { kind: 'login', credential };
    } catch (fault) {
      if (action !== 'pull' || !isLoginFault(fault)) throw fault;
      this.#faults.set(key, fault);
      return { kind: 'unusable', fault };
    }
  }

  /** What was found was refused, or there was nothing: the next question is asked anew. */
  forget(repository: string | undefined): void {
    const key = repository ?? '';
    this.#found.delete(key);
    this.#faults.delete(key);
    this.#source.forget?.(this.#registry, repository);
  }

  /** An access was granted although the setting is `fault`: its user should hear that it was not used. */
  passOver(fault: TartletError): void {
    this.#source.passedOver?.(fault);
  }

  /** As whom we speak, in words for a message. Never a secret, and never a failure: it goes into one. */
  async words(repository: string | undefined): Promise<string> {
    const identity = await this.identify({ action: 'pull', repository });
    switch (identity.kind) {
      case 'anonymous':
        return 'anonymously';
      case 'unusable':
        return `anonymously (the login for it cannot be used: ${identity.fault.message})`;
      case 'login':
        return identity.credential.kind === 'password'
          ? `as "${identity.credential.username}" (${identity.credential.source})`
          : `with the identity token from ${identity.credential.source}`;
    }
  }

  #find(repository: string | undefined): Promise<Credential | undefined> {
    const key = repository ?? '';
    let found = this.#found.get(key);
    if (found === undefined) {
      found = this.#source.find(this.#registry, repository);
      this.#found.set(key, found);
      // A helper that failed (a locked keychain) may work the next time.
      found.catch(() => this.#found.delete(key));
    }
    return found;
  }
}
