import { describe, expect, it } from 'vitest';
import type { OnWait } from '../../../src/registry/request/backoff.ts';
import { RegistryAddress } from '../../../src/names/registry-address.ts';
import { Tag } from '../../../src/names/tag.ts';
import { limits } from '../../../src/registry/request/limits.ts';
import { networkError } from '../../../src/registry/request/network-error.ts';
import { proxyError } from '../../../src/registry/transport/connect/proxy.ts';
import type { RegistryResponse } from '../../../src/registry/request/request.ts';
import { withRetry } from '../../../src/registry/retry/retry.ts';
import { clientFor, FakeClock, scripted } from '../world.ts';

const MANIFEST = '{"schemaVersion":2}';
const TAG = { tag: Tag.parse('latest') };
const GET = 'GET /v2/a/b/manifests/latest';
const OK = { body: MANIFEST };

async function answering(...answers: Parameters<typeof Array.of>[0][]) {
  const registry = await scripted({ [GET]: answers as never });
  return { registry, ...clientFor(registry) };
}

describe('answers that pass', () => {
  it.each([408, 429, 499, 500, 502, 503, 504, 522])('%i is asked again (N30) (tart-cli §7 #16)', async (status) => {
    const { client, clock } = await answering({ status }, { status }, OK);
    await client.manifest(TAG);
    expect(clock.slept[0]).toBe(250);
  });

  it('are reported in the end, with what the registry said (N30)', async () => {
    const registry = await scripted({ [GET]: { status: 502, body: 'upstream\u001b[31m is down' } });
    const { client, clock } = clientFor(registry);
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'REG_UNAVAILABLE',
      message: expect.stringContaining('answered 502 (upstream is down)') as string,
      facts: { status: 502, retryable: true },
    });
    expect(registry.requests).toHaveLength(6);
    expect(clock.slept).toEqual([250, 500, 1000, 2000, 4000]);
  });

  it.each([400, 410, 413, 414, 431, 451, 501, 505, 507])('%i is final (N31)', async (status) => {
    const { client, registry } = await answering({ status });
    await expect(client.manifest(TAG)).rejects.toMatchObject({ facts: { status } });
    expect(registry.requests).toHaveLength(1);
  });

  it('say what 507 means (N31)', async () => {
    const { client } = await answering({ status: 507 });
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      message: expect.stringContaining('it has no space left') as string,
    });
  });
});

describe('Retry-After', () => {
  const limited = (value: string, date?: string) => ({
    status: 429,
    headers: { 'retry-after': value, ...(date === undefined ? {} : { date }) },
  });

  it('is obeyed in seconds, with jitter on top (N26) (tart-cli §7 #16)', async () => {
    const { client, clock } = await answering(limited('7'), OK);
    await client.manifest(TAG);
    expect(clock.slept[0]).toBe(7250);
  });

  it('is obeyed on 503, too (N29)', async () => {
    const { client, clock } = await answering(
      { status: 503, headers: { 'retry-after': '3' }, body: '<Error>SlowDown</Error>' },
      OK,
    );
    await client.manifest(TAG);
    expect(clock.slept[0]).toBe(3250);
  });

  it('is obeyed as a date, compared with the clock of the registry (N27)', async () => {
    const { client, clock } = await answering(
      limited('Wed, 21 Oct 2015 07:28:20 GMT', 'Wed, 21 Oct 2015 07:28:00 GMT'),
      OK,
    );
    await client.manifest(TAG);
    expect(clock.slept[0]).toBe(20_250);
  });

  it.each(['Wed, 21 Oct 2015 07:28:00 GMT', '-5', '1e9', 'soon', '0', ''])(
    'is ignored when it makes no sense: %j (N27)',
    async (value) => {
      const { client, clock } = await answering(limited(value, 'Wed, 21 Oct 2015 07:28:20 GMT'), OK);
      await client.manifest(TAG);
      expect(clock.slept[0]).toBe(250);
    },
  );

  it('of more than five minutes is told instead of waited for (N27)', async () => {
    const { client, clock } = await answering(limited('3600'));
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringContaining('asks to wait until 2026-01-01 01:00 UTC') as string,
      facts: { retryAfterMs: 3_600_000, status: 429 },
    });
    expect(clock.slept).toEqual([]);
  });

  it('holds back the other requests to this registry as well (N26, N28)', async () => {
    const registry = await scripted({
      [GET]: [limited('7'), OK],
      'GET /v2/a/b/manifests/other': OK,
    });
    const asked: string[] = [];
    const { client, clock } = clientFor(registry, { onWait: () => asked.push('waiting') });
    let wake = () => {};
    clock.sleep = async (ms) => {
      clock.slept.push(ms);
      // The first sleeper wakes only when the second one has gone to sleep, too.
      if (clock.slept.length === 1) await new Promise<void>((resolve) => (wake = resolve));
      else wake();
      clock.elapsed = 7250;
    };
    const first = client.manifest(TAG);
    while (clock.slept.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const second = client.manifest({ tag: Tag.parse('other') });
    await Promise.all([first, second]);
    expect(clock.slept.slice(0, 2)).toEqual([7250, 7500]);
    expect(asked).toEqual(['waiting']);
  });
});

