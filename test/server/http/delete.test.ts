import { describe, expect, it } from 'vitest';
import {
  descriptor,
  imageManifest,
  OCI_INDEX,
  OCI_MANIFEST,
  type RunningRegistry,
  sha256,
  startRegistry,
} from '../running-registry.ts';

const MANIFESTS = '/v2/team/macos/manifests';
const BLOBS = '/v2/team/macos/blobs';

async function push({ send }: RunningRegistry, reference: string, type: string, body: string): Promise<void> {
  expect((await send('PUT', `${MANIFESTS}/${reference}`, { headers: { 'Content-Type': type }, body })).status).toBe(
    201,
  );
}

/** An image without a tag, in an index with the tag `all`. */
async function pushIndex(running: RunningRegistry): Promise<{ readonly image: string; readonly index: string }> {
  await Promise.all(['{}', 'layer'].map(async (content) => running.pushBlob('team/macos', content)));
  const image = imageManifest('{}', ['layer']);
  await push(running, sha256(image), OCI_MANIFEST, image);
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [descriptor(OCI_MANIFEST, image)],
  });
  await push(running, 'all', OCI_INDEX, index);
  return { image: sha256(image), index: sha256(index) };
}

describe('what a tag leads to is not deleted (S66)', () => {
  it('a layer and the config of an image', async () => {
    const { send, pushImage } = await startRegistry();
    const digest = await pushImage('team/macos', 'latest');
    for (const content of ['{"os":"darwin"}', 'layer of latest']) {
      const answer = await send('DELETE', `${BLOBS}/${sha256(content)}`);
      expect([answer.status, answer.body.toString()]).toEqual([
        409,
        JSON.stringify({
          errors: [
            {
              code: 'DENIED',
              message: `the tag latest needs it, by the manifest ${digest}: delete that first`,
              detail: { digest: sha256(content), tag: 'latest', manifest: digest },
            },
          ],
        }),
      ]);
      expect((await send('HEAD', `${BLOBS}/${sha256(content)}`)).status).toBe(200);
    }
    expect((await send('DELETE', `${MANIFESTS}/${digest}`)).status).toBe(202);
    expect((await send('DELETE', `${BLOBS}/${sha256('layer of latest')}`)).status).toBe(202);
  });

  it('a child of an index, and a layer of the child, until the index has no tag', async () => {
    const running = await startRegistry();
    const { image, index } = await pushIndex(running);
    expect((await running.send('DELETE', `${MANIFESTS}/${image}`)).body.toString()).toContain(
      `the tag all needs it, by the manifest ${index}`,
    );
    expect((await running.send('DELETE', `${BLOBS}/${sha256('layer')}`)).body.toString()).toContain(
      `the tag all needs it, by the manifest ${image}`,
    );
    expect((await running.send('DELETE', `${MANIFESTS}/all`)).status).toBe(202);
    expect((await running.send('DELETE', `${MANIFESTS}/${image}`)).status).toBe(202);
  });

  it('the manifest that the tag names is deleted with it', async () => {
    const running = await startRegistry();
    const { index } = await pushIndex(running);
    expect((await running.send('DELETE', `${MANIFESTS}/${index}`)).status).toBe(202);
  });

  it('a layer whose digest is written with escapes', async () => {
    const running = await startRegistry();
    for (const content of ['{}', 'layer']) await running.pushBlob('team/macos', content);
    const plain = imageManifest('{}', ['layer']);
    const written = plain.replace(
      sha256('layer'),
      sha256('layer').replace('sha', '\\u0073h\\u0061').replace(':', '\\u003A'),
    );
    await push(running, 'latest', OCI_MANIFEST, written);
    const { status, body } = await running.send('DELETE', `${BLOBS}/${sha256('layer')}`);
    expect([status, body.toString()]).toEqual([409, expect.stringContaining('the tag latest needs it')]);
  });

  it('not a blob that an image only mentions, or whose layer may live elsewhere', async () => {
    const running = await startRegistry();
    for (const content of ['{}', 'mentioned', 'elsewhere']) await running.pushBlob('team/macos', content);
    const foreign = { ...descriptor('application/vnd.oci.image.layer.nondistributable.v1.tar', 'elsewhere'), urls: [] };
    const extra = { layers: [foreign], annotations: { see: sha256('mentioned'), also: 'caf\u00e9 "\\u0073"' } };
    await push(running, 'latest', OCI_MANIFEST, imageManifest('{}', [], extra));
    for (const content of ['mentioned', 'elsewhere']) {
      expect((await running.send('DELETE', `${BLOBS}/${sha256(content)}`)).status).toBe(202);
    }
    expect((await running.send('DELETE', `${BLOBS}/${sha256('{}')}`)).status).toBe(409);
  });

  it('in its own repository only, and nowhere when everything may be deleted', async () => {
    const { send, pushImage, pushBlob } = await startRegistry();
    await pushImage('team/other', 'latest');
    await pushBlob('team/macos', 'layer of latest');
    expect((await send('DELETE', `${BLOBS}/${sha256('layer of latest')}`)).status).toBe(202);

    const lax = await startRegistry({ deletes: 'any' });
    const { image } = await pushIndex(lax);
    expect((await lax.send('DELETE', `${BLOBS}/${sha256('layer')}`)).status).toBe(202);
    expect((await lax.send('DELETE', `${MANIFESTS}/${image}`)).status).toBe(202);
  });
});

it('a collection beside deletes tells of no damage (S66)', async () => {
  const { registry, send, pushImage, events } = await startRegistry();
  const digests: string[] = [];
  for (let each = 0; each < 30; each += 1) digests.push(await pushImage('team/macos', `t${each}`));
  const collecting = { on: true };
  const collector = (async () => {
    while (collecting.on) await registry.collectGarbage();
  })();
  for (const digest of digests) expect((await send('DELETE', `${MANIFESTS}/${digest}`)).status).toBe(202);
  collecting.on = false;
  await collector;
  expect(events.filter(({ kind }) => kind === 'failure')).toEqual([]);
});
