import path from 'node:path';
import { statIfThere } from '../fs/stats.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { type EndpointChoice, onlyNamed } from './endpoint.ts';
import { hostsFor } from './hosts-directory.ts';
import { readOnlyFile, readRegistriesConf } from './registries-conf-files.ts';
import { endpointsOf, findRule, placeOf, type RegistryRule } from './registry-rule.ts';
import { wrongSettings } from './settings-fault.ts';

/** What says where images come from, in place of all usual files: a file, a directory, or `off`. */
const MIRRORS_VARIABLE = 'TARTLET_MIRRORS';
/** The file that containers/image reads in place of the usual one. */
const CONF_VARIABLE = 'CONTAINERS_REGISTRIES_CONF';

/** What looking for endpoints needs from the world around it. */
export interface EndpointSettings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Default: `/etc/containers`. */
  readonly systemDirectory?: string;
  /** The directory of `hosts.toml` files. Default: containerd's, `/etc/containerd/certs.d`. */
  readonly hostsDirectory?: string;
}

/**
 * Finds the places that answer for images: by `registries.conf` where one of its tables is about the name, else by
 * containerd's `hosts.toml` for its registry, else the registry itself. The first are read once, when they are first
 * needed.
 */
export class EndpointFinder {
  readonly #settings: EndpointSettings;
  #rules: Promise<readonly RegistryRule[]> | undefined;

  constructor(settings: EndpointSettings) {
    this.#settings = settings;
  }

  /**
   * @throws TartletError `CONFIG_INVALID` for a file that cannot be used, `DISK_*` for one that cannot be read.
   */
  async find(name: RemoteName): Promise<EndpointChoice> {
    const named = this.#settings.environment[MIRRORS_VARIABLE] ?? '';
    if (named === 'off') return onlyNamed(name);
    if (named === '') return this.#findUsual(name);
    const stats = await statIfThere(named);
    if (stats === undefined) throw wrongSettings(named, `it is not there (${MIRRORS_VARIABLE} names it)`);
    if (stats.isDirectory()) return (await hostsFor(named, name, 'named')) ?? onlyNamed(name);
    this.#rules ??= readOnlyFile(named);
    return byRules(await this.#rules, name) ?? onlyNamed(name);
  }

  async #findUsual(name: RemoteName): Promise<EndpointChoice> {
    const { environment, systemDirectory = '/etc/containers' } = this.#settings;
    const named = environment[CONF_VARIABLE] ?? '';
    const { HOME = '' } = environment;
    this.#rules ??= readRegistriesConf({
      named: named === '' ? undefined : named,
      // Not by XDG_CONFIG_HOME: containers/image does not ask it either.
      userDirectory: HOME.startsWith('/') ? path.join(HOME, '.config/containers') : undefined,
      systemDirectory,
    });
    const hostsDirectory = this.#settings.hostsDirectory ?? '/etc/containerd/certs.d';
    return byRules(await this.#rules, name) ?? (await hostsFor(hostsDirectory, name, 'usual')) ?? onlyNamed(name);
  }
}

function byRules(rules: readonly RegistryRule[], name: RemoteName): EndpointChoice | undefined {
  const rule = findRule(rules, placeOf(name));
  return rule === undefined ? undefined : endpointsOf(rule, name, rules);
}