/** What the system says, as the layers below {@link withRetry} tell it. */
const failing = (code: string) => networkError(Object.assign(new Error(code), { code }), new URL('https://r.example'));
const proxyFailing = (facts: Parameters<typeof proxyError>[2]) =>
  proxyError({ url: new URL('http://p.example:3128'), variable: 'HTTPS_PROXY' }, 'it did not', facts);
const coded = (code: string) => Object.assign(new Error(code), { code });

describe('a host that was never there', () => {
  /** How often a request is tried: as the first to its host, and after an answer of the host. */
  async function tries(failure: Error): Promise<[first: number, later: number]> {
    let count = 0;
    let answer: Error | undefined = failure;
    const clock = new FakeClock();
    const send = withRetry(
      () => {
        count += 1;
        return answer === undefined ? Promise.resolve({ status: 200 } as RegistryResponse) : Promise.reject(answer);
      },
      { clock, limits },
    );
    const url = new URL('https://r.example/v2/');
    const ask = async () => send({ method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true });
    await expect(ask()).rejects.toBe(failure);
    const first = count;
    answer = undefined;
    await ask();
    answer = failure;
    count = 0;
    await expect(ask()).rejects.toBe(failure);
    return [first, count];
  }

  it.each([
    ['a refused connection', failing('ECONNREFUSED'), [2, 6]],
    ['a name that does not exist', failing('ENOTFOUND'), [2, 6]],
    ['a proxy that refuses', proxyFailing({ cause: coded('ECONNREFUSED') }), [2, 6]],
    ['a proxy that does not exist', proxyFailing({ cause: coded('ENOTFOUND') }), [2, 6]],
    ['a registry that squid cannot reach', proxyFailing({ status: 503, found: 'ERR_CONNECT_FAIL 111' }), [2, 6]],
    ['a busy name server', failing('EAI_AGAIN'), [6, 6]],
    ['a network without a route', failing('ENETUNREACH'), [6, 6]],
    ['a proxy that is overloaded', proxyFailing({ status: 503 }), [6, 6]],
  ])('%s ends the first contact soon, and is borne later (N1, N2, N11)', async (_what, failure, expected) => {
    expect(await tries(failure)).toEqual(expected);
  });

  it.each([
    ['https://r.example', { kind: 'write-port', host: 'r.example', tls: true }],
    ['http://r.example', { kind: 'write-port', host: 'r.example', tls: false }],
    ['https://r.example:5000', { kind: 'check-port' }],
  ])('at %s: the next step names the likely reason', (origin, next) => {
    const { facts } = networkError(coded('ECONNREFUSED'), new URL(origin));
    expect(facts.next).toEqual(next);
  });

  it('under a name that is no host: says where the registry stands in a name', () => {
    expect(networkError(coded('ENOTFOUND'), new URL('https://macos')).facts.next).toEqual({
      kind: 'name-begins-with-registry',
    });
  });
});

describe('failures without an answer', () => {
  it('names address and port; at the first contact a second attempt is enough (N2)', async () => {
    const registry = await scripted();
    const { port } = registry;
    await registry.close();
    const events: Parameters<OnWait>[0][] = [];
    const { client, clock } = clientFor(RegistryAddress.parse(`127.0.0.1:${port}`), {
      onWait: (event) => events.push(event),
    });
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_CONNECT',
      message: `cannot connect to 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
    });
    expect(clock.slept).toEqual([250]);
    expect(events[0]).toMatchObject({ milliseconds: 250, reason: expect.stringContaining('ECONNREFUSED') as string });
  });

  it('repeats a request whose connection was closed without an answer (N24)', async () => {
    const { client, registry } = await answering({ drop: true }, OK);
    await client.manifest(TAG);
    expect(registry.requests).toHaveLength(2);
  });

  it('repeats a request that was not answered in time (N12)', async () => {
    const registry = await scripted({
      [GET]: (_request, count) => (count === 1 ? new Promise<never>(() => {}) : OK),
    });
    await clientFor(registry, { change: { headersMs: 100 } }).client.manifest(TAG);
    expect(registry.requests).toHaveLength(2);
  });

  it.each([
    ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.0\r\n'],
  ])(
    'asks a server that breaks the protocol only twice, after the direct way gave up: %s (N22)',
    async (_title, raw) => {
      const registry = await scripted({ [GET]: { raw } });
      await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
      expect(registry.requests).toHaveLength(3);
    },
  );

  it('takes no response headers without end (N23)', async () => {
    const registry = await scripted({ [GET]: { raw: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n` } });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
      message: expect.stringContaining('headers that are too large') as string,
    });
  });

  it('takes headers of 60 KiB, signed URLs are long', async () => {
    const { client } = await answering({ headers: { 'x-long': 'x'.repeat(60_000) }, body: MANIFEST });
    expect((await client.manifest(TAG)).bytes).toHaveLength(19);
  });
});

describe('a closed client', () => {
  it('fails at once instead of trying again', async () => {
    const { client, clock } = await answering(OK);
    await client.manifest(TAG);
    await client.close();
    await expect(client.manifest(TAG)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(clock.slept).toEqual([]);
  });

  it('fails what is under way', async () => {
    const registry = await scripted({ [GET]: () => new Promise<never>(() => {}) });
    const { client, clock } = clientFor(registry);
    const reading = client.manifest(TAG);
    while (registry.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await client.close();
    await expect(reading).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(clock.slept).toEqual([]);
  });
});
