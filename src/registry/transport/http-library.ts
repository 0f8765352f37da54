import type * as undici from 'undici';

/** The part of undici that a client of registries needs. */
export type HttpLibrary = Pick<typeof undici, 'Agent' | 'buildConnector'>;

/**
 * Loads undici without what only browsers need (`fetch`, WebSocket, caches, mocks): 25 files instead of 110, 30 ms
 * instead of 120, which every command that asks a registry waits for. They are put together as its `index.js` does; the
 * version is pinned, and every test of a request runs through this.
 */
export async function loadHttpLibrary(): Promise<HttpLibrary> {
  const [agent, dispatcher, request, connect] = await Promise.all([
    import('undici/lib/dispatcher/agent.js'),
    import('undici/lib/dispatcher/dispatcher.js'),
    import('undici/lib/api/api-request.js'),
    import('undici/lib/core/connect.js'),
  ]);
  const methods: Pick<undici.Dispatcher, 'request'> = { request: request.default };
  Object.assign(dispatcher.default.prototype, methods);
  return { Agent: agent.default, buildConnector: connect.default };
}
