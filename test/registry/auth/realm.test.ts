import { describe, expect, it } from 'vitest';
import { judgeRealm } from '../../../src/registry/auth/realm.ts';
import { scopesToAsk } from '../../../src/registry/auth/scope.ts';

describe('whom the password may be shown (S6)', () => {
  it.each([
    ['https://registry.example:8221', 'https://registry.example/token', true],
    ['https://registry.example', 'https://registry.example:8443/token', true],
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
    ['https://a.registry.example', 'https://login.registry.example/t', true],
    ['http://localhost:5000', 'http://localhost:5001/token', true],
    ['https://registry.example', 'https://evil.test/token', false],
    ['https://registry.co.uk', 'https://evil.co.uk/token', false],
    ['https://registry.corp.co.uk', 'https://auth.corp.co.uk/token', true],
    ['https://10.0.0.1', 'https://11.0.0.1/token', false],
    ['https://registry', 'https://auth/token', false],
    ['https://registry.corp.internal', 'https://auth.corp.internal/token', true],
    ['https://registry.example', 'https://registry.example.evil.test/token', false],
    ['https://registry.example', 'https://evilregistry.example/token', false],
    // Customers of one landlord: by the Public Suffix List, and by our own list of landlords.
    ['https://mine.github.io', 'https://evil.github.io/token', false],
    ['https://mine.azurecr.io', 'https://evil.azurecr.io/oauth2/token', false],
    ['https://mine.azurecr.io', 'https://mine.azurecr.io/oauth2/token', true],
    ['https://1.dkr.ecr.eu-west-1.amazonaws.com', 'https://evil.s3.amazonaws.com/token', false],
    ['https://mine.localhost', 'https://evil.localhost/token', false],
  ])('%s → %s: %s', async (origin, realm, trusted) => {
    expect((await judgeRealm(realm, origin)).trusted).toBe(trusted);
  });

  it.each([
    ['https://registry.example', 'http://registry.example/token'],
    ['http://registry.example', 'http://auth.registry.example/token'],
    ['https://registry.example', ''],
    ['https://registry.example', 'https://'],
  ])('%s → %s is refused (S5)', async (origin, realm) => {
    await expect(judgeRealm(realm, origin)).rejects.toMatchObject({ code: 'AUTH_REALM' });
  });
});

describe('scopes', () => {
  const push = { repository: 'a/b', action: 'push' } as const;

  it.each([
    [undefined, ['repository:a/b:pull,push']],
    ['', ['repository:a/b:pull,push']],
    ['repository:a/b:pull', ['repository:a/b:pull,push']],
    ['repository:a/b:push,delete', ['repository:a/b:push,delete,pull']],
    ['repository:library/a/b:pull', ['repository:library/a/b:pull']],
    ['aws', ['aws']],
  ])('challenge %j asks for %j', (challenged, expected) => {
    expect(scopesToAsk(challenged, push)).toEqual(expected);
  });

  it('name the second repository of a mount', () => {
    expect(scopesToAsk('repository:a/b:pull,push', { ...push, mountFrom: 'c/d' })).toEqual([
      'repository:a/b:pull,push',
      'repository:c/d:pull',
    ]);
  });
});
