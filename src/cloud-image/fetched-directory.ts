import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { makeDirectory } from '../fs/entry.ts';
import { removeEntry } from '../fs/remove.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../fs/system-program.ts';
import { download } from './download.ts';
import { redactUrl } from '../registry/request/redact.ts';
import type { Session } from '../session/session.ts';

/** More than anyone gives to a guest for one run: a server can send without end. */
const MAX_ARCHIVE_BYTES = 16 * 1024 ** 3;

/**
 * Fetches a `.tar.gz` of a web server and unpacks it into a new directory.
 *
 * By the system's tar, which leaves out what leads elsewhere: absolute names, `..`, and files behind links of the
 * archive.
 *
 * @param place an empty directory for it and for the archive.
 * @returns the new directory, in `place`. @throws TartletError those of `download`, `ARCHIVE_INVALID`, `HOST_LACKS`,
 * `DISK_*`
 */
export async function fetchDirectory(session: Session, url: URL, place: string): Promise<string> {
  const tar = systemProgram('tar');
  if (tar === undefined)
    throw new TartletError('HOST_LACKS', 'this machine cannot unpack archives: tar is not installed');
  const [archive, content] = [`${place}/archive`, `${place}/content`];
  await download(session, { url, digest: undefined, diskBytes: MAX_ARCHIVE_BYTES }, archive);
  await onDisk('create', content, async () => makeDirectory(content));
  try {
    // Whose the files are in the archive is of no account here (`-o`).
    await promisify(execFile)(tar, ['-xzof', archive, '-C', content], {
      env: SYSTEM_ENVIRONMENT,
      signal: session.signal,
    });
  } catch (cause) {
    session.signal.throwIfAborted();
    throw new TartletError('ARCHIVE_INVALID', `${redactUrl(url)} cannot be unpacked`, {
      subject: redactUrl(url),
      next: { kind: 'share-directory' },
      cause,
    });
  }
  await removeEntry(archive);
  return content;
}
