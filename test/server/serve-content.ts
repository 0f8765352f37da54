import http from 'node:http';
import { onTestFinished } from 'vitest';
import { allowAll } from '../../src/server/access/access.ts';
import { RequestHandler, type Served } from '../../src/server/http/handler.ts';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import { type RegistryOptions, resolveOptions } from '../../src/server/settings/options.ts';
import { type ProtocolClient, protocolClient } from './running-registry.ts';

/** The protocol over any content, gone with the test. Everybody may do everything. */
export async function serveContent(
  content: Served['content'],
  options: Partial<RegistryOptions> = {},
): Promise<ProtocolClient & { readonly events: RegistryEvent[] }> {
  const events: RegistryEvent[] = [];
  const settings = resolveOptions({ dataDirectory: '', log: (event) => events.push(event), ...options });
  const handler = new RequestHandler(settings, { content, authenticator: allowAll });
  const server = http.createServer((request, response) => void handler.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  onTestFinished(() => server.closeAllConnections());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { ...protocolClient(address.port), events };
}
