import path from 'node:path';
import type { CredentialSettings } from './settings.ts';

/** Where an auth file may be. */
export interface AuthFileLocation {
  readonly path: string;
  /** The variable that names this very file, when one does: then its absence is odd. */
  readonly variable?: string;
}

/** Docker's `config.json`, the file that `login` writes: in `$DOCKER_CONFIG`, else in `~/.docker`. */
export function dockerAuthFile({ environment, userFolder }: CredentialSettings): AuthFileLocation {
  const folder = environment['DOCKER_CONFIG'] ?? '';
  return { path: path.join(folder === '' ? path.join(userFolder, '.docker') : folder, 'config.json') };
}

/**
 * The files of Podman and skopeo, first the most important (containers-auth.json(5)). `REGISTRY_AUTH_FILE` replaces all the others.
 * Without `XDG_RUNTIME_DIR` Linux has them below `/run/containers`; macOS has no runtime folder.
 */
function podmanAuthFiles({ environment, userFolder, platform, uid }: CredentialSettings): AuthFileLocation[] {
  const named = environment['REGISTRY_AUTH_FILE'] ?? '';
  if (named !== '') return [{ path: named, variable: 'REGISTRY_AUTH_FILE' }];
  const runtime = environment['XDG_RUNTIME_DIR'] ?? '';
  const config = environment['XDG_CONFIG_HOME'] ?? '';
  const paths: string[] = [];
  if (platform === 'linux' && runtime !== '') paths.push(path.join(runtime, 'containers/auth.json'));
  else if (platform === 'linux' && uid !== undefined) paths.push(`/run/containers/${uid}/auth.json`);
  if (platform === 'darwin' || config === '') paths.push(path.join(userFolder, '.config/containers/auth.json'));
  if (config !== '') paths.push(path.join(config, 'containers/auth.json'));
  return [...new Set(paths)].map((each) => ({ path: each }));
}

/** All of them, in the order in which they are asked. */
export function authFileLocations(settings: CredentialSettings): AuthFileLocation[] {
  const all = [dockerAuthFile(settings), ...podmanAuthFiles(settings)];
  return all.filter((one, index) => all.findIndex((other) => other.path === one.path) === index);
}
