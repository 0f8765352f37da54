import { TartletError } from '../errors.ts';
import { shownName } from '../names/malformed.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { type AuthEntry, parseAuthEntry, type Secret } from './auth-entry.ts';
import { type AuthKey, parseAuthKey, rankKeys } from './auth-key.ts';
import { CredentialHelper } from './helper.ts';
import { parseJsonObject } from './json-text.ts';
import { readSecretFile, type SecretFile } from './secret-file.ts';
import type { CredentialSettings } from './settings.ts';

/** An entry of `auths` whose key names a registry; read only when it is asked for, so that a broken one harms nobody else. */
export interface AuthFileEntry extends AuthKey {
  /** @throws TartletError `CONFIG_INVALID` */
  readonly read: () => AuthEntry;
}

/** Which helper a file names for a registry: one of its own, or the file's default. */
export type HelperChoice =
  | { readonly kind: 'own'; readonly helper: CredentialHelper }
  | { readonly kind: 'default'; readonly helper: CredentialHelper }
  | { readonly kind: 'none' };

/**
 * Docker's `config.json` and Podman's `auth.json`, which are one format: `auths`, `credHelpers`, `credsStore`. All else in it is
 * somebody else's business.
 */
export class AuthFile {
  readonly path: string;
  /** The permission bits. */
  readonly mode: number;
  readonly entries: readonly AuthFileEntry[];
  readonly #helpers: readonly (AuthKey & { readonly suffix: string })[];
  readonly #defaultHelper: string;

  private constructor(file: SecretFile) {
    this.path = file.path;
    this.mode = file.mode;
    const contents = new Contents(file);
    this.entries = contents.keyed('auths').map(({ key, value }) => ({
      ...key,
      read: () => parseAuthEntry(value, `the entry "${shownName(key.text)}" in ${file.path}`),
    }));
    this.#helpers = contents
      .keyed('credHelpers')
      .map(({ key, value }) => ({ ...key, suffix: contents.text(value, `credHelpers["${shownName(key.text)}"]`) }))
      .filter((key) => key.path === '');
    this.#defaultHelper = contents.text(contents.root['credsStore'], 'credsStore');
  }

  /**
   * @returns undefined when there is no such file.
   * @throws TartletError `CONFIG_INVALID` with line and column or the name of the field, never with contents; `DISK_*`
   */
  static async read(path: string): Promise<AuthFile | undefined> {
    const file = await readSecretFile(path);
    return file === undefined ? undefined : new AuthFile(file);
  }

  /**
   * The best entry with a secret. Entries without one are passed over: Docker leaves them as a mark when a helper has the secret.
   * @param onToken told the key of an entry that holds only a registry token.
   */
  secretFor(
    registry: RegistryAddress,
    repository?: string,
    onToken?: (key: string) => void,
  ): { readonly key: string; readonly secret: Secret } | undefined {
    for (const entry of rankKeys(this.entries, registry, repository)) {
      const said = entry.read();
      if (said.kind === 'secret') return { key: entry.text, secret: said.secret };
      if (said.kind === 'registry-token') onToken?.(shownName(entry.text));
    }
    return undefined;
  }

  /** An empty name for one registry means "none", the default helper included: so does Docker. */
  helperFor(registry: RegistryAddress, settings: CredentialSettings): HelperChoice {
    const own = rankKeys(this.#helpers, registry)[0];
    if (own !== undefined) {
      if (own.suffix === '') return { kind: 'none' };
      const from = `credHelpers["${own.text}"] in ${this.path}`;
      return { kind: 'own', helper: CredentialHelper.named(own.suffix, from, settings) };
    }
    if (this.#defaultHelper === '') return { kind: 'none' };
    const helper = CredentialHelper.named(this.#defaultHelper, `credsStore in ${this.path}`, settings);
    return { kind: 'default', helper };
  }

  /** Every registry that the file says anything about. */
  get registries(): readonly RegistryAddress[] {
    return [...this.entries, ...this.#helpers].map(({ registry }) => registry);
  }

  /** Whether others of this machine can read a secret here. A file that only names helpers may be as open as it likes. */
  get isExposed(): boolean {
    return (this.mode & 0o077) !== 0 && this.entries.some((entry) => holdsSecret(entry));
  }
}

function holdsSecret(entry: AuthFileEntry): boolean {
  try {
    return entry.read().kind !== 'empty';
  } catch {
    return true; // What cannot be read may be one.
  }
}

/** The document of an auth file, by field. */
class Contents {
  readonly root: Readonly<Record<string, unknown>>;
  readonly #file: string;

  constructor({ path, text }: SecretFile) {
    this.#file = path;
    // Docker takes an empty file for an empty configuration.
    this.root = text.trim() === '' ? {} : parseJsonObject(text, path);
  }

  /** The members of a field whose keys name registries. */
  keyed(field: string): { readonly key: AuthKey; readonly value: unknown }[] {
    const members = Object.entries(this.#object(this.root[field] ?? {}, `"${field}"`));
    return members.flatMap(([text, value]) => {
      const key = parseAuthKey(text);
      return key === undefined ? [] : [{ key, value }];
    });
  }

  text(value: unknown, field: string): string {
    if (value === undefined || value === null) return '';
    if (typeof value === 'string') return value;
    throw this.#invalid(`${field} is not a text`);
  }

  #object(value: unknown, what: string): Readonly<Record<string, unknown>> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
    throw this.#invalid(`${what} is not an object`);
  }

  #invalid(why: string): TartletError {
    return new TartletError('CONFIG_INVALID', `${this.#file} cannot be used: ${why}`, {
      subject: this.#file,
      next: `correct ${this.#file}`,
    });
  }
}
