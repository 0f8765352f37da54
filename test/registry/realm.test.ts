import { describe, expect, it } from 'vitest';
import { judgeRealm } from '../../src/registry/realm.ts';
import { scopesToAsk } from '../../src/registry/scope.ts';

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
  ])('%s → %s: %s', (origin, realm, trusted) => {
    expect(judgeRealm(realm, origin).trusted).toBe(trusted);
  });

  it.each([
    ['https://registry.example', 'http://registry.example/token'],
    ['http://registry.example', 'http://auth.registry.example/token'],
    ['https://registry.example', ''],
    ['https://registry.example', 'https://'],
  ])('%s → %s is refused (S5)', (origin, realm) => {
    expect(() => judgeRealm(realm, origin)).toThrowError(expect.objectContaining({ code: 'AUTH_REALM' }));
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
