import { describe, expect, it, onTestFinished } from 'vitest';
import { KnownPeers } from '../../src/mirror/known-peers.ts';
import { fleetKey } from '../../src/peering/fleet-key.ts';
import { servePeers } from '../../src/peer/peer-server.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { freshSession } from '../support/home.ts';
import { TOKEN } from '../support/played-peer.ts';
import { startRegistry } from '../server/running-registry.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';
import { startCache } from './running-cache.ts';

const MINUTE = 60_000;

describe('the peers that a site cache knows', () => {
  it('are forgotten three minutes after they were heard of last', () => {
    let now = 0;
    const known = new KnownPeers(
      () => now,
      () => 0.5,
    );
    known.announce('10.0.0.7', '10.0.0.7', 8222);
    known.announce('fd00::/64', 'fd00::7', 8222);
    now = 2 * MINUTE;
    known.announce('10.0.0.7', '10.0.0.7', 8222);
    expect(known.list().toSorted()).toEqual(['10.0.0.7:8222', '[fd00::7]:8222']);
    now = 4 * MINUTE;
    expect(known.list()).toEqual(['10.0.0.7:8222']);
    now = 6 * MINUTE;
    expect(known.list()).toEqual([]);
  });

  it('are four of one client and a thousand in all at most, and 32 of them are told, others each time (S85)', () => {
    let turn = 0;
    const known = new KnownPeers(
      () => 0,
      () => {
        turn += 1;
        return (turn * 7919) % 1009;
      },
    );
    for (let port = 1; port <= 100; port += 1) known.announce('10.0.0.7', '10.0.0.7', port);
    expect(known.list().toSorted()).toEqual([97, 98, 99, 100].map((port) => `10.0.0.7:${port}`).toSorted());
    for (let host = 0; host < 1_100; host += 1) known.announce(`a${host}`, `10.1.${host >> 8}.${host & 0xff}`, 8222);
    const lists = Array.from({ length: 200 }, () => known.list());
    expect(lists.every((list) => list.length === 32)).toBe(true);
    expect(new Set(lists.flat()).size).toBeGreaterThan(500);
    expect(lists.flat()).not.toContain('10.0.0.7:100');
  });

  it('announce themselves by the address that they speak from, without a login', async () => {
    const upstream = await startRegistry();
    const cache = await startCache([`127.0.0.1:${upstream.port}`]);
    expect((await cache.send('PUT', '/peers?port=8222')).status).toBe(204);
    expect((await cache.send('PUT', '/peers?port=8223&host=evil')).status).toBe(204);
    for (const query of ['', '?port=0', '?port=65536', '?port=1e3', '?port=8222%20']) {
      expect((await cache.send('PUT', `/peers${query}`)).status).toBe(400);
    }
    expect((await cache.send('DELETE', '/peers')).status).toBe(405);
    const { status, body } = await cache.send('GET', '/peers');
    const listed = JSON.parse(body.toString()) as { schema: string; peers: string[] };
    expect([status, listed.schema, listed.peers.toSorted()]).toEqual([
      200,
      'tartlet.peers/v1',
      ['127.0.0.1:8222', '127.0.0.1:8223'],
    ]);
    // A registry that is no cache has none.
    expect((await upstream.send('GET', '/peers')).status).toBe(404);
  });

  it('are what a pull asks, from the announcement of a host to the last byte', async () => {
    const upstream = await startRegistry();
    const cache = await startCache([`127.0.0.1:${upstream.port}`]);
    const list = new URL(`http://127.0.0.1:${cache.port}`);
    const image = tinyImage();
    const registry = await startStaticRegistry({ latest: image });
    const name = RemoteName.parse(`${registry.address}/org/vm:latest`);
    const key = fleetKey(TOKEN, 'test');
    const giver = freshSession();
    await pull(giver, name);
    const listen = { host: '127.0.0.1', port: 0 };
    const peer = await servePeers(giver, { key, listen, lists: [list] });
    onTestFinished(async () => peer.close());
    await expect
      .poll(async () => (await cache.send('GET', '/peers')).body.toString())
      .toContain(`127.0.0.1:${peer.address.port}`);
    const taker = freshSession({ peers: async () => ({ key, lists: [list] }) });
    expect((await pull(taker, name)).peerBytes).toBeGreaterThan(0);
  });
});
