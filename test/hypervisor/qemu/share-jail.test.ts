import { expect, it } from 'vitest';
import { jailedCommand } from '../../../src/hypervisor/qemu/share-jail.ts';

const PROGRAMS = { unshare: '/usr/bin/unshare', perl: '/usr/bin/perl' };

/** All but the script and the filter, which only a kernel can judge. */
function wordsOf(directories: Parameters<typeof jailedCommand>[1]['directories']): string[] {
  const plan = { root: '/vms/ci', hostArch: 'amd64', directories } as const;
  return jailedCommand(PROGRAMS, plan, (served) => ['serve', served]).filter((word) => word.length < 40);
}

it('one directory without a name is what is served', () => {
  expect(wordsOf([{ name: undefined, path: '/src', readOnly: true }])).toEqual([
    '/usr/bin/unshare',
    '--user',
    '--map-root-user',
    '--mount',
    '--net',
    '--',
    '/usr/bin/perl',
    '-e',
    '165',
    '157',
    '/vms/ci',
    '1',
    'directory',
    'ro',
    '/src',
    '/usr/bin/unshare',
    '--user',
    '--map-user=1000',
    '--map-group=1000',
    '--keep-caps',
    '--',
    'serve',
    '/vms/ci/directory',
  ]);
});

it('directories with names lie in what is served', () => {
  const words = wordsOf([
    { name: 'a', path: '/src', readOnly: false },
    { name: 'b', path: '/lib', readOnly: true },
  ]);
  expect(words.slice(words.indexOf('/vms/ci'), words.indexOf('/vms/ci') + 8)).toEqual([
    '/vms/ci',
    '2',
    'a',
    'rw',
    '/src',
    'b',
    'ro',
    '/lib',
  ]);
  expect(words.slice(-2)).toEqual(['serve', '/vms/ci']);
});
