import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { createVm } from '../support/real-vm.ts';
import { serveImage } from '../support/scripted-image.ts';
import { type Answer, type RecordedRequest, ScriptedRegistry } from '../support/scripted-registry.ts';
import { tinyImage } from '../support/tart-image.ts';
import { TokenService } from '../support/token-service.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

let registry: ScriptedRegistry;
let tokens: TokenService;

/** Everybody may read `public/vm`, with a token for everybody; nothing else may be done without a login. */
beforeAll(async () => {
  tokens = await TokenService.start();
  tokens.answer = ({ path: asked }, count): Answer =>
    decodeURIComponent(asked).includes('public/vm:pull&') ? { body: `{"token":"token-${count}"}` } : { status: 401 };
  registry = await ScriptedRegistry.start();
  registry.guard(({ headers }: RecordedRequest) =>
    headers['authorization']?.startsWith('Bearer ') === true ? undefined : tokens.challenge(),
  );
  for (const repository of ['public/vm', 'private/vm']) serveImage(registry, repository, '1', tinyImage());
  cleanup.add(async () => {
    await registry.close();
    await tokens.server.close();
  });
});

type Breakage = readonly [title: string, breakIt: (directory: string) => void, why: (directory: string) => string];

const config = (content: unknown) => (directory: string) =>
  writeFileSync(path.join(directory, 'config.json'), typeof content === 'string' ? content : JSON.stringify(content), {
    mode: 0o600,
  });

function helper(directory: string, script: string): void {
  const file = path.join(directory, '../bin/docker-credential-broken');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  config({ credsStore: 'broken' })(directory);
}

const BREAKAGES: readonly Breakage[] = [
  [
    'names a helper that is not installed',
    config({ credsStore: 'missing' }),
    (directory) =>
      `the credential helper docker-credential-missing is not in PATH (named by credsStore in ${directory}/config.json)`,
  ],
  [
    'names a helper that fails',
    (directory) => helper(directory, 'echo canary >&2; exit 1'),
    () => `docker-credential-broken get failed for ${registry.authority}: exit code 1`,
  ],
  [
    'names a helper that answers nonsense',
    (directory) => helper(directory, 'echo canary'),
    () => `docker-credential-broken answered for ${registry.authority}, but its answer is not JSON`,
  ],
  [
    'is a directory',
    (directory) => {
      rmSync(path.join(directory, 'config.json'), { force: true });
      mkdirSync(path.join(directory, 'config.json'));
    },
    (directory) => `${directory}/config.json cannot be used: it is not a regular file`,
  ],
  ['is no JSON', config('{"auths":'), (directory) => `${directory}/config.json`],
];

describe.each(BREAKAGES)('a login setting that %s', (_title, breakIt, why) => {
  function brokenWorkplace(): { workplace: Workplace; reason: string } {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const directory = workplace.environment['DOCKER_CONFIG'] ?? '';
    breakIt(directory);
    const PATH = `${path.join(directory, '../bin')}:${workplace.environment['PATH'] ?? ''}`;
    Object.assign(workplace.environment, { PATH });
    return { workplace, reason: why(directory) };
  }

  it('does not keep a public image from being read, and is told once (S56)', async () => {
    const { workplace, reason } = brokenWorkplace();
    const { exitCode, stderr } = await workplace.run('pull', `${registry.authority}/public/vm:1`);
    expect(exitCode, stderr).toBe(0);
    const notes = stderr.split('\n').filter((line) => line.startsWith('note: '));
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(reason);
    expect(notes[0]).toContain(': going on without a login');
    expect(stderr).not.toContain('canary');
  });

  it('is named beside the refusal of what is not public (S56)', async () => {
    const { workplace, reason } = brokenWorkplace();
    const { exitCode, stderr } = await workplace.run('pull', `${registry.authority}/private/vm:1`);
    expect(exitCode).toBe(1);
    const [first = ''] = stderr.split('\n');
    expect(first).toContain(`${registry.authority} gives no token to anonymous users`);
    expect(first).toContain(`; the login for it cannot be used: ${reason}`);
    expect(stderr).not.toContain('canary');
  });

  it('is the error of whatever writes, before anything is sent (S56)', async () => {
    const { workplace, reason } = brokenWorkplace();
    await createVm(workplace, 'vm', 4);
    const before = tokens.requests.length;
    const { exitCode, stderr } = await workplace.run('push', 'vm', `${registry.authority}/public/vm:2`);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[(?:AUTH_HELPER|CONFIG_INVALID)\]: /m);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain('going on without a login');
    expect(tokens.requests).toHaveLength(before);
  });
});
