import { readFile } from 'node:fs/promises';
import { TartletError, unreachable } from '../errors.ts';
import { type Authenticator, openDoor } from './access.ts';
import { BasicAuth } from './basic-auth.ts';
import { parseHtpasswd } from './htpasswd.ts';
import type { Settings } from './options.ts';
import { TokenAuth } from './token-auth.ts';

/**
 * Makes the authenticator that the options ask for. An htpasswd file is read once, here; a changed file counts after a restart.
 * @throws TartletError `CONFIG_INVALID`
 */
export async function makeAuthenticator({ auth, now }: Settings): Promise<Authenticator> {
  switch (auth.kind) {
    case 'none':
      return openDoor;
    case 'basic':
      return new BasicAuth(typeof auth.htpasswd === 'string' ? await readHtpasswd(auth.htpasswd) : auth.htpasswd, now);
    case 'token':
      return new TokenAuth(auth, now);
    default:
      return unreachable(auth);
  }
}

async function readHtpasswd(file: string): Promise<ReadonlyMap<string, string>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new TartletError('CONFIG_INVALID', `the htpasswd file ${file} cannot be read`, { subject: file, cause });
  }
  return parseHtpasswd(text);
}
