import { describe, expect, it } from 'vitest';
import { environmentSource } from '../../src/credentials/environment.ts';
import { address, everythingIn, failure, World } from './world.ts';

const bothSet = { TART_REGISTRY_USERNAME: 'ci', TART_REGISTRY_PASSWORD: 'se:cret' };

function sourceOf(environment: Record<string, string>, commandRegistry?: string) {
  const world = new World();
  const settings = { ...world.settings(), environment };
  const source = environmentSource(settings, commandRegistry === undefined ? undefined : address(commandRegistry));
  return { world, find: async (registry: string) => source.find(address(registry)) };
}

describe('TART_REGISTRY_HOSTNAME binds the credential to one registry', () => {
  it.each([
    ['registry.example:8221', 'registry.example:8221'],
    ['https://registry.example:8221', 'registry.example:8221'],
    ['https://registry.example:8221/', 'registry.example:8221'],
    ['Registry.Example:8221', 'registry.example:8221'],
    ['registry.example', 'registry.example:443'],
    ['registry.example:443', 'registry.example'],
    ['[::1]:5000', '[::1]:5000'],
  ])('%s: found for %s', async (hostname, registry) => {
    const { find } = sourceOf({ ...bothSet, TART_REGISTRY_HOSTNAME: hostname });
    expect(await find(registry)).toEqual({
      kind: 'password',
      registry: address(registry),
      username: 'ci',
      password: 'se:cret',
      source: 'TART_REGISTRY_USERNAME',
    });
  });

  it.each([
    ['registry.example:8221', 'registry.example'],
    ['registry.example', 'registry.example:8221'],
    ['registry.example:8221', 'registry.example:8222'],
    ['registry.example', 'evil.example'],
  ])('%s: not found for %s', async (hostname, registry) => {
    // Not even when the command names that registry: the variable is the narrower word.
    const { find } = sourceOf({ ...bothSet, TART_REGISTRY_HOSTNAME: hostname }, registry);
    expect(await find(registry)).toBeUndefined();
  });

  it.each(['https://', 'registry.example/org', 'a b', 'ci:canary-7@registry.example', 'registry.example:99999'])(
    '"%s" is refused, not guessed at',
    async (hostname) => {
      const { find } = sourceOf({ ...bothSet, TART_REGISTRY_HOSTNAME: hostname });
      const error = await failure(find('registry.example'));
      expect(error.code).toBe('CONFIG_INVALID');
      expect(error.message).toContain('TART_REGISTRY_HOSTNAME');
      expect(everythingIn(error)).not.toMatch(/canary-7|se:cret/);
    },
  );
});

describe('without TART_REGISTRY_HOSTNAME', () => {
  it('serves the registry that the command names, and no other (S4, tart-cli §7 #6)', async () => {
    const { find } = sourceOf(bothSet, 'registry.example:8221');
    expect(await find('registry.example:8221')).toMatchObject({ username: 'ci' });
    expect(await find('registry.example')).toBeUndefined();
    expect(await find('mistyped.example:8221')).toBeUndefined();
  });

  it('serves no registry when the command names none, and says so once', async () => {
    const { find, world } = sourceOf(bothSet);
    expect(await find('registry.example')).toBeUndefined();
    expect(await find('registry.example')).toBeUndefined();
    expect(world.notes).toEqual([{ kind: 'unbound-environment' }]);
  });

  it('an empty variable is as good as none', async () => {
    const { find } = sourceOf({ ...bothSet, TART_REGISTRY_HOSTNAME: '' }, 'registry.example');
    expect(await find('registry.example')).toMatchObject({ username: 'ci' });
    expect(await find('evil.example')).toBeUndefined();
  });
});

describe('both variables are needed', () => {
  it.each([
    [{ TART_REGISTRY_USERNAME: 'ci' }, 'TART_REGISTRY_PASSWORD'],
    [{ TART_REGISTRY_USERNAME: 'ci', TART_REGISTRY_PASSWORD: '' }, 'TART_REGISTRY_PASSWORD'],
    [{ TART_REGISTRY_PASSWORD: 'x' }, 'TART_REGISTRY_USERNAME'],
  ])('%j: nothing, and a note about %s', async (environment, missing) => {
    const { find, world } = sourceOf(environment, 'registry.example');
    expect(await find('registry.example')).toBeUndefined();
    expect(world.notes).toMatchObject([{ kind: 'half-environment', missing }]);
  });

  it('two empty ones are nothing worth a note', async () => {
    const { find, world } = sourceOf({ TART_REGISTRY_USERNAME: '', TART_REGISTRY_PASSWORD: '' }, 'registry.example');
    expect(await find('registry.example')).toBeUndefined();
    expect(world.notes).toEqual([]);
  });
});
