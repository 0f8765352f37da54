import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { eventually } from '../registry/world.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

/*
 * The set-up of docs/guide/fleet.md for a site, with real commands: a registry that is far away, a cache near the
 * machines, two machines that prefetch by way of it, and a driver of VMs that calls `vetu`.
 */
describe('a site', () => {
  let far: RealRegistry;
  let image: string;
  let cache: string;

  beforeAll(async () => {
    far = await startRealRegistry(cleanup, 'embedded');
    image = `127.0.0.1:${far.port}/linux/base:12`;
    const publisher = new Workplace(cleanup);
    await createVm(publisher, 'base', 2);
    fillDisk(publisher, 'base', 2, 1);
    await publisher.run('push', 'base', image);
    const serving = new Workplace(cleanup);
    const words = ['--data', cleanup.directory(), '--listen', '127.0.0.1:0', '--proxy', `http://127.0.0.1:${far.port}`];
    const running = serving.start('serve', ...words);
    cleanup.add(async () => {
      running.kill('SIGTERM');
      await running.ended;
    });
    await eventually(() => running.stdout.includes('\n'));
    cache = new URL(running.stdout.trim()).host;
    far.requests.length = 0;
  });

  function machine(): Workplace {
    const user = new Workplace(cleanup);
    const directory = `${user.environment['HOME']}/.config/containers`;
    mkdirSync(directory, { recursive: true });
    const at = `127.0.0.1:${far.port}`;
    writeFileSync(
      `${directory}/registries.conf`,
      `[[registry]]\nlocation = "${at}"\n[[registry.mirror]]\nlocation = "${cache}/${at.replace(':', '_')}"\ninsecure = true\n`,
    );
    return user;
  }

  it('fetches an image from far away once, whoever prefetches it, and vetu clones it without a network', async () => {
    const machines = [machine(), machine()];
    for (const each of machines) {
      const ran = await each.run('prefetch', image, '--format', 'json');
      expect(ran).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(ran.stdout)).toMatchObject({ images: [{ name: image, outcome: 'ready', isNew: true }] });
    }
    const blobs = far.requests.filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
    expect(blobs.length).toBeGreaterThan(0);
    expect(new Set(blobs).size).toBe(blobs.length);

    far.requests.length = 0;
    const [first = machine()] = machines;
    const vetu = path.join(first.directory, 'vetu');
    symlinkSync(COMMAND, vetu);
    // What Orchard's worker does with a VM of the policy IfNotPresent (run-fleet-demand §4.1).
    for (const words of [
      ['list', '--format', 'json'],
      ['clone', image, 'orchard-ci'],
      ['fqn', image],
    ]) {
      const ran = await new Running(process.execPath, [vetu, ...words], first.environment).ended;
      expect(ran).toMatchObject({ exitCode: 0 });
    }
    expect(far.requests).toEqual([]);
  });
});
