import { TartletError } from '../errors.ts';
import { isJsonObject, type JsonObject, parseJson } from '../json/foreign.ts';
import { shownName } from '../names/malformed.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { type AuthEntry, parseAuthEntry, type Secret } from './auth-entry.ts';
import { type AuthKey, parseAuthKey, rankKeys } from './auth-key.ts';
import { CredentialHelper } from './helper.ts';
import { compileHostPattern, type HostPattern } from './host-pattern.ts';
import { readSecretFile, type SecretFile } from './secret-file.ts';
import type { CredentialSettings } from './settings.ts';

/**
 * An entry of `auths` whose key names a registry; read only when it is asked for, so that a broken one does not affect
 * other registries.
 */
export interface AuthFileEntry extends AuthKey {
  /** @throws TartletError `CONFIG_INVALID` */
  readonly read: () => AuthEntry;
}

/** Which helper a file names for a registry. `none`: it says that none is to be asked, or says nothing. */
export type HelperChoice = { readonly kind: 'helper'; readonly helper: CredentialHelper } | { readonly kind: 'none' };

/** A key of `credHelpers` that names no registry, and the helper behind it. */
interface PatternKey {
  readonly text: string;
  readonly suffix: string;
}

/**
 * Docker's `config.json` and Podman's `auth.json`, which are one format: `auths`, `credHelpers`, `credsStore`. All else
 * in it belongs to other programs and is kept.
 */
export class AuthFile {
  readonly path: string;
  /** The permission bits. */
  readonly mode: number;
  readonly entries: readonly AuthFileEntry[];
  readonly #helpers: readonly (AuthKey & { readonly suffix: string })[];
  readonly #patterns: readonly PatternKey[];
  /** By their texts, once one was asked for. */
  readonly #compiled = new Map<string, Promise<HostPattern | undefined>>();
  readonly #defaultHelper: string;

  private constructor(file: SecretFile, root: JsonObject) {
    this.path = file.path;
    this.mode = file.mode;
    const contents = new Contents(root, file.path);
    this.entries = contents.members('auths').flatMap(({ text, value }) => {
      const key = parseAuthKey(text);
      const read = (): AuthEntry => parseAuthEntry(value, `the entry "${shownName(text)}" in ${file.path}`);
      return key === undefined ? [] : [{ ...key, read }];
    });
    const helpers = contents.members('credHelpers').map(({ text, value }) => ({
      text,
      key: parseAuthKey(text),
      suffix: contents.text(value, `credHelpers["${shownName(text)}"]`),
    }));
    this.#helpers = helpers.flatMap(({ key, suffix }) => (key?.path === '' ? [{ ...key, suffix }] : []));
    this.#patterns = helpers.filter(({ key }) => key === undefined);
    this.#defaultHelper = contents.text(contents.root['credsStore'], 'credsStore');
  }

  /**
   * @returns undefined when there is no such file.
   * @throws TartletError `CONFIG_INVALID` with line and column or the name of the field, never with contents; `DISK_*`
   */
  static async read(path: string): Promise<AuthFile | undefined> {
    const file = await readSecretFile(path);
    return file === undefined ? undefined : new AuthFile(file, await parseDocument(file));
  }

  /**
   * The best entry with a secret. Entries without one are passed over: Docker leaves them as a mark when a helper has
   * the secret.
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

  /**
   * The helper that serves a registry, in Docker's order: that of its own key, of the first pattern that fits, the
   * file's default.
   */
  async helperFor(registry: RegistryAddress, settings: CredentialSettings): Promise<HelperChoice> {
    return this.ownHelper(registry, settings) ?? this.sharedHelper(registry, settings);
  }

  /**
   * The helper that the file names for this very registry; undefined when it names none. An empty name means "none",
   * the default included: so does Docker.
   * @throws TartletError `CONFIG_INVALID` for a name that cannot be a program's.
   */
  ownHelper(registry: RegistryAddress, settings: CredentialSettings): HelperChoice | undefined {
    const own = rankKeys(this.#helpers, registry)[0];
    return own === undefined ? undefined : this.#named(own.suffix, `credHelpers["${own.text}"]`, settings);
  }

  /**
   * The helper that serves this registry among others: by the first key of `credHelpers` that fits as a pattern, else
   * the default.
   * @throws TartletError `CONFIG_INVALID` for a name that cannot be a program's.
   */
  async sharedHelper(registry: RegistryAddress, settings: CredentialSettings): Promise<HelperChoice> {
    for (const { text, suffix } of this.#patterns) {
      const pattern = await this.#pattern(text, settings);
      if (pattern?.fits(registry) === true) return this.#named(suffix, `credHelpers["${shownName(text)}"]`, settings);
    }
    return this.#named(this.#defaultHelper, 'credsStore', settings);
  }

  #pattern(text: string, settings: CredentialSettings): Promise<HostPattern | undefined> {
    let compiled = this.#compiled.get(text);
    if (compiled === undefined) {
      compiled = compileHostPattern(text).then((pattern) => {
        if (pattern === undefined) {
          settings.onNote?.({ kind: 'helper-key', file: this.path, key: shownName(text) });
        }
        return pattern;
      });
      this.#compiled.set(text, compiled);
    }
    return compiled;
  }

  #named(suffix: string, field: string, settings: CredentialSettings): HelperChoice {
    if (suffix === '') return { kind: 'none' };
    return { kind: 'helper', helper: CredentialHelper.named(suffix, `${field} in ${this.path}`, settings) };
  }

  /** Every registry that the file says anything about. */
  get registries(): readonly RegistryAddress[] {
    return [...this.entries, ...this.#helpers].map(({ registry }) => registry);
  }

  /**
   * Whether others of this machine can read a secret here. A file that only names helpers may be as open as it likes.
   */
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

/** The object that the text of an auth file is. @throws TartletError `CONFIG_INVALID` with line and column. */
async function parseDocument({ path, text }: SecretFile): Promise<JsonObject> {
  // Docker takes an empty file for an empty configuration.
  if (text.trim() === '') return {};
  const document = parseJson(text);
  if (isJsonObject(document)) return document;
  // What finds the place is needed for a broken file only.
  const { jsonFault } = await import('./json-tree.ts');
  throw jsonFault(text, path);
}

/** The document of an auth file, by field. */
class Contents {
  readonly root: JsonObject;
  readonly #file: string;

  constructor(root: JsonObject, file: string) {
    this.root = root;
    this.#file = file;
  }

  /** The members of a field, in their order. */
  members(field: string): { readonly text: string; readonly value: unknown }[] {
    return Object.entries(this.#object(this.root[field] ?? {}, `"${field}"`)).map(([text, value]) => ({ text, value }));
  }

  text(value: unknown, field: string): string {
    if (value === undefined || value === null) return '';
    if (typeof value === 'string') return value;
    throw this.#invalid(`${field} is not a text`);
  }

  #object(value: unknown, what: string): JsonObject {
    if (isJsonObject(value)) return value;
    throw this.#invalid(`${what} is not an object`);
  }

  #invalid(why: string): TartletError {
    return new TartletError('CONFIG_INVALID', `${this.#file} cannot be used: ${why}`, {
      subject: this.#file,
      next: { kind: 'correct', what: this.#file },
    });
  }
}
