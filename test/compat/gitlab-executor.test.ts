import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { runVm } from '../support/running-vm.ts';
import { lowerCaseKeys, TartInPath } from '../support/tart-in-path.ts';

/*
 * What the GitLab executor calls (tart-cli §5.3) and what Tart's own benchmark does (tart-cli §5.4), word for word.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const ID = 'gitlab-4711';

describe('the GitLab executor', () => {
  let image: string;
  let host: TartInPath;

  beforeAll(async () => {
    const auth = { kind: 'basic', user: 'gitlab-ci-token', password: 'job:token' } as const;
    const { port } = await startRealRegistry(cleanup, 'embedded', { auth });
    image = `127.0.0.1:${port}/group/base:latest`;
    host = new TartInPath(
      cleanup,
      {},
      {
        TART_NO_AUTO_PRUNE: 'true',
        TART_REGISTRY_USERNAME: auth.user,
        TART_REGISTRY_PASSWORD: auth.password,
        TART_REGISTRY_HOSTNAME: `127.0.0.1:${port}`,
      },
    );
    await createVm(host, 'local-image', 2);
    await host.succeed('push', 'local-image', image);
  });

  it.each(['local-image', 'local-image:latest'])('pulls the local VM %s, which is there already', async (name) => {
    if (name !== 'local-image') await host.succeed('clone', 'local-image', name);
    const { exitCode, stdout } = await host.tart('pull', name, '--insecure', '--concurrency', '4');
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
  });

  it('prepares a job from an image of a registry with a password', async () => {
    expect(await host.succeed('pull', image, '--insecure', '--concurrency', '4')).toBe('');
    expect(await host.succeed('clone', image, ID, '--insecure', '--concurrency', '4')).toBe('');
    for (const words of [
      ['set', '--cpu', '4', ID],
      ['set', '--memory', '8192', ID],
      ['set', '--random-mac', ID],
      ['set', '--display', '1920x1080', ID],
    ]) {
      expect(await host.tart(...words)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
    const got = JSON.parse(await host.succeed('get', '--format', 'json', ID)) as Record<string, unknown>;
    expect(lowerCaseKeys(got)).toMatchObject({ os: 'linux', cpu: 4, memory: 8192, display: '1920x1080' });
  });

  it.each([
    [
      [
        'run',
        '--net-softnet',
        '--net-softnet-allow',
        '10.0.0.0/8',
        '--root-disk-opts',
        'sync=none',
        '--net-bridged',
        'en0',
      ]
        .concat(['--no-graphics', '--nested', '--dir', 'a:/tmp', '--disk', '/tmp/x.img:ro'])
        .concat([
          '--dir',
          '/builds:tag=tart.virtiofs.buildsdir.4711',
          '--dir',
          '/c:tag=tart.virtiofs.cachedir.4711',
          ID,
        ]),
    ],
    [['ip', '--wait', '1', '--resolver', 'dhcp', ID]],
    [['ip', '--wait', '1', '--resolver', 'arp', ID]],
  ])('%j is understood, and says what is missing', async (words) => {
    const { exitCode, stdout, stderr } = await host.tart(...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: words[0] === 'run' ? 64 : 1, stdout: '' });
    expect(stderr).toMatch(/^error\[(?:USAGE|GUEST_UNREACHABLE)\]: /);
  });

  it.runIf(process.platform === 'linux')('stops the VM of a job, then deletes it', async () => {
    await runVm(host.vmDirectory(ID));
    expect(await host.succeed('stop', ID)).toBe('');
    expect(await host.succeed('delete', ID)).toBe('');
  });

  it('a stop that comes late fails, and the delete behind it does not', async () => {
    await host.succeed('clone', 'local-image', ID);
    expect(await host.tart('stop', ID)).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await host.succeed('delete', ID)).toBe('');
  });

  it("runs what Tart's benchmark needs, in a home of its own", async () => {
    const bench = new TartInPath(cleanup, {}, { ...pick(host.variables, 'TART_REGISTRY_') });
    await bench.succeed('pull', '--concurrency', '8', '--insecure', image);
    await bench.succeed('clone', image, 'tart-benchmark-1');
    await bench.succeed('set', 'tart-benchmark-1', '--cpu', '4', '--memory', '8192');
    await bench.succeed('delete', 'tart-benchmark-1');
    const stacked = await bench.tart('clone', '--stacked', '--concurrency', '8', '--insecure', image, 'prewarmed-base');
    expect(stacked).toMatchObject({ exitCode: 64, stdout: '' });
    expect(stacked.stderr).toContain('macOS 27');
  });
});

function pick(variables: Readonly<Record<string, string>>, prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => name.startsWith(prefix)));
}
