import { describe, expect, it } from 'vitest';
import { basicValue, clientFor, password, scripted } from './world.ts';

describe('asking a registry whether it is one', () => {
  it('takes 200 for a yes, with the password when it is wanted', async () => {
    const registry = await scripted({
      'GET /v2/': ({ headers }) =>
        headers['authorization'] === basicValue() ? {} : { status: 401, headers: { 'www-authenticate': 'Basic' } },
    });
    await expect(clientFor(registry, { credentials: password() }).client.ping()).resolves.toBeUndefined();
    await expect(clientFor(registry, { credentials: password('ci', 'wrong') }).client.ping()).rejects.toMatchObject({
      code: 'AUTH_DENIED',
    });
  });

  it.each([
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }, 'NET_PROTOCOL'],
    ['404', { status: 404 }, 'NOT_FOUND'],
  ])('does not take %s for one', async (_title, answer, code) => {
    const registry = await scripted({ 'GET /v2/': answer });
    await expect(clientFor(registry).client.ping()).rejects.toMatchObject({ code });
  });
});

describe('another repository of the same registry', () => {
  it('is spoken to over the same connection with the same password', async () => {
    const challenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } };
    const registry = await scripted({
      'GET /v2/c/d/tags/list': ({ headers }) =>
        headers['authorization'] === undefined ? challenge : { body: '{"tags":["t"]}' },
    });
    const { client } = clientFor(registry, { credentials: password() });
    const found: string[] = [];
    for await (const tag of client.sibling('c/d').tags()) found.push(tag);
    expect(found).toEqual(['t']);
    expect(registry.connections).toBe(1);
  });
});
