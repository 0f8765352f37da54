import { mkdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assertImageLabels, type Orchard, orchardImages } from '../../src/orchard/orchard.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { freshSession } from '../support/home.ts';
import { after, scripted } from '../registry/world.ts';
import { rollout } from '../prefetch/world.ts';

/*
 * No Orchard runs here: what it would be asked and told is played by a small server, by the facts of the reference
 * (run-fleet-demand §4.2). That a real controller answers so was not tried.
 */

const TOKEN = 'a-token-of-the-service-account';
const BASIC = `Basic ${Buffer.from(`prefetch:${TOKEN}`).toString('base64')}`;
const json = (value: unknown) => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) });

interface Controller {
  readonly orchard: Orchard;
  /** As they were told last. */
  readonly workers: Record<string, unknown>[];
  readonly log: () => readonly string[];
}

/** A controller that takes one service account, and replaces workers of the same name and machine. */
async function controller(vms: readonly unknown[], workers: Record<string, unknown>[] = []): Promise<Controller> {
  const registry = await scripted({
    'GET /api/v1/vms': () => json(vms),
    'GET /api/v1/workers': () => json(workers),
    'POST /api/v1/workers': ({ body }) => {
      const told = JSON.parse(body.toString()) as Record<string, unknown>;
      const at = workers.findIndex(
        (each) => each['name'] === told['name'] && each['machine_id'] === told['machine_id'],
      );
      if (at < 0) return { status: 409 };
      workers[at] = told;
      return json(told);
    },
  });
  registry.guard(({ headers }) => (headers['authorization'] === BASIC ? undefined : { status: 401 }));
  const account = { name: 'prefetch', token: TOKEN };
  return {
    orchard: { url: new URL(`${registry.origin}/api/`), account, insecure: false },
    workers,
    log: () => registry.log,
  };
}

const VMS = [
  { name: 'mac', image: 'ghcr.io/acme/macos:15', os: 'darwin', arch: 'arm64', runtime: 'tart' },
  { name: 'old', image: 'ghcr.io/acme/old:1' },
  { name: 'linux', image: 'ghcr.io/acme/linux:12', os: 'linux', arch: 'amd64', runtime: 'vetu' },
  { name: 'again', image: 'ghcr.io/acme/linux:12', os: 'linux', arch: 'amd64', runtime: 'vetu' },
  { name: 'local', image: 'prepared-by-hand', os: 'linux', arch: 'amd64', runtime: 'vetu' },
];

describe('the images of Orchard', () => {
  it.each([
    ['a Mac', { runtime: 'tart', arch: 'arm64' }, ['ghcr.io/acme/macos:15', 'ghcr.io/acme/old:1']],
    ['a Linux machine', { runtime: 'vetu', arch: 'amd64' }, ['ghcr.io/acme/linux:12', 'prepared-by-hand']],
  ] as const)('are those that %s can run', async (_, kind, images) => {
    const { orchard, log } = await controller(VMS);
    expect(await orchardImages(freshSession(), orchard, kind)).toEqual(images);
    expect(log()).toEqual(['GET /api/v1/vms']);
  });

  it('are not told to who may not ask, and the token is in no error (S97)', async () => {
    const { orchard } = await controller(VMS);
    const wrong = { ...orchard, account: { name: 'prefetch', token: 'wrong-token' } };
    const error = await orchardImages(freshSession(), wrong, { runtime: 'tart', arch: 'arm64' }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ code: 'AUTH_REQUIRED' });
    expect(JSON.stringify(error) + String(error)).not.toContain('wrong-token');
  });

  it('are not asked for where others could read the token on the way (S97)', async () => {
    const { orchard } = await controller(VMS);
    const far = { ...orchard, url: new URL('http://orchard.example:6120') };
    await expect(orchardImages(freshSession(), far, { runtime: 'tart', arch: 'arm64' })).rejects.toMatchObject({
      code: 'USAGE',
      facts: { next: { kind: 'use-tls' } },
    });
  });
});

describe('the labels of a worker', () => {
  const worker = {
    name: 'builder-1',
    machine_id: 'f00d',
    last_seen: '2026-06-15T12:00:00Z',
    resources: { 'org.cirruslabs.logical-cores': 8 },
    labels: { room: '3', 'tartlet.image.000000000000': 'ready' },
    scheduling_paused: false,
  };
  const digest = 'ab'.repeat(32);

  it('say which images are ready, and leave all else of it as it was read', async () => {
    const { orchard, workers } = await controller([], [worker]);
    expect(await assertImageLabels(freshSession(), orchard, 'builder-1', [digest])).toBe(true);
    expect(workers).toEqual([{ ...worker, labels: { room: '3', 'tartlet.image.abababababab': 'ready' } }]);
  });

  it('are said once, and again when the worker has lost them', async () => {
    const { orchard, workers, log } = await controller([], [worker]);
    await assertImageLabels(freshSession(), orchard, 'builder-1', [digest]);
    expect(await assertImageLabels(freshSession(), orchard, 'builder-1', [digest])).toBe(false);
    workers[0] = { ...worker, labels: {} };
    expect(await assertImageLabels(freshSession(), orchard, 'builder-1', [digest])).toBe(true);
    expect(log().filter((line) => line.startsWith('POST'))).toHaveLength(2);
  });

  it('are not said of a worker that is not there', async () => {
    const { orchard } = await controller([], [worker]);
    await expect(assertImageLabels(freshSession(), orchard, 'builder-2', [digest])).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

it('tartlet prefetch --orchard brings what the VMs need, and labels the worker', async () => {
  const world = await rollout();
  const digest = await world.publish('one');
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const vms = [{ name: 'vm', image: world.name(), arch, runtime: 'vetu' }];
  const { orchard, workers } = await controller(vms, [{ name: 'here', machine_id: 'm', labels: {} }]);
  const cleanup = new Cleanup();
  after(async () => cleanup.run());
  const user = new Workplace(cleanup);
  mkdirSync(user.home);
  Object.assign(user.environment, { ORCHARD_SERVICE_ACCOUNT_NAME: 'prefetch', ORCHARD_SERVICE_ACCOUNT_TOKEN: TOKEN });
  const ran = await user.run('prefetch', '--orchard', orchard.url.href, '--orchard-worker', 'here', '--format', 'json');
  expect(ran).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(ran.stdout)).toMatchObject({
    schema: 'tartlet.prefetch/v1',
    images: [{ name: world.name(), outcome: 'ready', digest }],
    failedSources: [],
  });
  expect(workers).toEqual([
    { name: 'here', machine_id: 'm', labels: { [`tartlet.image.${digest.slice(7, 19)}`]: 'ready' } },
  ]);
  expect(ran.stdout + ran.stderr).not.toContain(TOKEN);
});
