import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { type RegistryKind, startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';

/* What a start touched, from the machine that saw it to another one, by registries with and without referrers. */

const KINDS: readonly RegistryKind[] = ['embedded', 'docker-registry'];

describeWithParts('a boot order', ['docker-registry'], () => {
  const cleanup = new Cleanup();
  const images = new Map<RegistryKind, string>();
  let recorder: Workplace;

  beforeAll(async () => {
    const maker = new Workplace(cleanup);
    await createVm(maker, 'vm', 3);
    for (const kind of KINDS) {
      const { port } = await startRealRegistry(cleanup, kind);
      images.set(kind, `127.0.0.1:${port}/team/base:1`);
    }
    const { exitCode, stderr } = await maker.run('push', '--layer-size', '1', 'vm', ...images.values());
    expect(exitCode, stderr).toBe(0);
    recorder = new Workplace(cleanup);
  });
  afterAll(async () => cleanup.run());

  /** What a run leaves that began before its disk was here. */
  async function record(image: string): Promise<void> {
    expect(await recorder.run('pull', image)).toMatchObject({ exitCode: 0 });
    const cache = path.join(recorder.home, 'cache/OCIs', image.replace(/:1$/, '').replace(':', '%3A'));
    const digest = readdirSync(cache).find((name) => name.startsWith('sha256:')) ?? '';
    writeFileSync(path.join(cache, digest, '.boot-order.json'), '{"version":1,"touched":[[2,1],[0,1]]}\n');
  }

  it.each(KINDS)('goes to another machine by %s', async (kind) => {
    const image = images.get(kind) ?? '';
    await record(image);
    const shown = await recorder.run('boot-order', image);
    expect(shown).toMatchObject({ exitCode: 0, stderr: '' });
    expect(shown.stdout).toMatch(
      /^Image: {3}\S+@sha256:[0-9a-f]{64}\nOrder: {3}recorded on this machine\nTouched: 2 MiB, 66\.6 % of a disk of 3\.1 MB\nLayers: {2}2 of 4, .+ KB of .+ KB \(\d\d\.\d %\)\n$/,
    );
    const published = await recorder.run('boot-order', '--publish', image);
    expect(published).toMatchObject({ exitCode: 0, stdout: shown.stdout });
    const [, referrer] = /the boot order is published: \S+@(sha256:\S+)/.exec(published.stderr) ?? [];
    const again = await recorder.run('boot-order', '--publish', '--format', 'json', image);
    expect(JSON.parse(again.stdout)).toMatchObject({ schema: 'tartlet.boot-order/v1', referrer, status: 'present' });
    const other = new Workplace(cleanup);
    const { stdout } = await other.run('boot-order', '--format', 'json', image);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'tartlet.boot-order/v1',
      image,
      from: 'published',
      created: expect.stringMatching(/^\d{4}-/) as string,
      bytes: 2 * 1024 * 1024,
      diskBytes: 3 * 1024 * 1024 + 1536,
      layers: { touched: { count: 2 }, all: { count: 4 } },
      order: [2, 0],
    });
  });

  it('lies beside its image as if it were not there', async () => {
    const image = images.get('embedded') ?? '';
    await record(image);
    expect(await recorder.run('doctor', '--deep')).toMatchObject({ exitCode: 0 });
    expect(await recorder.run('clone', image, 'copy')).toMatchObject({ exitCode: 0 });
    expect(readdirSync(recorder.vmDirectory('copy'))).not.toContain('.boot-order.json');
    expect(readFileSync(path.join(recorder.vmDirectory('copy'), 'config.json')).length).toBeGreaterThan(0);
    expect(await recorder.run('delete', image)).toMatchObject({ exitCode: 0 });
  });

  it('is not known where it was neither recorded nor published, and there is nothing to publish then', async () => {
    const maker = new Workplace(cleanup);
    await createVm(maker, 'vm', 1);
    const image = (images.get('docker-registry') ?? '').replace('base:1', 'other:1');
    await maker.run('push', 'vm', image);
    for (const words of [[], ['--publish']]) {
      const { exitCode, stdout, stderr } = await maker.run('boot-order', ...words, image);
      expect({ exitCode, stdout }).toStrictEqual({ exitCode: 1, stdout: '' });
      expect(stderr).toContain(`no boot order of ${image} is recorded on this machine`);
      expect(stderr).toContain('next: run a VM of it that begins before its disk is here');
    }
  });
});
