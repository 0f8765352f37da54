import path from 'node:path';
import { listNames } from '../fs/entry-names.ts';
import { exists } from '../fs/stats.ts';
import { parseRegistriesConf } from './registries-conf.ts';
import type { RegistryRule } from './registry-rule.ts';
import { readSettingsFile, type SettingsPlace } from './settings-file.ts';
import { wrongSettings } from './settings-fault.ts';

/** Where `registries.conf` and its drop-ins are. */
export interface RegistriesConfFiles {
  /** The one file, which the user named: it has to be there. */
  readonly named: string | undefined;
  /** `~/.config/containers`; undefined for a user without a home directory. */
  readonly userDirectory: string | undefined;
  /** `/etc/containers` */
  readonly systemDirectory: string;
}

const FILE = 'registries.conf';
const DROP_INS = 'registries.conf.d';

/**
 * All rules, as containers/image puts them together: one file, and over it the drop-ins in the order of their names,
 * those of the user last. A later rule takes the place of one with the same prefix. Beside the file of a user, none of
 * the system counts.
 *
 * @throws TartletError `CONFIG_INVALID`, `DISK_*`
 */
export async function readRegistriesConf(files: RegistriesConfFiles): Promise<readonly RegistryRule[]> {
  const { named, userDirectory, systemDirectory } = files;
  const ofUser = userDirectory === undefined ? undefined : path.join(userDirectory, FILE);
  const isUsers = named === undefined && ofUser !== undefined && (await exists(ofUser));
  const rules = new Map<string, RegistryRule>();
  const add = async (file: string, place: SettingsPlace): Promise<void> => {
    const text = await readSettingsFile(file, place);
    if (text === undefined && place === 'named') throw wrongSettings(file, 'it is not there');
    for (const rule of await parseRegistriesConf(text ?? '', file)) rules.set(rule.prefix, rule);
  };
  if (named === undefined) await add(isUsers ? ofUser : path.join(systemDirectory, FILE), 'usual');
  else await add(named, 'named');
  for (const directory of [isUsers ? undefined : systemDirectory, userDirectory]) {
    if (directory === undefined) continue;
    for (const file of await dropIns(path.join(directory, DROP_INS))) await add(file, 'usual');
  }
  return [...rules.values()];
}

/** The rules of one file alone, which has to be there. */
export async function readOnlyFile(file: string): Promise<readonly RegistryRule[]> {
  const text = await readSettingsFile(file, 'named');
  if (text === undefined) throw wrongSettings(file, 'it is not there');
  return parseRegistriesConf(text, file);
}

async function dropIns(directory: string): Promise<string[]> {
  const names = await listNames(directory);
  return names.filter((name) => name.endsWith('.conf')).map((name) => path.join(directory, name));
}
