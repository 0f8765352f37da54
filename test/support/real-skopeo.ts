import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { partPath } from './real-parts.ts';

/**
 * Copies an image with skopeo, between `docker://`, `dir:` and `oci:`. Plain HTTP, no signature policy, nobody's
 * logins.
 */
export async function skopeoCopy(from: string, to: string): Promise<void> {
  const options = ['--src-tls-verify=false', '--dest-tls-verify=false', '--src-no-creds', '--dest-no-creds', '--quiet'];
  await promisify(execFile)(partPath('skopeo'), ['--insecure-policy', 'copy', ...options, from, to]);
}
