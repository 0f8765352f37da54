import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.ts';
import { runVm } from '../support/running-vm.ts';
import { imageOf, rollout, type Rollout } from './world.ts';

const KEPT = 'prefetch\n';

/** As if it had not been used since yesterday. */
function age(world: Rollout, digest: string): void {
  const dayAgo = Date.now() / 1000 - 86_400;
  const directory = `${world.home}/cache/OCIs/${world.registry.at.replace(':', '%3A')}/macos/base/${digest}`;
  utimesSync(`${directory}/.last-used`, dayAgo, dayAgo);
}

describe('a rollout', () => {
  it('brings an image by its digest, and moves the tag when all of it is here', async () => {
    const world = await rollout();
    const first = await world.publish('one');
    const report = await world.tartlet.prefetched.refresh([world.name()]);
    expect(report.images).toMatchObject([{ kind: 'ready', isNew: true, fetchedBytes: expect.any(Number) as unknown }]);
    expect(world.tagged()).toBe(first);
    const digests = world.registry.takeRequests().filter((line) => line.includes('/manifests/'));
    expect(digests).toEqual(['GET /v2/macos/base/manifests/15', `GET /v2/macos/base/manifests/${first}`]);
    // The tag did not move: one request, and nothing else.
    expect((await world.tartlet.prefetched.refresh([world.name()])).images).toMatchObject([{ isNew: false }]);
    expect(world.registry.takeRequests()).toEqual(['GET /v2/macos/base/manifests/15']);
  });

  it('keeps the image before, pinned, until the next one has come', async () => {
    const world = await rollout();
    const digests: string[] = [];
    for (const content of ['one', 'two', 'three']) {
      digests.push(await world.publish(content));
      await world.tartlet.prefetched.refresh([world.name()]);
    }
    const [one = '', two = '', three = ''] = digests;
    expect(world.tagged()).toBe(three);
    expect([one, two, three].map((digest) => world.mark(digest, '.pinned'))).toEqual([undefined, KEPT, KEPT]);
    // For Tart, whose own collection knows no pins.
    expect([one, two, three].map((digest) => world.mark(digest, '.explicitly-pulled'))).toEqual([
      undefined,
      KEPT,
      KEPT,
    ]);
    expect(await world.tartlet.prefetched.status()).toMatchObject([
      { digest: { hex: three.slice(7) }, previous: { hex: two.slice(7) }, error: undefined, sources: ['arguments'] },
    ]);
    age(world, one);
    await world.publish('four');
    await world.tartlet.prefetched.refresh([world.name()]);
    expect([one, two, three].map((digest) => world.has(digest))).toEqual([false, true, true]);
  });

  it('is taken back in one step, without a network, until the registry has another image', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    const two = await world.publish('two');
    await world.tartlet.prefetched.refresh([world.name()]);
    world.registry.takeRequests();
    expect(await world.tartlet.prefetched.rollBack(world.name())).toMatchObject({
      digest: { hex: one.slice(7) },
      rejected: { hex: two.slice(7) },
    });
    expect(world.registry.takeRequests()).toEqual([]);
    expect(world.tagged()).toBe(one);

    const held = await world.tartlet.prefetched.refresh([world.name()]);
    expect(held.images).toMatchObject([{ kind: 'held-back', rejected: { hex: two.slice(7) } }]);
    expect(world.tagged()).toBe(one);

    await world.tartlet.prefetched.rollBack(world.name());
    expect(world.tagged()).toBe(two);
    await world.tartlet.prefetched.rollBack(world.name());
    const three = await world.publish('three');
    expect((await world.tartlet.prefetched.refresh([world.name()])).images).toMatchObject([{ kind: 'ready' }]);
    expect(world.tagged()).toBe(three);
    expect(await world.tartlet.prefetched.status()).toMatchObject([
      { previous: { hex: one.slice(7) }, rejected: undefined },
    ]);
  });

  it('has no way back before there was a second image, or for what is not prefetched', async () => {
    const world = await rollout();
    await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    await expect(world.tartlet.prefetched.rollBack(world.name())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      facts: { next: { kind: 'list-images' } },
    });
    await expect(world.tartlet.prefetched.rollBack(world.name('macos/other:1'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      facts: { next: { kind: 'prefetch-first' } },
    });
  });

  it('finds what an ordinary pull brought, and the way back from it', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    const two = await world.publish('two');
    await world.tartlet.pull(world.name());
    await world.tartlet.prefetched.refresh([world.name()]);
    expect(world.mark(two, '.pinned')).toBe(KEPT);
    await world.tartlet.prefetched.rollBack(world.name());
    expect(world.tagged()).toBe(one);
  });

  it('leaves pins of the user, and images that the user pulled by digest, to the user', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.tartlet.pull(`${world.name('macos/base')}@${one}`);
    await world.tartlet.prefetched.refresh([world.name()]);
    expect(await world.tartlet.pin(world.name())).toBe(true);
    await world.tartlet.prefetched.forget(world.name());
    expect([world.mark(one, '.pinned'), world.mark(one, '.explicitly-pulled')]).toEqual(['', '']);
  });

  it('of a digest brings it and keeps it, without any tag', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    const name = `${world.registry.at}/macos/base@${one}`;
    expect((await world.tartlet.prefetched.refresh([name])).images).toMatchObject([{ kind: 'ready', isNew: true }]);
    expect(world.mark(one, '.pinned')).toBe(KEPT);
    expect((await world.tartlet.prefetched.refresh([name])).images).toMatchObject([{ isNew: false }]);
  });

  it('is not stopped by an entry that fails, which says so until it succeeds', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    const missing = world.name('macos/missing:1');
    const { images } = await world.tartlet.prefetched.refresh([missing, world.name()]);
    expect(images).toMatchObject([{ kind: 'failed', error: { code: 'NOT_FOUND' } }, { kind: 'ready' }]);
    expect(world.tagged()).toBe(one);
    const errors = async () => (await world.tartlet.prefetched.status()).map(({ error }) => error?.code);
    expect(await errors()).toEqual([undefined, 'NOT_FOUND']);
    await world.publish('late', 'macos/missing:1');
    await world.tartlet.prefetched.refresh([missing]);
    expect(await errors()).toEqual([undefined, undefined]);
  });

  it('keeps the old image where the new one is damaged', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    const two = await world.publish('two');
    const [, , damaged = ''] = [...imageOf('two').blobs.keys()];
    world.registry.meddle = (request, response) => {
      if (request.url?.includes(`/blobs/${damaged}`) !== true) return false;
      response.end('something else');
      return true;
    };
    expect((await world.tartlet.prefetched.refresh([world.name()])).images).toMatchObject([{ kind: 'failed' }]);
    expect(world.tagged()).toBe(one);
    expect(world.has(two)).toBe(false);
    world.registry.meddle = undefined;
    await world.tartlet.prefetched.refresh([world.name()]);
    expect(world.tagged()).toBe(two);
  });
});

