import os from 'node:os';
import { lockFile } from '../fs/lock/lock.ts';
import { Home } from '../home/home.ts';
import type { CredentialSource } from '../credentials/credential.ts';
import { type CredentialNote, describeNote } from '../credentials/note.ts';
import type { CredentialStoreSettings } from '../credentials/settings.ts';
import { RateLimit } from '../registry/request/rate-limit.ts';
import type { OnWire } from '../registry/wire.ts';
import type { CredentialsFor } from '../session/open-source.ts';
import type { TransferEvent } from '../session/progress.ts';
import { archOfMachine } from '../vm/arch.ts';
import { type FleetPeers, peerSearchOf } from './fleet.ts';
import { Tartlet } from './tartlet.ts';

/** What `openTartlet` can be told; everything else comes from the process. */
export interface OpenOptions {
  /** The directory that Tart and Tartlet share. Default: `TART_HOME` of the environment, else `~/.tart`. */
  readonly home?: string | undefined;
  /**
   * Variables that proxies, certificates, logins and `TART_*` settings are read from. Default: those of the process.
   */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * The credentials for registries. Default: what `docker login`, `podman login` and `tartlet login` stored, and
   * `TART_REGISTRY_USERNAME` for the registry that is named. `none`: anonymous.
   */
  readonly credentials?: 'none' | CredentialsFor | undefined;
  /**
   * Whether the first operation that reads the cache brings one of an older Tart to today's names, as the command does.
   * Default: yes. See docs/guide/cache.md.
   */
  readonly migrate?: boolean | undefined;
  /** Ends every operation. */
  readonly signal?: AbortSignal | undefined;
  /** Told what happens, in every operation that has no listener of its own. */
  readonly onEvent?: ((event: TransferEvent) => void) | undefined;
  /**
   * Told of every request and every answer, without their secrets, in every operation that has no listener of its own.
   */
  readonly onWire?: OnWire | undefined;
  /** What registries see in their logs. Default: `Tartlet`. */
  readonly userAgent?: string | undefined;
  /**
   * How fast all operations together move bytes at most, in bytes per second in each direction. Default: no limit.
   */
  readonly limitRate?: number | RateLimit | undefined;
  /**
   * `off`: images come from the registry in their name alone, in every operation that does not say otherwise. Default:
   * `configured`, the mirrors that `TARTLET_MIRRORS`, `registries.conf` and `hosts.toml` name (docs/guide/mirrors.md).
   */
  readonly mirrors?: 'configured' | 'off' | undefined;
  /** Hosts of a fleet that are asked before the registry when something is pulled. Default: none. */
  readonly peers?: FleetPeers | undefined;
}

/**
 * Opens a home: everything that the command does, as methods that neither print nor exit.
 *
 * Nothing is read or written before the first operation.
 *
 * @throws TartletError `CONFIG_INVALID` where there is no place for a home: no `TART_HOME`, and a user without a home
 * directory, or for a fleet token that is too short; `USAGE` for a rate below 1, or an address that is none.
 */
export function openTartlet(options: OpenOptions = {}): Tartlet {
  const { home, environment = process.env, credentials, onEvent } = options;
  const note = (text: string): void => onEvent?.({ kind: 'note', subject: 'logins', text });
  const settings: CredentialStoreSettings = {
    environment,
    userDirectory: userDirectory(environment),
    platform: process.platform,
    uid: process.getuid?.(),
    lockFile,
    onNote: (each: CredentialNote) => note(describeNote(each)),
  };
  return new Tartlet({
    home: homeOf(home, environment),
    environment,
    migrate: options.migrate ?? true,
    signal: options.signal,
    onEvent,
    onWire: options.onWire,
    userAgent: options.userAgent,
    rateLimit: RateLimit.from(options.limitRate),
    peers: peerSearchOf(options.peers),
    mirrors: options.mirrors ?? 'configured',
    process: { pid: process.pid, isRoot: process.geteuid?.() === 0, arch: archOfMachine(os.machine()) },
    credentialSettings: settings,
    credentials:
      credentials === 'none' ? () => ({ find: async () => undefined }) : (credentials ?? storedLogins(settings)),
  });
}

function homeOf(home: string | undefined, environment: NonNullable<OpenOptions['environment']>): Home {
  return Home.locate({
    environment: home === undefined ? environment : { TART_HOME: home },
    userDirectory: userDirectory(environment),
    // Asked only where it is needed: it may be gone.
    get workingDirectory() {
      return process.cwd();
    },
  });
}

function userDirectory(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const { HOME } = environment;
  if (HOME !== undefined && HOME.startsWith('/')) return HOME;
  try {
    return os.homedir();
  } catch {
    // A user that the system does not know, as in a container.
    return undefined;
  }
}

/** Looked up when a registry asks for a login, and loaded only then. */
function storedLogins(settings: CredentialStoreSettings): CredentialsFor {
  return (name, place) => {
    let source: Promise<CredentialSource> | undefined;
    return {
      find: async (registry, repository, signal) => {
        source ??= import('../credentials/chain.ts').then(({ createCredentialSource }) =>
          createCredentialSource({ ...settings, commandRegistry: place === 'named' ? name.registry : undefined }),
        );
        return (await source).find(registry, repository, signal);
      },
      passedOver: (fault) => void source?.then((loaded) => loaded.passedOver?.(fault)),
      forget: (registry, repository) => void source?.then((loaded) => loaded.forget?.(registry, repository)),
    };
  };
}
