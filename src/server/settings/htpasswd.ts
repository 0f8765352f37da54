import { TartletError } from '../../errors.ts';

/** bcrypt in the spellings of `htpasswd -B`, PHP and OpenBSD: cost 4 to 31, 22 + 31 characters of salt and hash. */
const BCRYPT = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

/** Names and bcrypt hashes of an htpasswd file. */
export type Htpasswd = ReadonlyMap<string, string>;

/**
 * Reads the text of an htpasswd file: `name:hash` per line, empty lines and `#` comments allowed.
 *
 * @throws TartletError `CONFIG_INVALID` with the line number for hashes other than bcrypt: the older kinds can be
 * guessed fast, and skipping them would lock people out without a word. The line itself is not shown.
 */
export function parseHtpasswd(text: string): Htpasswd {
  const entries = new Map<string, string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const hash = line.slice(colon + 1);
    if (colon < 1 || !BCRYPT.test(hash)) {
      throw new TartletError(
        'CONFIG_INVALID',
        `line ${index + 1} of the htpasswd file is not a name and a bcrypt hash`,
        {
          position: index + 1,
          next: { kind: 'make-user-line' },
        },
      );
    }
    entries.set(line.slice(0, colon), hash);
  }
  return entries;
}