describe('a list', () => {
  it('lets go of what it names no more, and of nothing when it cannot be read', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.publish('other', 'macos/base:14');
    const list = `${temporaryDirectory()}/images.txt`;
    const sources = [{ kind: 'file', path: list }] as const;
    writeFileSync(list, `${world.name()}\nnonsense\n${world.name('macos/base:14')}\n`);
    const report = await world.tartlet.prefetched.refresh([], { sources });
    expect(report.images.map(({ kind }) => kind)).toEqual(['ready', 'ready']);
    expect(report.broken).toMatchObject([{ entry: 'nonsense', source: `file:${list}` }]);

    const elsewhere = [{ kind: 'file', path: `${list}.gone` }] as const;
    const failed = await world.tartlet.prefetched.refresh([], { sources: elsewhere });
    expect(failed.failedSources).toMatchObject([{ error: { code: 'NOT_FOUND' } }]);
    expect(await world.tartlet.prefetched.status()).toHaveLength(2);

    writeFileSync(list, `${world.name('macos/base:14')}\n`);
    await world.tartlet.prefetched.refresh([], { sources });
    expect((await world.tartlet.prefetched.status()).map(({ name }) => name.toString())).toEqual([
      world.name('macos/base:14'),
    ]);
    expect([world.mark(one, '.pinned'), world.has(one), world.tagged()]).toEqual([undefined, true, one]);
  });

  it('is fetched from the web', async () => {
    const world = await rollout();
    await world.publish('one');
    world.registry.meddle = (request, response) => {
      if (request.url !== '/images') return false;
      response.end(JSON.stringify({ images: [{ name: world.name() }] }));
      return true;
    };
    const url = new URL(`http://${world.registry.at}/images`);
    const report = await world.tartlet.prefetched.refresh([], { sources: [{ kind: 'url', url }] });
    expect(report).toMatchObject({ images: [{ kind: 'ready' }], failedSources: [] });
    expect((await world.tartlet.prefetched.status())[0]?.sources).toEqual([`url:${url.href}`]);
  });

  it.each([
    ['the page of a proxy', '<html>\n<h1>Please log in</h1>\n</html>\n'],
    ['an error as JSON', '{"error": "maintenance"}'],
    ['too many names', Array.from({ length: 1_001 }, (_, at) => `a.example/b:${at}\n`).join('')],
  ])('that is %s is none: what was wanted stays wanted (S96)', async (_, text) => {
    const world = await rollout();
    const one = await world.publish('one');
    const list = `${temporaryDirectory()}/images.txt`;
    const sources = [{ kind: 'file', path: list }] as const;
    writeFileSync(list, `${world.name()}\n`);
    await world.tartlet.prefetched.refresh([], { sources });
    writeFileSync(list, text);
    const report = await world.tartlet.prefetched.refresh([], { sources });
    expect(report.failedSources).toMatchObject([{ source: `file:${list}`, error: { code: 'USAGE' } }]);
    expect((await world.tartlet.prefetched.status()).map(({ name }) => name.toString())).toEqual([world.name()]);
    expect(world.mark(one, '.pinned')).toBe(KEPT);
  });

  it('is not remembered where quiet hours leave no minute of the day', async () => {
    const world = await rollout();
    const quietHours = [
      { from: 0, to: 720 },
      { from: 720, to: 0 },
    ];
    await expect(world.tartlet.prefetched.refresh([world.name()], { quietHours })).rejects.toMatchObject({
      code: 'USAGE',
    });
    expect(await world.tartlet.prefetched.status()).toEqual([]);
  });

  it('and another one at the same address, with another query, are both wanted', async () => {
    const world = await rollout();
    await world.publish('one');
    await world.publish('two', 'macos/base:16');
    let isDown = false;
    world.registry.meddle = (request, response) => {
      if (request.url?.startsWith('/images') !== true) return false;
      const isFirst = request.url.endsWith('=a');
      if (isFirst && isDown) response.statusCode = 404;
      response.end(world.name(isFirst ? 'macos/base:15' : 'macos/base:16'));
      return true;
    };
    const sources = ['a', 'b'].map(
      (group) => ({ kind: 'url', url: new URL(`http://${world.registry.at}/images?token=${group}`) }) as const,
    );
    const wanted = async () => (await world.tartlet.prefetched.status()).map(({ name }) => name.toString());
    await world.tartlet.prefetched.refresh([], { sources });
    expect(await wanted()).toEqual([world.name(), world.name('macos/base:16')]);
    isDown = true;
    const report = await world.tartlet.prefetched.refresh([], { sources });
    expect(report.failedSources).toMatchObject([{ error: { code: 'NOT_FOUND' } }]);
    expect(await wanted()).toEqual([world.name(), world.name('macos/base:16')]);
  });
});

