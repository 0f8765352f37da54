import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';

/* What registries have, and what of it takes room here, as a user asks for it. */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const PASSWORD = 'canary-t7g5-login';
let user: Workplace;
let registry: string;

beforeAll(async () => {
  const { port } = await startRealRegistry(cleanup, 'embedded', {
    auth: { kind: 'basic', user: 'ci', password: PASSWORD },
  });
  registry = `127.0.0.1:${port}`;
  user = new Workplace(cleanup, { login: { registry, user: 'ci', password: PASSWORD } });
  await createVm(user, 'vm', 2);
  const tags = ['3', '1', '2'].map((tag) => `${registry}/team/base:${tag}`);
  const { exitCode, stderr } = await user.run('push', 'vm', ...tags, `${registry}/team/other:1`);
  expect(exitCode, stderr).toBe(0);
});

function document({ exitCode, stdout, stderr }: Ran): unknown {
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe('tags', () => {
  it('prints one a line, or a document', async () => {
    expect(await user.run('tags', `${registry}/team/base`)).toEqual({ exitCode: 0, stdout: '1\n2\n3\n', stderr: '' });
    expect(document(await user.run('tags', '--format', 'json', `${registry}/team/base:2`))).toEqual({
      schema: 'tartlet.tags/v1',
      repository: `${registry}/team/base`,
      tags: ['1', '2', '3'],
      more: false,
    });
  });

  it('stops where enough are there, and says that there are more', async () => {
    const { stdout, stderr } = await user.run('tags', '--limit', '2', `${registry}/team/base`);
    expect([stdout, stderr]).toEqual(['1\n2\n', expect.stringContaining('there are more than these 2')]);
    expect(document(await user.run('tags', '--limit', '3', '--format', 'json', `${registry}/team/base`))).toMatchObject(
      {
        tags: ['1', '2', '3'],
        more: false,
      },
    );
  });

  it('of a repository that is not there is an error', async () => {
    const { exitCode, stdout, stderr } = await user.run('tags', `${registry}/team/none`);
    expect([exitCode, stdout, stderr]).toEqual([1, '', expect.stringContaining('cannot list the tags of')]);
  });

  it('prints each once, and nothing that can be no tag', async () => {
    const scripted = await ScriptedRegistry.start({
      'GET /v2/': { body: '{}' },
      'GET /v2/a/b/tags/list': [
        { body: '{"tags":["1","\\u001b[31mred","2"]}', headers: { link: '<?last=2>; rel="next"' } },
        { body: '{"tags":["2","1","3",".."]}' },
      ],
    });
    cleanup.add(async () => scripted.close());
    const { stdout, stderr } = await user.run('tags', `${scripted.address.toString()}/a/b`);
    expect([stdout, stderr]).toEqual(['1\n2\n3\n', expect.stringContaining('2 of what the registry sent')]);
  });
});

describe('catalog', () => {
  it('prints names as commands take them, or a document', async () => {
    const names = [`${registry}/team/base`, `${registry}/team/other`];
    expect((await user.run('catalog', registry)).stdout).toBe(`${names.join('\n')}\n`);
    expect(document(await user.run('catalog', '--limit', '1', '--format', 'json', registry))).toEqual({
      schema: 'tartlet.catalog/v1',
      registry,
      repositories: ['team/base'],
      more: true,
    });
  });

  it('says what helps where a registry lists none', async () => {
    const scripted = await ScriptedRegistry.start({
      'GET /v2/': { body: '{}' },
      'GET /v2/_catalog': { status: 405, body: '{"errors":[{"code":"UNSUPPORTED","message":"not here"}]}' },
    });
    cleanup.add(async () => scripted.close());
    const { exitCode, stderr } = await user.run('catalog', scripted.address.toString());
    expect(exitCode).toBe(1);
    expect(stderr).toContain('cannot list the repositories of');
    expect(stderr).toContain('many registries, ghcr.io and Docker Hub among them, list no repositories');
  });
});

describe('df', () => {
  it('shows images and VMs, alone and in all', async () => {
    expect((await user.run('pull', `${registry}/team/base:1`)).exitCode).toBe(0);
    const { stdout } = await user.run('df');
    const [heading = '', ...lines] = stdout.split('\n');
    expect(heading.trim().split(/ +/)).toEqual([
      'Kind',
      'Name',
      'Disk',
      'Size',
      'Unique',
      'Shared',
      'Reclaimable',
      'State',
    ]);
    expect(lines[0]).toMatch(new RegExp(`^image ${registry}/team/base:1 `));
    expect(lines[1]).toMatch(/^VM +vm /);
    expect(stdout).toMatch(/^In all: +\S+ (?:k|M)?B$/m);
    expect(document(await user.run('df', '--format', 'json'))).toMatchObject({
      schema: 'tartlet.df/v1',
      images: [{ tags: [`${registry}/team/base:1`], pinned: false }],
      vms: [{ name: 'vm', state: 'stopped' }],
      unfinished: { files: 0, allocatedBytes: 0 },
    });
  });
});
