import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makePrivateCa, type PrivateCa } from './real-certificates.ts';
import { Cleanup } from './real-cleanup.ts';
import { digestsOfVm, Workplace, type WorkplaceOptions } from './real-command.ts';
import { describeWithParts, hasIpv6Loopback, type Part } from './real-parts.ts';
import type { RegistryKind } from './real-registry.ts';
import { AUTHS, buildSite, type Site, TRANSPORTS } from './real-site.ts';
import { createVm } from './real-vm.ts';

/**
 * Every way to write an address with a port. The last one is a host name with letters that leads to this machine
 * without editing `/etc/hosts`: names below `localhost` are this machine (RFC 6761 §6.3), also where no resolver knows
 * them.
 */
const HOSTS = ['127.0.0.1', 'localhost', '[::1]', 'registry.localhost'] as const;

/** The main job, for one registry and every combination of auth, transport and name. */
export function testMatrix(registry: RegistryKind, parts: readonly Part[]): void {
  describeWithParts(`${registry}: what was typed is what is seen`, parts, () => {
    const cleanup = new Cleanup();
    let ca: PrivateCa;
    let sender: Workplace;
    let original: Record<string, string>;

    beforeAll(async () => {
      ca = makePrivateCa(cleanup);
      sender = new Workplace(cleanup);
      await createVm(sender, 'vm');
      original = await digestsOfVm(sender.vmDirectory('vm'));
    });
    afterAll(async () => cleanup.run());

    describe.each(AUTHS)('auth %s', (auth) => {
      describe.each(TRANSPORTS)('%s', (transport) => {
        for (const host of HOSTS) {
          const isPossible = host !== '[::1]' || hasIpv6Loopback;
          it.skipIf(!isPossible)(`${host}:port${isPossible ? '' : ' (left out: no ::1 here)'}`, async () => {
            const own = new Cleanup();
            onTestFinished(async () => own.run());
            const site = await buildSite(own, ca, { registry, auth, transport, host });
            const trust: WorkplaceOptions = transport === 'https' ? { authority: ca.authority } : {};
            const login = { registry: site.address, user: site.user, password: site.password };
            const options: WorkplaceOptions = auth === 'none' ? trust : { ...trust, login };
            const name = `${site.address}/team/base__image:15.2`;

            await push(new Workplace(own, { ...options, home: sender.home }), name);
            const receiver = new Workplace(own, options);
            await pullAndList(receiver, name);
            await cloneIsEqual(receiver, name, original);
            if (auth !== 'none') {
              await wrongPasswordIsRefused(new Workplace(own, { ...trust, login: wrong(login) }), name, site);
              await anonymousIsToldToLogIn(new Workplace(own, trust), name, site);
            }
          });
        }
      });
    });
  });
}

async function push(sender: Workplace, name: string): Promise<void> {
  const { exitCode, stdout, stderr } = await sender.run('push', 'vm', name);
  expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 0, stdout: '' });
  expect(stderr).toContain(`pushed ${name} (sha256:`);
}

async function pullAndList(receiver: Workplace, name: string): Promise<void> {
  const pulled = await receiver.run('pull', name);
  expect(pulled, pulled.stderr).toMatchObject({ exitCode: 0, stdout: '' });

  const byDigest = await receiver.run('fqn', name);
  const repository = name.replace(/:[^:/]*$/, '');
  expect(byDigest.stdout.replace(/[0-9a-f]{64}\n$/, '')).toBe(`${repository}@sha256:`);

  const { stdout } = await receiver.run('list', '--format', 'json');
  const rows = JSON.parse(stdout) as { Source: string; Name: string }[];
  expect(rows.map(({ Source, Name }) => [Source, Name])).toEqual([
    ['OCI', name],
    ['OCI', byDigest.stdout.trim()],
  ]);
  expect(await receiver.names()).toEqual([name, byDigest.stdout.trim()]);
}

async function cloneIsEqual(receiver: Workplace, name: string, original: Record<string, string>): Promise<void> {
  expect(await receiver.run('clone', name, 'copy')).toMatchObject({ exitCode: 0, stdout: '' });
  expect(await digestsOfVm(receiver.vmDirectory('copy'))).toEqual(original);
}

async function wrongPasswordIsRefused(stranger: Workplace, name: string, site: Site): Promise<void> {
  const { exitCode, stdout, stderr } = await stranger.run('pull', name);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toContain(site.address);
  expect(stderr).not.toContain(wrong(site).password);
  expect(stranger.snapshot()).toEqual([]);
}

async function anonymousIsToldToLogIn(anonymous: Workplace, name: string, site: Site): Promise<void> {
  const { exitCode, stderr } = await anonymous.run('pull', name);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`tartlet login ${site.address}`);
  expect(anonymous.snapshot()).toEqual([]);
}

function wrong<T extends { readonly password: string }>(login: T): T {
  return { ...login, password: 'not-the-password' };
}