describe('a budget of the disk', () => {
  it('deletes what was not used for longest, and never what is kept, pinned, or the image of a VM that runs (P38)', async () => {
    const world = await rollout();
    const digests: Record<string, string> = {};
    for (const each of ['kept', 'runs', 'pinned', 'old', 'older']) {
      digests[each] = await world.publish(each, `macos/base:${each}`);
      await world.tartlet.pull(world.name(`macos/base:${each}`));
      age(world, digests[each]);
    }
    await world.tartlet.prefetched.refresh([world.name('macos/base:kept')]);
    await world.tartlet.pin(world.name('macos/base:pinned'));
    await world.tartlet.clone(world.name('macos/base:runs'), 'job');
    age(world, digests['runs'] ?? '');
    await runVm(`${world.home}/vms/job`);
    await world.publish('new');
    const report = await world.tartlet.prefetched.refresh([world.name()], { diskBudgetBytes: 100_000 });
    expect(report.images).toMatchObject([{ kind: 'ready' }]);
    const left = Object.entries(digests).filter(([, digest]) => world.has(digest));
    expect(left.map(([name]) => name)).toEqual(expect.arrayContaining(['kept', 'runs', 'pinned']));
    expect(left.length).toBeLessThan(5);
    expect(world.events).toContainEqual(expect.objectContaining({ kind: 'deleted', why: 'room' }));

    const tight = await world.tartlet.prefetched.refresh([world.name('macos/base:more')], { diskBudgetBytes: 1 });
    expect(tight.images).toMatchObject([{ kind: 'failed', error: { code: 'NOT_FOUND' } }]);
    await world.publish('more', 'macos/base:more');
    const refused = await world.tartlet.prefetched.refresh([world.name('macos/base:more')], {
      diskBudgetBytes: 10_000,
    });
    expect(refused.images).toMatchObject([
      { kind: 'failed', error: { code: 'DISK_FULL', facts: { next: { kind: 'raise-disk-budget' } } } },
    ]);
    expect(['kept', 'runs', 'pinned'].map((name) => world.has(digests[name] ?? ''))).toEqual([true, true, true]);
  });

  it('keeps the image before the one before for as long as a VM of it runs (P38)', async () => {
    const world = await rollout();
    const one = await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    await world.tartlet.clone(world.name(), 'job');
    const { ended, pid } = await runVm(`${world.home}/vms/job`);
    for (const content of ['two', 'three']) {
      await world.publish(content);
      await world.tartlet.prefetched.refresh([world.name()]);
      age(world, one);
    }
    expect([world.has(one), world.mark(one, '.pinned')]).toEqual([true, KEPT]);
    process.kill(pid, 'SIGINT');
    await ended;
    await world.tartlet.prefetched.refresh([world.name()]);
    expect(world.has(one)).toBe(false);
  });
});

describe('the record', () => {
  it('that is none stops everything, and is left alone', async () => {
    const world = await rollout();
    await world.publish('one');
    await world.tartlet.prefetched.refresh([world.name()]);
    const file = `${world.home}/cache/.prefetch.json`;
    writeFileSync(file, '{"version": 2}');
    await expect(world.tartlet.prefetched.refresh([world.name()])).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    await expect(world.tartlet.prefetched.status()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(readFileSync(file, 'utf8')).toBe('{"version": 2}');
  });

  it('is not made by asking for it', async () => {
    const world = await rollout();
    expect(await world.tartlet.prefetched.status()).toEqual([]);
    expect(existsSync(world.home)).toBe(false);
  });
});
