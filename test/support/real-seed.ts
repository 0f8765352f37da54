import { expect } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Session } from '../../src/session/session.ts';
import { pushVm } from '../../src/vm/push.ts';
import type { Cleanup } from './real-cleanup.ts';
import { Workplace } from './real-command.ts';
import { type RealRegistry, startRealRegistry } from './real-registry.ts';
import { createVm } from './real-vm.ts';

/** An embedded registry with one image in it, `name`, and the workplace whose VM `vm` it was. */
interface SeededRegistry {
  readonly registry: RealRegistry;
  readonly sender: Workplace;
  readonly name: string;
}

/** Starts an embedded registry, makes a VM and pushes it there. */
export async function startSeededRegistry(cleanup: Cleanup): Promise<SeededRegistry> {
  const registry = await startRealRegistry(cleanup, 'embedded');
  const sender = new Workplace(cleanup);
  await createVm(sender, 'vm');
  const name = `127.0.0.1:${registry.port}/team/base:1`;
  const { exitCode, stderr } = await sender.run('push', 'vm', name);
  expect(exitCode, stderr).toBe(0);
  return { registry, sender, name };
}

/** Pushes a VM in chunks smaller than the command's 512 MiB, so that a small disk has many. */
export async function pushInChunks(owner: Workplace, vm: string, name: string, chunkBytes: number): Promise<void> {
  const session = new Session({ home: new Home(owner.home), platform: process.platform });
  await pushVm(session, vm, [RemoteName.parse(name)], { diskChunkBytes: chunkBytes });
}

/** Digests of the disk chunks of an image, in order, as a registry on this machine tells them. */
export async function diskChunksOf(port: number, repository: string, tag: string): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${port}/v2/${repository}/manifests/${tag}`);
  const manifest = (await response.json()) as { layers: { mediaType: string; digest: string }[] };
  return manifest.layers.filter(({ mediaType }) => mediaType.includes('disk')).map(({ digest }) => digest);
}

/** The digest that a tag of a registry on this machine leads to. */
export async function digestOfTag(port: number, repository: string, tag: string): Promise<string | undefined> {
  const response = await fetch(`http://127.0.0.1:${port}/v2/${repository}/manifests/${tag}`, { method: 'HEAD' });
  return response.headers.get('docker-content-digest') ?? undefined;
}
