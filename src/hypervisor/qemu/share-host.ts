import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { TartletError } from '../../errors.ts';
import { findProgram } from '../../fs/system-program.ts';
import type { Arch } from '../../vm/config.ts';
import type { JailPrograms } from './share-jail.ts';

/** Where distributions put what serves directories: off `PATH`, as a rule. The last is QEMU's own, up to 7.2. */
const DAEMONS = ['/usr/libexec/virtiofsd', '/usr/lib/virtiofsd', '/usr/lib/qemu/virtiofsd'];

/** What it takes to share directories with a guest. */
export interface ShareHost extends JailPrograms {
  readonly virtiofsd: string;
  /** QEMU's own program, in C, and the one that came after it, in Rust, have other options. */
  readonly options: 'c' | 'rust';
  readonly arch: Arch;
}

/**
 * @param arch of this machine. @param searchPath the environment's `PATH`.
 * @throws TartletError `HOST_LACKS`
 */
export async function findShareHost(arch: Arch | undefined, searchPath: string): Promise<ShareHost> {
  const virtiofsd = (await findProgram(searchPath, 'virtiofsd')) ?? DAEMONS.find((file) => existsSync(file));
  const unshare = await findProgram(searchPath, 'unshare');
  const perl = await findProgram(searchPath, 'perl');
  if (virtiofsd === undefined) throw lacking('virtiofsd is not installed');
  if (unshare === undefined || perl === undefined) throw lacking('unshare of util-linux and perl are not installed');
  if (arch === undefined) throw lacking('its processor is neither arm64 nor amd64');
  return { virtiofsd, unshare, perl, arch, options: await optionsOf(virtiofsd) };
}

/** QEMU's own says the word "version" as well, or nothing to a user who is in groups, which it wants to leave first. */
async function optionsOf(virtiofsd: string): Promise<ShareHost['options']> {
  try {
    const { stdout } = await promisify(execFile)(virtiofsd, ['--version'], { timeout: 30_000 });
    return /^virtiofsd (?:backend )?[0-9]/.test(stdout) ? 'rust' : 'c';
  } catch {
    return 'c';
  }
}

function lacking(what: string): TartletError {
  return new TartletError('HOST_LACKS', `this machine cannot share directories with guests: ${what}`, {
    next: { kind: 'install-virtiofsd' },
  });
}
