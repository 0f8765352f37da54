import { expect, it, onTestFinished } from 'vitest';
import { Cleanup } from '../../support/real-cleanup.ts';
import { Workplace } from '../../support/real-command.ts';
import { eventually, protocolClient, type ProtocolClient } from '../running-registry.ts';
import { readable } from './readable.ts';
import { pushSample } from './sample-images.ts';

async function serve(...options: readonly string[]): Promise<ProtocolClient> {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  const workplace = new Workplace(cleanup);
  const server = workplace.start('serve', '--listen', '127.0.0.1:0', '--data', cleanup.directory(), ...options);
  cleanup.add(async () => {
    server.kill('SIGKILL');
    await server.ended;
  });
  await eventually('it listens', () => server.stdout.endsWith('\n'));
  return protocolClient(Number(new URL(server.stdout.trim()).port));
}

it('serve has a page with the command that pulls an image, health checks and metrics', async () => {
  const client = await serve();
  await pushSample(client, 'linux/debian', '12', { chunks: [{ content: 'x', size: 1024, stored: 100 }] });
  const image = await client.send('GET', '/image/linux/debian:12');
  expect(readable(image.body)).toContain(`Pull tartlet pull 127.0.0.1:${client.port}/linux/debian:12 Copy`);
  const script = await client.send('GET', '/page/script.js');
  expect([script.status, script.headers['content-type']]).toEqual([200, 'text/javascript; charset=utf-8']);
  expect(script.body.toString('utf8')).toContain("document.querySelectorAll('button[data-copy]')");
  expect((await client.send('GET', '/healthz')).body.toString('utf8')).toBe('ok\n');
  expect((await client.send('GET', '/metrics')).body.toString('utf8')).toMatch(/^tartlet_connections 1$/m);
});

it('serve has neither where they were switched off', async () => {
  const { send } = await serve('--no-page', '--metrics', 'none');
  for (const target of ['/', '/page/style.css', '/metrics']) expect((await send('GET', target)).status).toBe(404);
  expect((await send('GET', '/readyz')).status).toBe(200);
});

it('serve --proxy has a page of what the cache did', async () => {
  const { send } = await serve('--proxy', 'registry.example');
  expect(readable((await send('GET', '/')).body)).toBe(
    'Site cache In front of registry.example. 0 blobs are here, 0 B; 0 arriving. Nothing public has come through it yet.',
  );
  expect((await send('GET', '/metrics')).body.toString('utf8')).toMatch(/^tartlet_cache_hits_total 0$/m);
  expect((await send('GET', '/readyz')).status).toBe(200);
});
