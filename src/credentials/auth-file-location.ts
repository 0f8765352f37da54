import path from 'node:path';
import { TartletError } from '../errors.ts';
import type { CredentialSettings } from './settings.ts';

/** Where an auth file may be. */
export interface AuthFileLocation {
  readonly path: string;
  /** The variable that names this very file, when one does: then its absence is odd. */
  readonly variable?: string;
}

/**
 * Docker's `config.json`, the file that `login` writes: in `$DOCKER_CONFIG`, else in `~/.docker`.
 * @throws TartletError `CONFIG_INVALID` where there is neither.
 */
export function dockerAuthFile(settings: CredentialSettings): AuthFileLocation {
  const [file] = dockerAuthFiles(settings);
  if (file !== undefined) return file;
  throw new TartletError('CONFIG_INVALID', 'there is no directory for logins: this user has no home directory', {
    next: { kind: 'set-auth-directory' },
  });
}

/** None where nothing tells where it would be, as in a container whose user is just a number. */
function dockerAuthFiles({ environment, userDirectory }: CredentialSettings): AuthFileLocation[] {
  const named = environment['DOCKER_CONFIG'] ?? '';
  const directory = named === '' ? inUserDirectory(userDirectory, '.docker') : named;
  return directory === undefined ? [] : [{ path: path.join(directory, 'config.json') }];
}

function inUserDirectory(userDirectory: string | undefined, below: string): string | undefined {
  return userDirectory === undefined ? undefined : path.join(userDirectory, below);
}

/**
 * The files of Podman and skopeo, first the most important (containers-auth.json(5)). `REGISTRY_AUTH_FILE` replaces all
 * the others. Without `XDG_RUNTIME_DIR` Linux has them below `/run/containers`; macOS has no runtime directory.
 */
function podmanAuthFiles({ environment, userDirectory, platform, uid }: CredentialSettings): AuthFileLocation[] {
  const named = environment['REGISTRY_AUTH_FILE'] ?? '';
  if (named !== '') return [{ path: named, variable: 'REGISTRY_AUTH_FILE' }];
  const runtime = environment['XDG_RUNTIME_DIR'] ?? '';
  const config = environment['XDG_CONFIG_HOME'] ?? '';
  const paths: (string | undefined)[] = [];
  if (platform === 'linux' && runtime !== '') paths.push(path.join(runtime, 'containers/auth.json'));
  else if (platform === 'linux' && uid !== undefined) paths.push(`/run/containers/${uid}/auth.json`);
  if (platform === 'darwin' || config === '')
    paths.push(inUserDirectory(userDirectory, '.config/containers/auth.json'));
  if (config !== '') paths.push(path.join(config, 'containers/auth.json'));
  return [...new Set(paths)].flatMap((each) => (each === undefined ? [] : { path: each }));
}

/** All of them, in the order in which they are asked. */
export function authFileLocations(settings: CredentialSettings): AuthFileLocation[] {
  const all = [...dockerAuthFiles(settings), ...podmanAuthFiles(settings)];
  return all.filter((one, index) => all.findIndex((other) => other.path === one.path) === index);
}
