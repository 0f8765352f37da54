import { readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { hashSync } from 'bcryptjs';
import { expect, it } from 'vitest';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import type { AuthOptions } from '../../../src/server/settings/options.ts';
import { parsePrometheusText, type ScrapedFamily } from '../../support/prometheus-text.ts';
import { eventually, noise, rawExchange, type RunningRegistry, sha256, startRegistry } from '../running-registry.ts';

const USERS: AuthOptions = { kind: 'basic', htpasswd: parseHtpasswd(`ci:${hashSync('right', 4)}\n`) };
const LOGIN = `Basic ${Buffer.from('ci:right').toString('base64')}`;
const FORWARDED = { 'X-Forwarded-For': '10.1.2.3' };

async function scrape({ send }: Pick<RunningRegistry, 'send'>): Promise<Map<string, ScrapedFamily>> {
  const { status, headers, body } = await send('GET', '/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(headers['cache-control']).toBe('no-store');
  return parsePrometheusText(body.toString('utf8'));
}

function valueOf(
  families: ReadonlyMap<string, ScrapedFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = name.replace(/_(?:bucket|sum|count)$/, '');
  const samples = (families.get(name) ?? families.get(family))?.samples ?? [];
  return samples.find((each) => each.name === name && isDeepStrictEqual(each.labels, labels))?.value;
}

it('counts requests by method, kind of address and class of the answer, with their times and bytes', async () => {
  const registry = await startRegistry({ metrics: 'all' });
  const { send, pushBlob, events } = registry;
  const blob = noise(100_000);
  const digest = await pushBlob('team/vm', blob);
  await send('GET', `/v2/team/vm/blobs/${digest}`);
  await send('GET', `/v2/team/vm/blobs/${sha256('other')}`);
  await eventually('they are over', () => events.filter(({ kind }) => kind === 'request').length === 4);
  const families = await scrape(registry);
  const count = (method: string, route: string, status: string): number | undefined =>
    valueOf(families, 'tartlet_http_requests_total', { method, route, status });
  expect([count('POST', 'uploads', '2xx'), count('PUT', 'upload', '2xx')]).toEqual([1, 1]);
  expect([count('GET', 'blob', '2xx'), count('GET', 'blob', '4xx')]).toEqual([1, 1]);
  expect(valueOf(families, 'tartlet_http_received_bytes_total', { route: 'upload' })).toBe(100_000);
  const sent = valueOf(families, 'tartlet_http_sent_bytes_total', { route: 'blob' }) ?? 0;
  expect(sent).toBeGreaterThan(100_000);
  expect(sent).toBeLessThan(102_000);
  expect(valueOf(families, 'tartlet_http_request_duration_seconds_count', { route: 'blob' })).toBe(2);
  expect(valueOf(families, 'tartlet_http_request_duration_seconds_bucket', { route: 'blob', le: '+Inf' })).toBe(2);
  expect(valueOf(families, 'tartlet_connections')).toBe(1);
  expect(valueOf(families, 'tartlet_network_sent_bytes_total')).toBeGreaterThan(sent);
  expect(valueOf(families, 'tartlet_network_received_bytes_total')).toBeGreaterThan(100_000);
  expect(valueOf(families, 'tartlet_failures_total')).toBe(0);
});

it('tells uploads under way, what is stored, and what collections have removed', async () => {
  const registry = await startRegistry({ metrics: 'all' });
  await registry.pushBlob('team/vm', noise(5_000));
  await registry.pushBlob('team/vm', noise(7_000, 2));
  await registry.begin('team/vm');
  // The first scrape begins to count.
  await eventually('it is counted', async () => valueOf(await scrape(registry), 'tartlet_stored_bytes') === 12_000);
  const before = await scrape(registry);
  expect(valueOf(before, 'tartlet_stored_blobs')).toBe(2);
  expect(valueOf(before, 'tartlet_uploads')).toBe(1);
  await registry.registry.collectGarbage(-60_000);
  const after = await scrape(registry);
  expect(valueOf(after, 'tartlet_garbage_collections_total')).toBe(1);
  expect(valueOf(after, 'tartlet_garbage_removed_blobs_total')).toBe(2);
  expect(valueOf(after, 'tartlet_garbage_removed_bytes_total')).toBe(12_000);
  await eventually('it is counted again', async () => valueOf(await scrape(registry), 'tartlet_stored_bytes') === 0);
});

it('has neither names nor anything else that clients choose in its metrics (S78)', async () => {
  const registry = await startRegistry({ metrics: 'all' });
  await registry.pushImage('team/secret-project', 'tag-of-it');
  await registry.send('GET', '/v2/team/secret-project/manifests/tag-of-it');
  await registry.send('GET', '/v2/other-name/manifests/x', { headers: { 'User-Agent': 'agent-of-it' } });
  await rawExchange(registry.port, 'PROPFIND /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await rawExchange(registry.port, 'GET /what-is-this HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const { body } = await registry.send('GET', '/metrics');
  const text = body.toString('utf8');
  expect(text).not.toMatch(/secret|tag-of-it|agent-of-it|other-name|what-is-this|PROPFIND|127\.0\.0\.1/);
  const families = parsePrometheusText(text);
  expect(valueOf(families, 'tartlet_http_requests_total', { method: 'other', route: 'base', status: '4xx' })).toBe(1);
  expect(valueOf(families, 'tartlet_http_requests_total', { method: 'GET', route: 'unknown', status: '4xx' })).toBe(1);
});

it.each([
  ['local', {}, 200],
  ['local', FORWARDED, 401],
  ['local', { ...FORWARDED, Authorization: LOGIN }, 200],
  ['local', { Via: '1.1 nginx' }, 401],
  ['local', { 'X-Forwarded-Proto': 'https' }, 401],
  ['users', {}, 401],
  ['users', { Authorization: LOGIN }, 200],
  ['all', FORWARDED, 200],
  ['none', { Authorization: LOGIN }, 404],
  [undefined, { Authorization: LOGIN }, 404],
] as const)('gives its metrics to %s, and so to a client with %j the status %i', async (metrics, headers, status) => {
  const { send } = await startRegistry({ auth: USERS, metrics });
  expect((await send('GET', '/metrics', { headers })).status).toBe(status);
});

it('gives no metrics to readers without a login, who may read everything else', async () => {
  const { send } = await startRegistry({ auth: { ...USERS, anonymousRead: true }, metrics: 'users' });
  expect((await send('GET', '/v2/_catalog')).status).toBe(200);
  expect((await send('GET', '/metrics')).status).toBe(401);
});

it('tells anybody that it lives, and whether its store can be read, and not why it cannot', async () => {
  const { send, directory, events } = await startRegistry({ auth: USERS });
  for (const target of ['/healthz', '/readyz']) {
    const { status, body } = await send('GET', target, { headers: { Authorization: 'Basic d3Jvbmc6d3Jvbmc=' } });
    expect([target, status, body.toString()]).toEqual([target, 200, 'ok\n']);
    expect((await send('POST', target)).status).toBe(405);
  }
  const blobs = path.join(directory, 'blobs');
  renameSync(blobs, `${blobs}-gone`);
  const unready = await send('GET', '/readyz');
  expect([unready.status, unready.body.toString()]).toEqual([503, 'the content cannot be read\n']);
  expect((await send('GET', '/healthz')).status).toBe(200);
  expect(events.find(({ kind }) => kind === 'failure')).toMatchObject({ path: '/readyz' });
  renameSync(`${blobs}-gone`, blobs);
  expect(readdirSync(directory)).toContain('blobs');
  expect((await send('GET', '/readyz')).status).toBe(200);
});
