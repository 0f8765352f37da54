import { describe, expect, it } from 'vitest';
import { basicValue, clientFor, password, scripted } from './world.ts';
import { Repository } from '../../src/names/repository.ts';

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
    ['an empty object', { body: '{}\n' }],
    [
      "Docker's header, whatever follows",
      { headers: { 'docker-distribution-api-version': 'registry/2.0' }, body: 'true' },
    ],
  ])('knows one by %s', async (_title, answer) => {
    const registry = await scripted({ 'GET /v2/': answer });
    await expect(clientFor(registry).client.ping()).resolves.toBeUndefined();
  });

  it.each([
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }, 'NET_PROTOCOL'],
    ['a web page that does not say so', { body: '\n<!DOCTYPE html><title>Hello</title>' }, 'NET_PROTOCOL'],
    ['a service that likes every path', { body: '{"status":"ok"}' }, 'NET_PROTOCOL'],
    ['an endless answer', { body: ' '.repeat(64 * 1024 + 1) }, 'NET_PROTOCOL'],
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
    for await (const tag of client.sibling(Repository.parse('c/d')).tags()) found.push(tag);
    expect(found).toEqual(['t']);
    expect(registry.connections).toBe(1);
  });
});
