import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { expectRefusal } from '../support/real-refusal.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';

describe('a command that cannot mean anything', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;

  beforeAll(async () => {
    workplace = new Workplace(cleanup);
    await createVm(workplace, 'mine');
  });
  afterAll(async () => cleanup.run());

  describe('a malformed name, with the place of the fault', () => {
    it.each([
      ['registry.example:8221/team/ba se:1', 'a repository cannot contain " "', 'at character 30'],
      ['registry.example:99999/team/base:1', 'a port is a number from 1 to 65535', 'at character 18'],
      ['registry.example:/team/base:1', 'there is no port after the colon', 'at character 18'],
      ['registry.example:8221/team//base', 'a part of the repository is empty', 'at character 28'],
      ['registry.example:8221/../../etc:1', 'must begin with a letter or a digit', 'at character 23'],
      ['registry.example:8221/team/base:', 'there is no tag after the colon', 'at its end'],
      ['registry.example:8221/team/base@sha256:12', 'is not a valid name', 'at its end'],
      ['[::1:5000/team/base:1', 'the IPv6 address is not closed', 'at character 1'],
      ['base', 'there is no "/" between a registry and a repository', 'at its end'],
    ])('pull %s', async (name, why, place) => {
      await expectRefusal(workplace, ['pull', name], {
        code: 'NAME_MALFORMED',
        says: [`"${name}"`, why, place],
        next: '',
      });
    });

    it.each([
      ['push', 'mine', 'registry.invalid/team/Base:1'],
      ['push', 'mine', 'registry.invalid/ok:1', 'registry.invalid/team/Base:1'],
      ['pull', 'registry.invalid/team/Base:1'],
      ['pull', '--dry-run', 'registry.invalid/team/Base:1'],
      ['clone', 'registry.invalid/team/Base:1', 'new'],
      ['copy', 'registry.invalid/team/Base:1', 'registry.invalid/team/base:1'],
      ['copy', 'registry.invalid/team/base:1', 'registry.invalid/team/Base:1'],
      ['inspect', '--remote', 'registry.invalid/team/Base:1'],
    ])('in upper case is refused before a registry is asked: %s %s %s', async (...args) => {
      await expectRefusal(workplace, args, {
        code: 'NAME_MALFORMED',
        says: ['"registry.invalid/team/Base:1"', 'no registry takes upper case in a repository', 'at character 23'],
        next: 'write registry.invalid/team/base:1',
      });
    });

    it('is found before a push begins', async () => {
      await expectRefusal(workplace, ['push', 'mine', 'registry.example:8221/ok:1', 'registry.example:x/no:1'], {
        code: 'NAME_MALFORMED',
        says: ['registry.example:x/no:1', 'a port has only digits'],
        next: 'host:port',
      });
    });
  });

  it('a scheme in the name: shows the right spelling', async () => {
    await expectRefusal(workplace, ['pull', 'https://registry.example:8221/team/base:1'], {
      code: 'NAME_MALFORMED',
      says: ['a name has no "https://"'],
      next: 'write it as registry.example:8221/team/base:1',
    });
  });

  it('a password in the name: is not repeated', async () => {
    const { stderr } = await expectRefusal(workplace, ['pull', 'ci:hunter2@registry.example/team/base:1'], {
      code: 'NAME_MALFORMED',
      says: [],
      next: '',
    });
    expect(stderr).not.toContain('hunter2');
  });

  describe('a VM that does not exist', () => {
    it.each([
      ['get', 'nobody'],
      ['clone', 'nobody', 'copy'],
      ['push', 'nobody', '127.0.0.1:1/team/base:1'],
      ['delete', 'nobody'],
      ['delete', '127.0.0.1:1/team/base:1'],
    ])('%s %s', async (...args) => {
      await expectRefusal(workplace, args, {
        code: 'VM_NOT_FOUND',
        exitCode: 2,
        says: [args[1] ?? ''],
        next: 'tartlet list',
      });
    });
  });

  describe('wrong usage', () => {
    it.each([
      [['frobnicate'], 'frobnicate'],
      [['pull'], 'remote-name'],
      [['pull', '--concurrency', '0', 'registry.example/base'], 'a whole number from 1 to 64'],
      [['pull', '--frobnicate', 'registry.example/base'], '--frobnicate'],
      [['push', 'mine'], 'remote-names'],
      [['list', '--format', 'xml'], 'text, json'],
      [['clone', 'mine', 'a/b'], 'a/b'],
      [['create', 'fresh'], '--linux'],
      [['create', '--linux', '--disk-size', 'huge', 'fresh'], 'whole number'],
      [['rename', 'mine', 'a/b'], 'a/b'],
      [['rename', 'mine', 'mine'], 'the VM "mine" exists already'],
    ])('%j', async (args, says) => {
      const before = workplace.snapshot();
      const { exitCode, stdout, stderr } = await workplace.run(...args);

      expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 64, stdout: '' });
      expect(stderr).toContain(says);
      expect(stderr).toMatch(/^Usage: tartlet/m);
      expect(workplace.snapshot()).toEqual(before);
    });
  });
});

describe('names that need the same path', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let sender: Workplace;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    const { exitCode, stderr } = await sender.run('push', 'vm', at('a:b'));
    expect(exitCode, stderr).toBe(0);
    await sender.run('push', 'vm', at('a/b:1'));
  });
  afterAll(async () => cleanup.run());

  const at = (name: string): string => `127.0.0.1:${registry.port}/${name}`;

  it('a tag where a repository is wanted (tart-cli §7 #8)', async () => {
    const receiver = new Workplace(cleanup);
    await receiver.run('pull', at('a:b'));
    await receiver.names(); // The first look at a cache leaves its stamp there.
    await expectRefusal(receiver, ['pull', at('a/b:1')], {
      code: 'NAME_COLLISION',
      says: [at('a/b:1'), at('a:b')],
      next: 'use another TART_HOME for one of the two',
    });
  });

  it('a repository where a tag is wanted (tart-cli §7 #8)', async () => {
    const receiver = new Workplace(cleanup);
    await receiver.run('pull', at('a/b:1'));
    await receiver.names();
    await expectRefusal(receiver, ['pull', at('a:b')], {
      code: 'NAME_COLLISION',
      says: [at('a:b'), at('a/b')],
      next: 'use another TART_HOME for one of the two',
    });
  });
});
