import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { authFileSource } from '../../src/credentials/auth-file-source.ts';
import { storeCredential } from '../../src/credentials/credential-store.ts';
import { describeNote } from '../../src/credentials/note.ts';
import { address, basic, World } from './world.ts';

const ECR = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';

/** Finds who we are at a registry, as one file says. */
function finder(world: World, content: unknown) {
  const source = authFileSource({ path: world.write(world.dockerFile, content) }, world.settings());
  return async (registry: string) => source.find(address(registry));
}

/** A helper that knows everybody by its own name. */
function knowing(world: World, ...suffixes: readonly string[]): void {
  for (const suffix of suffixes) world.helper(suffix, `echo '{"Username":"${suffix}","Secret":"s"}'`);
}

describe('keys of credHelpers that are patterns (S57)', () => {
  it.each([
    ['(.*).dkr.ecr.(.*).amazonaws.com', ECR, true],
    ['(.*).DKR.ecr.(.*).amazonaws.com', ECR.toUpperCase(), true],
    [String.raw`[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?`, `${ECR}.cn`, true],
    [String.raw`^\d+\.dkr\.ecr\..*\.amazonaws\.com$`, ECR, true],
    ['(eu|us).gcr.io', 'us.gcr.io', true],
    ['(.*).example', 'a.example:443', true],
    ['(.*).example:443', 'a.example', true],
    ['(.*).example:8221', 'a.example:8221', true],
    // The whole host, its port included.
    ['(.*).dkr.ecr.(.*).amazonaws.com', `${ECR}.evil.test`, false],
    ['dkr.*', ECR, false],
    ['(.*).example', 'a.example:8221', false],
    ['(.*)', 'a.example:8221', true],
  ])('%s at %s: %s', async (pattern, registry, fits) => {
    const world = new World();
    knowing(world, 'one');
    const found = await finder(world, { credHelpers: { [pattern]: 'one' } })(registry);
    expect(found?.source).toBe(fits ? 'docker-credential-one' : undefined);
    expect(world.notes).toEqual([]);
  });

  it('come after the exact ones, and the first that fits decides', async () => {
    const world = new World();
    knowing(world, 'first', 'second', 'exact', 'all');
    const find = finder(world, {
      credHelpers: { '(.*).gcr.io': 'first', '(eu|us).gcr.io': 'second', 'eu.gcr.io': 'exact' },
      credsStore: 'all',
    });
    expect(await find('eu.gcr.io')).toMatchObject({ username: 'exact' });
    expect(await find('us.gcr.io')).toMatchObject({ username: 'first' });
    expect(await find('quay.io')).toMatchObject({ username: 'all' });
  });

  it('are none where the key is a host: its dots are dots', async () => {
    const world = new World();
    knowing(world, 'one');
    expect(await finder(world, { credHelpers: { 'eu.gcr.io': 'one' } })('eu-gcr.io')).toBeUndefined();
  });

  it('come after an entry with a secret, and an empty name means none', async () => {
    const world = new World();
    knowing(world, 'one', 'all');
    const find = finder(world, {
      auths: { 'a.example': basic('entry', 'p') },
      credHelpers: { '(a|b).example': 'one', 'c[.]example': '' },
      credsStore: 'all',
    });
    expect(await find('a.example')).toMatchObject({ username: 'entry' });
    expect(await find('b.example')).toMatchObject({ username: 'one' });
    expect(await find('c.example')).toBeUndefined();
  });

  it('take the helper in which a login is stored, too', async () => {
    const world = new World();
    const kept = world.keepingHelper('one');
    world.write(world.dockerFile, { credHelpers: { '(.*).example': 'one' } });
    const secret = { kind: 'password', username: 'u', password: 'p' } as const;
    expect(await storeCredential(address('a.example:443'), secret, world.settings())).toMatchObject({ kind: 'helper' });
    expect(readFileSync(kept, 'utf8')).toContain('a.example:443');
  });

  it.each(['(a', '*.example', '(?=a)b', String.raw`(a)\1`, '(a{1000}){1000}', `(${'x'.repeat(1000)})`])(
    'that cannot be matched are passed over with a note: %s',
    async (pattern) => {
      const world = new World();
      knowing(world, 'one', 'all');
      const find = finder(world, { credHelpers: { [pattern]: 'one' }, credsStore: 'all' });
      expect(await find('a.example')).toMatchObject({ username: 'all' });
      expect(await find('b.example')).toMatchObject({ username: 'all' });
      expect(world.notes.map((note) => note.kind)).toEqual(['helper-key']);
      const [note] = world.notes;
      expect(note === undefined ? '' : describeNote(note)).toContain(`in ${path.join(world.dockerFile)} is neither`);
    },
  );

  it.each(['(a+)+', '(a|aa)+', '((a*)*)*', '(a|a)*b', 'a?'.repeat(60) + 'a'.repeat(60)])(
    'take no time that grows faster than the host: %s',
    async (pattern) => {
      const world = new World();
      knowing(world, 'one');
      // The engine of JavaScript would not come back from this within this century.
      const host = `${'a'.repeat(63)}.${'a'.repeat(63)}.${'a'.repeat(63)}.x`;
      expect(await finder(world, { credHelpers: { [pattern]: 'one' } })(host)).toBeUndefined();
    },
  );

  it('do no harm where an entry is there and the default helper is no program name', async () => {
    const world = new World();
    const find = finder(world, { auths: { 'h:1': basic('entry', 'p') }, credsStore: '../evil' });
    expect(await find('h:1')).toMatchObject({ username: 'entry' });
  });
});
