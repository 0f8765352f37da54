import { accessSync, constants, existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'vitest';

/** Programs of others that tests talk to. `.ci/run` installs them. */
export type Part =
  | 'docker-registry'
  | 'nginx'
  | 'squid'
  | 'chromium'
  | 'skopeo'
  | 'podman'
  | 'containerd'
  | 'openssl'
  | 'strace'
  | 'unshare'
  | 'lz4'
  | 'script'
  | 'bash'
  | 'zsh'
  | 'fish'
  | 'ovmf'
  | 'qemu-system-x86_64'
  | 'mformat'
  | 'ssh'
  | 'depmod'
  | 'sfdisk'
  | 'qemu-img'
  | 'qemu-system-aarch64'
  | 'xz'
  | 'as'
  | 'zstd'
  | 'qemu-efi-aarch64'
  | 'Xvfb'
  | 'xwininfo'
  | 'dnsmasq'
  | 'ip'
  | 'iptables';

/** Parts that are no programs but files. */
const FILES: Partial<Record<Part, string>> = {
  ovmf: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  'qemu-efi-aarch64': '/usr/share/AAVMF/AAVMF_VARS.ms.fd',
};

/** Debian keeps servers in `sbin`, which is not on everybody's PATH. */
const DIRECTORIES = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'].filter(
  (directory) => directory !== '',
);

/** Where a part is installed, or undefined. */
function findPart(part: Part): string | undefined {
  const data = FILES[part];
  if (data !== undefined) return existsSync(data) ? data : undefined;
  return DIRECTORIES.map((directory) => path.join(directory, part)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether a part is installed. */
export function hasPart(part: Part): boolean {
  return findPart(part) !== undefined;
}

/** The path of a part that {@link describeWithParts} or {@link hasPart} made sure of. */
export function partPath(part: Part): string {
  const file = findPart(part);
  if (file === undefined) throw new Error(`${part} is not installed`);
  return file;
}

/**
 * Parts that `.ci/run` does not install: a test that needs one is left out where it is missing, also with `CI=true`.
 */
const NOT_EVERYWHERE: ReadonlySet<Part> = new Set<Part>(['squid']);

/**
 * Tests that need real parts. With `CI=true` a missing part is a failure, because there it would go unnoticed for ever;
 * on somebody's own machine the tests are left out, and that is said.
 */
export function describeWithParts(title: string, parts: readonly Part[], tests: () => void): void {
  const missing = parts.filter((part) => !hasPart(part));
  if (missing.length === 0) {
    describe(title, tests);
    return;
  }
  const why = `${missing.join(' and ')} not installed`;
  if (process.env['CI'] === 'true' && missing.some((part) => !NOT_EVERYWHERE.has(part))) {
    describe(title, () => {
      it('has its real parts', () => {
        throw new Error(`${why}: apt-get install ${missing.join(' ')}`);
      });
    });
    return;
  }
  process.stderr.write(`left out: "${title}" (${why})\n`);
  describe.skip(`${title} (left out: ${why})`, tests);
}

/** Whether this machine has the IPv6 loopback. Its absence is a property of the machine, in CI too. */
export const hasIpv6Loopback = Object.values(os.networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1');
