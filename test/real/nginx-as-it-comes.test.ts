import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { createRegistry } from '../../src/server/server.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { pushVm } from '../../src/vm/push.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { startTlsProxy } from '../support/real-nginx.ts';
import { blobOf } from '../registry/world.ts';

it('a push through nginx as it comes, which takes 1 MiB in one request, goes up in smaller parts (Q12)', async () => {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  const registry = createRegistry({ dataDirectory: temporaryDirectory() });
  const { port: upstreamPort } = await registry.listen();
  cleanup.add(async () => registry.close());
  const port = await startTlsProxy(cleanup, { listen: '127.0.0.1', upstreamPort, largestBody: '1m' });
  const name = RemoteName.parse(`127.0.0.1:${port}/org/vm:1`);
  const [here, there] = [freshSession(), freshSession()];
  const directory = `${here.home.vmsDirectory}/vm`;
  plantVm(directory, Buffer.alloc(3_000_000, 'a disk'));
  writeFileSync(`${directory}/nvram.bin`, blobOf(3_000_000).bytes);
  await pushVm(here, 'vm', [name], { insecure: true });
  await pull(there, name, { insecure: true });
  const image = await there.images.find(name);
  for (const file of ['disk.img', 'nvram.bin']) {
    expect(readFileSync(`${image?.directory.path}/${file}`).equals(readFileSync(`${directory}/${file}`)), file).toBe(
      true,
    );
  }
});
