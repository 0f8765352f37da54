import { describe, expect, it } from 'vitest';
import { clientFor, scripted } from './world.ts';

const LIST = 'GET /v2/_catalog';

async function names(source: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const name of source) found.push(name);
  return found;
}

function page(repositories: unknown, link?: string) {
  return { body: JSON.stringify({ repositories }), headers: link === undefined ? {} : { link } };
}

describe('listing the repositories of a registry', () => {
  it.each([
    ['a path', '</v2/_catalog?last=b&n=2>; rel="next"', '?last=b&n=2'],
    ['a query alone', '<?last=b>; rel=next', '?last=b'],
    ['a relative path', '<_catalog?last=b>; rel="next"', '?last=b'],
    ['other links before it', '</v2/>; rel="first", </v2/_catalog?last=b>; title="x"; rel="next"', '?last=b'],
    ['another letter case', '</v2/_catalog?last=b>; REL="NEXT"', '?last=b'],
  ])('goes on where the Link header says: by %s (Q20)', async (_kind, link, query) => {
    const registry = await scripted({ [LIST]: [page(['a/x', 'b'], link), page(['c'])] });
    expect(await names(clientFor(registry).client.catalog())).toEqual(['a/x', 'b', 'c']);
    expect(registry.log[1]).toBe(`${LIST}${query}`);
  });

  it('goes on by a whole address of this registry', async () => {
    const registry = await scripted({
      [LIST]: ({ headers }, count) =>
        count === 1 ? page(['a'], `<http://${headers['host']}/v2/_catalog?last=a>; rel="next"`) : page(['b']),
    });
    expect(await names(clientFor(registry).client.catalog())).toEqual(['a', 'b']);
  });

  it('asks for pages of the size that is wanted, behind the name that is given', async () => {
    const registry = await scripted({ [LIST]: page(null) });
    expect(await names(clientFor(registry).client.catalog({ pageSize: 3, last: 'a b' }))).toEqual([]);
    expect(registry.log).toEqual([`${LIST}?n=3&last=a+b`]);
  });

  it.each([
    ['leaves the registry (S13)', page(['a'], '<https://evil.example/v2/_catalog>; rel="next"')],
    ['goes in a circle', page(['a'], '</v2/_catalog>; rel="next"')],
    ['is no list', { body: '{"repositories":"a"}' }],
    ['is a web page', { body: '<html>' }],
  ])('stops when the list %s (Q20)', async (_title, answer) => {
    const registry = await scripted({ [LIST]: answer });
    await expect(names(clientFor(registry).client.catalog())).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
  });

  it('stops when page after page has nothing new (Q20, S13)', async () => {
    const registry = await scripted({
      [LIST]: (_request, count) => page(['a', 'b'], `<?last=${count}>; rel="next"`),
    });
    await expect(names(clientFor(registry).client.catalog())).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
      message: expect.stringContaining('the last 3 pages had no new repository') as string,
    });
  });

  it.each([
    [404, 'NOT_FOUND'],
    [405, 'REG_REJECTED'],
    [401, 'AUTH_REQUIRED'],
    [403, 'AUTH_DENIED'],
  ])('says of a registry without such a list (%i) where to look', async (status, code) => {
    const headers = status === 401 ? { 'www-authenticate': 'Basic realm="x"' } : {};
    const registry = await scripted({ [LIST]: { status, headers } });
    await expect(names(clientFor(registry).client.catalog())).rejects.toMatchObject({
      code,
      facts: { next: { kind: 'list-elsewhere' } },
    });
  });
});
