import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { skopeoCopy } from '../support/real-skopeo.ts';
import { createVm } from '../support/real-vm.ts';

describeWithParts('images that skopeo carries', ['skopeo', 'docker-registry'], () => {
  const cleanup = new Cleanup();
  let ours: RealRegistry;
  let theirs: RealRegistry;
  let sender: Workplace;
  let original: Record<string, string>;
  /** `sha256:…` of the image as it was pushed first. */
  let digest: string;

  const oursAt = (name: string): string => `127.0.0.1:${ours.port}/${name}`;
  const theirsAt = (name: string): string => `127.0.0.1:${theirs.port}/${name}`;

  beforeAll(async () => {
    ours = await startRealRegistry(cleanup, 'embedded');
    theirs = await startRealRegistry(cleanup, 'docker-registry');
    sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    original = await digestsOfVm(sender.vmDirectory('vm'));
    await push(oursAt('macos/base:1'));
    digest = await pullEqual(oursAt('macos/base:1'));
  });
  afterAll(async () => cleanup.run());

  it('leave our registry for a dir: directory and come back under another name', async () => {
    const directory = `dir:${cleanup.directory()}`;
    await skopeoCopy(`docker://${oursAt('macos/base:1')}`, directory);
    await skopeoCopy(directory, `docker://${oursAt('archive/from-dir:2')}`);

    expect(await pullEqual(oursAt('archive/from-dir:2'))).toBe(digest);
  });

  it('leave our registry for an OCI layout and come back under another name', async () => {
    const layout = `oci:${cleanup.directory()}:kept`;
    await skopeoCopy(`docker://${oursAt('macos/base:1')}`, layout);
    await skopeoCopy(layout, `docker://${oursAt('archive/from-oci:2')}`);

    expect(await pullEqual(oursAt('archive/from-oci:2'))).toBe(digest);
  });

  it('go from our registry to docker-registry', async () => {
    await skopeoCopy(`docker://${oursAt('macos/base:1')}`, `docker://${theirsAt('mirror/base:1')}`);

    expect(await pullEqual(theirsAt('mirror/base:1'))).toBe(digest);
  });

  it('go from docker-registry to our registry', async () => {
    await push(theirsAt('there/base:1'));
    const pushed = await pullEqual(theirsAt('there/base:1'));
    await skopeoCopy(`docker://${theirsAt('there/base:1')}`, `docker://${oursAt('here/base:1')}`);

    expect(await pullEqual(oursAt('here/base:1'))).toBe(pushed);
  });

  it('are one image with two tags when both are pulled into one home', async () => {
    await skopeoCopy(`docker://${oursAt('macos/base:1')}`, `docker://${oursAt('macos/base:copied')}`);
    const receiver = new Workplace(cleanup);
    await receiver.run('pull', oursAt('macos/base:1'));
    const asked = ours.requests.length;
    const second = await receiver.run('pull', oursAt('macos/base:copied'));

    expect(second.stderr).toContain('already cached; tag updated');
    expect(ours.requests.slice(asked)).toEqual(['GET /v2/macos/base/manifests/copied']);
    expect(await receiver.names()).toEqual([
      oursAt('macos/base:1'),
      oursAt('macos/base:copied'),
      `${oursAt('macos/base')}@${digest}`,
    ]);
  });

  async function push(name: string): Promise<void> {
    const { exitCode, stderr } = await sender.run('push', 'vm', name);
    expect(exitCode, stderr).toBe(0);
  }

  /** Pulls into a fresh home, compares every byte with the VM that was pushed first, and tells the digest. */
  async function pullEqual(name: string): Promise<string> {
    const receiver = new Workplace(cleanup);
    const { exitCode, stderr } = await receiver.run('pull', name);
    expect(exitCode, stderr).toBe(0);
    const { stdout } = await receiver.run('fqn', name);
    const found = stdout.trim().split('@')[1] ?? '';
    const [repository = ''] = name.slice(name.indexOf('/') + 1).split(':');
    const host = name.slice(0, name.indexOf('/')).replace(':', '%3A');
    expect(await digestsOfVm(`${receiver.home}/cache/OCIs/${host}/${repository}/${found}`)).toEqual(original);
    return found;
  }
});
