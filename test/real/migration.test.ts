import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { FileLock } from '../../src/fs/lock/lock.ts';
import { runOnTerminal } from '../support/command-input.ts';
import { OldCache, wholeImages } from '../support/old-cache.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, type Running, Workplace } from '../support/real-command.ts';
import { Gate } from '../support/real-gate.ts';
import { eventually } from '../support/real-process.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { tartList, tartWouldCollect } from '../support/tart-rules.ts';

const REGISTRY = 'registry.corp:8221';
const LOST_PORT = 'registry.corp';
/** So many that a migration can be caught in the middle. */
const MANY = 24;
/** Two commands never wait for each other longer than this, in milliseconds. */
const DEADLOCK_MS = 30_000;

describe('a command that finds an old cache', () => {
  const cleanup = new Cleanup();
  afterEach(async () => cleanup.run());

  /** A cache of an older Tart whose registry lost its port, with so many images `macos/0:v` …. */
  function oldHome(count: number): { place: Workplace; cache: OldCache } {
    const place = new Workplace(cleanup);
    const cache = new OldCache(place.home);
    for (let index = 0; index < count; index += 1) {
      const repository = `macos/${index}`;
      cache.pull({ registry: REGISTRY, repository, tag: 'v', content: `content ${index}`, generation: 'raw' });
    }
    cache.rename(REGISTRY, LOST_PORT);
    return { place, cache };
  }

  const names = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${REGISTRY}/macos/${index}:v`).sort();
  const tagsOf = (listed: readonly string[]): string[] => listed.filter((name) => !name.includes('@')).sort();
  const contents = (cache: OldCache): string[] =>
    wholeImages(`${cache.root}/cache`)
      .map(({ digest, content }) => `${digest} ${content}`)
      .sort();
  const opened = ({ child }: Running, file: string): boolean =>
    readdirSync(`/proc/${child.pid}/fd`).some((fd) => linkOf(`/proc/${child.pid}/fd/${fd}`).endsWith(`/${file}`));
  const moved = (cache: OldCache): number => {
    const directory = `${cache.images}/registry.corp%3A8221/macos`;
    return existsSync(directory) ? wholeImages(directory).length : 0;
  };

  it('says so only behind the error of a command that fails: programs show the first line', async () => {
    const { place } = oldHome(1);
    const { stderr } = await place.run('fqn', `${REGISTRY}/macos/none:v`);
    expect(stderr).toMatch(/^error\[NOT_FOUND\]: .*\nnext: .*\ncache: moved an image to its full name, /);
  });

  it('brings it in order, says so in one line on stderr, and is silent ever after', async () => {
    const { place } = oldHome(2);
    const first = await place.run('list', '--quiet');
    const log = `${place.home}/cache/.migrations.log`;
    expect(first.stderr).toBe(
      `cache: moved 2 images to their full names, e.g. ${REGISTRY}/macos/0, wrote 2 tags anew (see ${log})\n`,
    );
    expect(tagsOf(first.stdout.trim().split('\n'))).toEqual(names(2));
    const before = place.snapshot();
    expect(await place.run('list', '--quiet')).toEqual({ exitCode: 0, stdout: first.stdout, stderr: '' });
    expect(place.snapshot()).toEqual(before);
  });

  it('finds what was asked for under its full name at once', async () => {
    const { place } = oldHome(1);
    const { exitCode, stdout } = await place.run('fqn', `${REGISTRY}/macos/0:v`);
    expect([exitCode, stdout]).toEqual([
      0,
      expect.stringMatching(/^registry\.corp:8221\/macos\/0@sha256:[0-9a-f]{64}\n$/),
    ]);
  });

  it('leaves it alone, and says nothing of it, where only a VM is asked for its address', async () => {
    const { place, cache } = oldHome(1);
    const before = cache.tree();
    const { stdout, stderr } = await place.run('ip', 'ci');
    expect(stdout).toBe('');
    expect(stderr).not.toContain('cache');
    expect(cache.tree()).toEqual(before);
  });

  it('works all the same where nothing can be changed, with a note', async () => {
    const { place, cache } = oldHome(1);
    // No lock can be taken: as on a read-only disk, and for root as well.
    writeFileSync(`${place.home}/cache/.locks`, 'a file');
    const { exitCode, stdout, stderr } = await place.run('list', '--quiet');
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^registry\.corp\/macos\/0@sha256:/)]);
    expect(stderr).toMatch(/^note: cache entries not migrated: .*\n$/);
    expect(tagsOf(tartList(cache.images))).toEqual([]);
  });

  it('loses nothing when it is killed again and again, and ends it the next time', async () => {
    const { place, cache } = oldHome(MANY);
    const before = contents(cache);
    let kills = 0;
    for (let enough = 1; enough < MANY; enough += 5) {
      const command = place.start('list', '--quiet');
      await eventually(`${enough} images moved`, () => moved(cache) >= enough || command.child.exitCode !== null);
      command.kill('SIGKILL');
      if ((await command.ended).exitCode === undefined) kills += 1;
      expect(contents(cache)).toEqual(before);
      expect(tartWouldCollect(cache.images)).toEqual([]);
    }
    expect(kills).toBeGreaterThan(0);
    expect(tagsOf(await place.names())).toEqual(names(MANY));
    expect(contents(cache)).toEqual(before);
    expect(tagsOf(tartList(cache.images))).toEqual(names(MANY));
    // One that was killed after its last move may have left the old directory, empty.
    const left = cache.tree().filter((line) => !line.startsWith('registry.corp%3A8221/'));
    expect(
      left.every((line) => /^registry\.corp\/(macos\/(\d+\/)?)?$/.test(line)),
      left.join(),
    ).toBe(true);
  });

  /** Ends both, in time. */
  async function both(...commands: readonly Running[]): Promise<Ran[]> {
    let timer: NodeJS.Timeout | undefined;
    const guard = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the commands wait for each other')), DEADLOCK_MS);
    });
    try {
      return await Promise.race([Promise.all(commands.map(async (command) => command.ended)), guard]);
    } finally {
      clearTimeout(timer);
      for (const command of commands) command.kill('SIGKILL');
    }
  }

  it.each([
    ['list', ['list', '--quiet']],
    ['prune', ['prune', '--gc', '--older-than', '3650']],
    ['clone', ['clone', `${REGISTRY}/macos/1:v`, 'ci']],
    ['fqn', ['fqn', `${REGISTRY}/macos/2:v`]],
  ])('is waited for by %s, which then finds everything', async (_, args) => {
    const { place, cache } = oldHome(MANY);
    const before = contents(cache);
    const first = place.start('list', '--quiet');
    await eventually('the migration is under way', () => moved(cache) > 0);
    first.kill('SIGSTOP');
    expect(moved(cache)).toBeLessThan(MANY);
    const second = place.start(...args);
    await eventually('the other waits', () => opened(second, 'migration.lock'));
    first.kill('SIGCONT');
    const [one, other] = await both(first, second);
    expect([one?.exitCode, other?.exitCode, other?.stderr]).toEqual([0, 0, expect.stringContaining('waiting')]);
    expect(contents(cache)).toEqual(before);
    expect(tagsOf(await place.names()).filter((name) => name.includes('/'))).toEqual(names(MANY));
  });

  it.skipIf(process.platform !== 'linux')('is waited for with one line, which a terminal shows at once', async () => {
    const { place } = oldHome(MANY);
    const held = `${place.home}/cache/.locks/migration.lock`;
    mkdirSync(`${place.home}/cache/.locks`, { recursive: true });
    const other = await FileLock.acquire(held, { mode: 'exclusive', wait: true });
    // The answer is typed when the line is seen, and frees the lock only after a waiting command tells its waiting
    // again.
    const script = `stty cols 60 -echo; $TARTLET list --quiet & read answer; sleep 1.2; echo "answer: $answer"; wait $!`;
    const { screen } = await runOnTerminal(place, script, [
      ['waiting for another process', 'seen\n'],
      ['answer: seen', () => void other?.release()],
    ]);
    const lines = screen.split('\r\n');
    expect(lines.slice(0, 2)).toEqual(['waiting for another process that is migrating the cache', 'answer: seen']);
    expect(lines.filter((line) => line.startsWith('waiting'))).toHaveLength(1);
    expect(tagsOf(lines.filter((line) => /\/macos\/\d+:v$/.test(line)))).toEqual(names(MANY));
  });

  it('does not disturb a pull that is under way, nor the pull it', async () => {
    const registry = await startRealRegistry(cleanup, 'embedded');
    const gate = await Gate.start(cleanup, registry.port);
    const sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    fillDisk(sender, 'vm', 2);
    await pushInChunks(sender, 'vm', `127.0.0.1:${registry.port}/team/base:1`, 1024 * 1024);
    const [, chunk] = await diskChunksOf(registry.port, 'team/base', '1');
    gate.treat = (request) =>
      request === `GET /v2/team/base/blobs/${chunk}` ? { kind: 'stall', bytes: 1000 } : { kind: 'pass' };
    const place = new Workplace(cleanup);
    mkdirSync(place.home, { recursive: true });
    const name = `127.0.0.1:${gate.port}/team/base:1`;
    const pull = place.start('pull', '--concurrency', '1', name);
    await eventually('the pull hangs', () => gate.stalled.length > 0);
    // Meanwhile the user copies an old cache in.
    const cache = new OldCache(place.home);
    cache.pull({ registry: REGISTRY, repository: 'macos/0', tag: 'v', content: 'x', generation: 'raw' });
    cache.rename(REGISTRY, LOST_PORT);
    expect(tagsOf(await place.names())).toEqual([`${REGISTRY}/macos/0:v`]);
    gate.treat = () => ({ kind: 'pass' });
    pull.kill('SIGINT');
    await pull.ended;
    expect((await place.run('pull', name)).exitCode).toBe(0);
    expect(tagsOf(await place.names())).toEqual([name, `${REGISTRY}/macos/0:v`]);
    expect(readFileSync(`${place.home}/cache/.migrations.log`, 'utf8')).not.toContain('127.0.0.1');
  });
});

/** Where a symlink leads; nothing for one that is gone by now. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
