import { expect, it, onTestFinished } from 'vitest';
import { fleetKey } from '../../src/peering/fleet-key.ts';
import { PeerClient } from '../../src/peering/peer-client.ts';
import { playPeer, TOKEN } from '../support/played-peer.ts';

it('hands out nothing of a content while something else is urgent', async () => {
  const peer = await playPeer((response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.tartlet.content.v1' });
    response.end('content');
  });
  const client = new PeerClient(peer.address, fleetKey(TOKEN, 'test'));
  onTestFinished(() => client.close());
  let goOn: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let isPassing = (): void => undefined;
  const passes = new Promise<void>((resolve) => {
    isPassing = resolve;
  });
  const pieces = client.content(
    { content: `sha256:${'0'.repeat(64)}`, size: 7, from: 0 },
    {
      signal: new AbortController().signal,
      delivered: () => 0,
      pass: async () => {
        isPassing();
        await asked;
      },
    },
  );
  const first = pieces.next();
  await passes;
  expect(await Promise.race([first, Promise.resolve('waits')])).toBe('waits');
  goOn();
  expect(Buffer.from((await first).value ?? []).toString()).toBe('content');
});
