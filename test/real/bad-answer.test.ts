import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePrivateCa, type PrivateCa } from '../support/real-certificates.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { freePort } from '../support/real-process.ts';
import { expectRefusal, type Refusal } from '../support/real-refusal.ts';
import { type Answer, ScriptedRegistry } from '../support/scripted-registry.ts';

/** Long enough for six tries, which take about half a minute where everybody else works too. */
const PATIENCE_MS = 90_000;
const MANIFEST = 'GET /v2/team/base/manifests/1';

describeWithParts('a registry that cannot be reached or refuses', ['openssl'], () => {
  const cleanup = new Cleanup();
  let ca: PrivateCa;
  let workplace: Workplace;

  beforeAll(() => {
    ca = makePrivateCa(cleanup);
    workplace = new Workplace(cleanup);
  });
  afterAll(async () => cleanup.run());

  it('an unknown host', { timeout: PATIENCE_MS }, async () => {
    await expectRefusal(workplace, ['pull', 'no-such-host.invalid:5000/team/base:1'], {
      code: 'NET_DNS',
      says: ['"no-such-host.invalid"'],
      next: 'check the spelling of the host',
    });
  });

  it('a port without a listener', { timeout: PATIENCE_MS }, async () => {
    const port = await freePort('127.0.0.1');
    await expectRefusal(workplace, ['pull', `127.0.0.1:${port}/team/base:1`], {
      code: 'NET_CONNECT',
      says: [`127.0.0.1:${port}`, 'ECONNREFUSED'],
      next: 'check that the registry runs there and that the port is right',
    });
  });

  it('a certificate of an unknown authority', async () => {
    const registry = await start({}, ca.selfSigned.certificate, ca.selfSigned.key);
    await expectRefusal(workplace, ['pull', `${registry.authority}/team/base:1`], {
      code: 'NET_TLS',
      says: [registry.authority, 'self-signed'],
      next: 'SSL_CERT_FILE',
    });
    expect(registry.requests).toEqual([]);
  });

  it('a certificate of a CA that was not installed', async () => {
    const registry = await start({}, ca.server.certificate, ca.server.key);
    await expectRefusal(workplace, ['pull', `${registry.authority}/team/base:1`], {
      code: 'NET_TLS',
      says: [registry.authority],
      next: 'SSL_CERT_FILE',
    });
    expect(registry.requests).toEqual([]);
  });

  const answers: [string, Answer, Omit<Refusal, 'says'> & { says?: string }][] = [
    ['401 without a way to log in', { status: 401 }, { code: 'AUTH_REQUIRED', next: 'address of an OCI registry' }],
    [
      '403',
      { status: 403, body: problem('DENIED', 'not yours') },
      { code: 'AUTH_DENIED', says: 'not yours', next: 'log in' },
    ],
    ['404', { status: 404, body: problem('MANIFEST_UNKNOWN', 'no tag') }, { code: 'NOT_FOUND', next: 'check' }],
    [
      '429 for an hour',
      { status: 429, headers: { 'retry-after': '3600' } },
      { code: 'RATE_LIMITED', says: 'asks to wait until', next: 'log in' },
    ],
    [
      '501',
      { status: 501, body: 'not built' },
      { code: 'REG_UNAVAILABLE', says: '501', next: 'tell the operator of the registry' },
    ],
    [
      'a web page in its place',
      { headers: { 'content-type': 'text/html' }, body: '<!doctype html><title>Please pay</title>' },
      { code: 'NET_PROTOCOL', says: 'HTML', next: 'in a browser' },
    ],
  ];
  it.each(answers)('%s', async (_title, answer, { says, ...refusal }) => {
    const registry = await start({ [MANIFEST]: answer });
    await expectRefusal(workplace, ['pull', `${registry.authority}/team/base:1`], {
      ...refusal,
      says: [registry.authority, ...(says === undefined ? [] : [says])],
    });
    expect(registry.log).toEqual([MANIFEST]);
  });

  it.each([500, 503])('%d again and again', { timeout: PATIENCE_MS }, async (status) => {
    const registry = await start({ [MANIFEST]: { status, body: 'out of order' } });
    await expectRefusal(workplace, ['pull', `${registry.authority}/team/base:1`], {
      code: 'REG_UNAVAILABLE',
      says: [registry.authority, `${status}`, 'out of order'],
      next: 'try again later',
    });
    expect(registry.log).toEqual(Array.from({ length: 6 }, () => MANIFEST));
  });

  async function start(routes: Record<string, Answer>, cert?: string, key?: string): Promise<ScriptedRegistry> {
    const tls =
      cert === undefined || key === undefined ? undefined : { cert: readFileSync(cert), key: readFileSync(key) };
    const registry = await ScriptedRegistry.start(routes, tls === undefined ? {} : { tls });
    cleanup.add(async () => registry.close());
    return registry;
  }
});

function problem(code: string, message: string): string {
  return JSON.stringify({ errors: [{ code, message }] });
}
