import { execFile } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pushVm } from '../../src/vm/push.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../support/meddling-registry.ts';
import { OldCache } from '../support/old-cache.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';

const cleanup = new Cleanup();
afterEach(async () => cleanup.run());

/** Records that depend on the file system, and on who else is in the group of this machine's root. */
const NOT_EVERYWHERE = ['.disk-seal.json', '.pushed-manifest.json', '.pushed-to.json'];

/** Made by an older Tart, and migrated by the first command. */
const OLD = 'old.example';

const KINDS = [
  '.base-manifest.json',
  '.last-used',
  '.lazy-manifest.json',
  '.lazy.json',
  '.migrated.json',
  '.migrations.log',
  '.origin.json',
  '.pinned',
  '.verified',
  'config.json',
  'disk.img',
  'manifest.json',
  'nvram.bin',
];

async function inShell(workplace: Workplace, script: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const words = ['-c', script, process.execPath, COMMAND, ...args];
    execFile('sh', words, { env: workplace.environment, cwd: '/' }, (error, _, stderr) =>
      resolve(error === null ? 'done' : stderr),
    );
  });
}

/** What there is of each kind: locks are named after digests and VMs. */
function modesIn(home: string): Record<string, string[]> {
  const found = new Map<string, Set<string>>();
  for (const entry of readdirSync(home, { recursive: true, withFileTypes: true })) {
    const stats = lstatSync(path.join(entry.parentPath, entry.name));
    const isOld = `${entry.parentPath}/${entry.name}`.includes(OLD) || ['cache', 'OCIs'].includes(entry.name);
    if (stats.isSymbolicLink() || isOld) continue;
    const kind = stats.isDirectory() ? 'directory' : entry.name.endsWith('.lock') ? '.lock' : entry.name;
    found.set(kind, (found.get(kind) ?? new Set()).add((stats.mode & 0o7777).toString(8)));
  }
  return Object.fromEntries([...found].map(([kind, modes]) => [kind, [...modes]]));
}

/** A pull that is killed as soon as it keeps a journal. */
async function killedPull(
  workplace: Workplace,
  umask: string,
  registry: MeddlingRegistry,
  name: string,
): Promise<void> {
  registry.meddle = ({ url = '' }) => url.includes('/blobs/');
  const staging = path.join(workplace.home, 'cache/.staging');
  const wait = `until ls "${staging}"/*/.verified 2>/dev/null; do kill -0 $! || exit 1; done`;
  const script = `umask ${umask}; "$0" "$@" & { ${wait}; } >/dev/null; kill -9 $!; wait $! || true`;
  expect(await inShell(workplace, script, 'pull', name)).toBe('done');
  registry.meddle = undefined;
}

it.each([
  { umask: '022', file: '664', directory: '2775', elsewhere: '644' },
  { umask: '077', file: '660', directory: '2770', elsewhere: '600' },
])(
  'with umask $umask: each kind of file in a home that a group shares is for the group, and none elsewhere (S69)',
  async ({ umask, file, directory, elsewhere }) => {
    const registry = await startMeddlingRegistry();
    const at = (tag: string): string => `${registry.at}/org/vm:${tag}`;
    const maker = freshSession();
    for (const tag of ['one', 'two']) {
      plantVm(`${maker.home.vmsDirectory}/${tag}`, `the disk ${tag}`);
      await pushVm(maker, tag, [RemoteName.parse(at(tag))]);
    }
    const workplace = new Workplace(cleanup, { isFresh: true });
    mkdirSync(workplace.home);
    chmodSync(workplace.home, 0o2775);
    new OldCache(workplace.home).pull({
      registry: `${OLD}:5000`,
      repository: 'org/vm',
      tag: 'old',
      content: 'old',
      generation: 'raw',
    });
    const run = path.join(workplace.directory, 'run');
    const steps: readonly (readonly string[])[] = [
      ['pull', at('one')],
      ['pin', at('one')],
      ['clone', at('one'), 'first'],
      ['set', 'first', '--cpu', '4'],
      ['set', 'first', '--disk-size', '1'],
      ['create', 'second', '--linux', '--disk-size', '1'],
      ['export', 'first', `${run}/first.tar`],
      ['import', `${run}/first.tar`, 'third'],
      ['push', 'third', at('three'), '--populate-cache', '--digestfile', `${run}/digest`],
      ['clone', '--lazy=always', at('two'), 'fourth'],
      ['set', 'fourth', '--disk-size', '1'],
      ['copy', at('three'), at('four'), '--digestfile', `${run}/copied`],
    ];
    for (const step of steps)
      expect([...step, await inShell(workplace, `umask ${umask}; exec "$0" "$@"`, ...step)]).toEqual([...step, 'done']);
    await killedPull(workplace, umask, registry, at('two'));

    const found = modesIn(workplace.home);
    for (const kind of NOT_EVERYWHERE) expect([kind, found[kind] ?? [file]]).toEqual([kind, [file]]);
    const others = Object.fromEntries(Object.entries(found).filter(([kind]) => !NOT_EVERYWHERE.includes(kind)));
    expect(others).toEqual({
      ...Object.fromEntries(KINDS.map((kind) => [kind, [file]])),
      '.lock': ['660'],
      // Of a pull that is gone: who may connect may choose what is fetched first.
      '.fill.sock': ['600'],
      directory: [directory],
    });
    const outside = ['first.tar', 'digest', 'copied'].map((each) => [each, statSync(`${run}/${each}`).mode & 0o777]);
    expect(outside).toEqual(['first.tar', 'digest', 'copied'].map((each) => [each, Number.parseInt(elsewhere, 8)]));
  },
  120_000,
);
