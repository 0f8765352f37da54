import { readFile } from 'node:fs/promises';

/** Families of Linux distributions, each with a program that installs packages and names for them. */
export type Distribution = 'debian' | 'fedora' | 'arch' | 'alpine';

const FAMILIES: Readonly<Record<string, Distribution>> = {
  debian: 'debian',
  ubuntu: 'debian',
  fedora: 'fedora',
  rhel: 'fedora',
  centos: 'fedora',
  arch: 'arch',
  alpine: 'alpine',
};

/**
 * What an `os-release` file says (os-release(5)): its own id, or else one that it is like. @internal exported for its
 * test.
 */
export function parseDistribution(text: string): Distribution | undefined {
  const values = (key: string): string[] =>
    (new RegExp(`^${key}=["']?([^"'\n]*)`, 'm').exec(text)?.[1] ?? '').split(' ');
  for (const id of [...values('ID'), ...values('ID_LIKE')]) {
    const family = Object.hasOwn(FAMILIES, id) ? FAMILIES[id] : undefined;
    if (family !== undefined) return family;
  }
  return undefined;
}

/** @param root before every path: empty, except in tests. */
export async function distributionHere(root: string): Promise<Distribution | undefined> {
  return parseDistribution(await readFile(`${root}/etc/os-release`, 'utf8').catch(() => ''));
}
