import path from 'node:path';
import { listNames } from '../fs/entry-names.ts';
import { exists } from '../fs/stats.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { type Endpoint, type EndpointChoice, inOrder, plainEndpoint } from './endpoint.ts';
import { type HostEndpoint, hostsOfCertificates, parseHostsToml, type RegistryHosts } from './hosts-toml.ts';
import { readSettingsFile, type SettingsPlace } from './settings-file.ts';

/**
 * Where an image comes from by a directory of `hosts.toml` files, as containerd reads it (its `config_path`):
 * `<host>_<port>_`, `<host>:<port>` or `_default`, the first that is there.
 *
 * @returns undefined where none of them is there.
 * @throws TartletError `CONFIG_INVALID`, `DISK_*`
 */
export async function hostsFor(
  root: string,
  name: RemoteName,
  place: SettingsPlace,
): Promise<EndpointChoice | undefined> {
  for (const each of directoryNames(name.registry)) {
    const directory = path.join(root, each);
    if (!(await exists(directory))) continue;
    const file = path.join(directory, 'hosts.toml');
    const text = (await readSettingsFile(file, place)) ?? '';
    // An empty file is none to containerd.
    const hosts =
      text === '' ? hostsOfCertificates(await listNames(directory), directory) : await parseHostsToml(text, file);
    return choiceOf(hosts, name, text === '' ? directory : file);
  }
  return undefined;
}

function directoryNames(registry: RegistryAddress): string[] {
  const text = registry.toString();
  if (registry.port === undefined) return [text, '_default'];
  return [`${registry.host}_${registry.port}_`, text, '_default'];
}

function choiceOf({ hosts, server }: RegistryHosts, name: RemoteName, source: string): EndpointChoice {
  const named = name.registry.toString();
  const endpointAt = (host: HostEndpoint): Endpoint => ({
    ...plainEndpoint(host.registry, name.repository.text),
    ...host,
    namespace: isItself(host.registry, named) ? undefined : named,
  });
  const last = endpointAt('registry' in server ? server : { ...server, registry: named });
  return { endpoints: inOrder(hosts.map(endpointAt), last), source };
}

/** Docker Hub answers under another name than it is called by. */
function isItself(host: string, named: string): boolean {
  return host === named || (named === 'docker.io' && host === 'registry-1.docker.io');
}
