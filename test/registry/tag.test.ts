import { describe, expect, it } from 'vitest';
import { clientFor, scripted } from './world.ts';

const LIST = 'GET /v2/a/b/tags/list';

async function tags(source: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const tag of source) found.push(tag);
  return found;
}

function page(names: unknown, link?: string) {
  return { body: JSON.stringify({ name: 'a/b', tags: names }), headers: link === undefined ? {} : { link } };
}

describe('listing tags', () => {
  it('goes from page to page, in the order of the registry (Q20)', async () => {
    const registry = await scripted({
      [LIST]: [page(['z', 'a'], '</v2/a/b/tags/list?last=a&n=2>; rel="next"'), page(['m'])],
    });
    expect(await tags(clientFor(registry).client.tags())).toEqual(['z', 'a', 'm']);
    expect(registry.log[1]).toBe(`${LIST}?last=a&n=2`);
  });

  it('begins where it is told to', async () => {
    const registry = await scripted({ [LIST]: page(['b']) });
    await tags(clientFor(registry).client.tags({ last: 'a+1' }));
    expect(registry.log).toEqual([`${LIST}?last=a%2B1`]);
  });

  it('fetches no page that is not asked for', async () => {
    const registry = await scripted({ [LIST]: [page(['a', 'b'], '<?last=b>; rel=next')] });
    for await (const tag of clientFor(registry).client.tags()) {
      expect(tag).toBe('a');
      break;
    }
    expect(registry.requests).toHaveLength(1);
  });

  it.each([
    ['null', page(null), []],
    ['an empty list', page([]), []],
    ['junk between tags', page(['a', 7, null, 'b']), ['a', 'b']],
  ])('takes %s (Q20)', async (_title, answer, expected) => {
    const registry = await scripted({ [LIST]: answer });
    expect(await tags(clientFor(registry).client.tags())).toEqual(expected);
  });

  it.each([
    ['leaves the registry (S13)', page(['a'], '<https://evil.example/v2/a/b/tags/list>; rel="next"')],
    ['repeats itself', page(['a'], '</v2/a/b/tags/list>; rel="next"')],
    ['is no list', { body: '{"tags":"a"}' }],
    ['is no JSON', { body: '<html>' }],
  ])('stops when the list %s (Q20)', async (_title, answer) => {
    const registry = await scripted({ [LIST]: answer });
    await expect(tags(clientFor(registry).client.tags())).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
  });

  it.each([
    ['pages', { tagPages: 5 }, 5, 'it has more than 5 pages'],
    ['tags', { tags: 5 }, 3, 'it has more than 5 tags'],
  ])('stops after many %s, and says so (Q20, S13)', async (_what, change, requests, message) => {
    const registry = await scripted({
      [LIST]: (_request, count) => page([`a${count}`, `b${count}`], `<?last=${count}>; rel="next"`),
    });
    await expect(tags(clientFor(registry, { change }).client.tags())).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
      message: expect.stringContaining(message) as string,
    });
    expect(registry.requests).toHaveLength(requests);
  });

  it.each([
    ['the same tags', ['a']],
    ['no tags', []],
    ['what cannot be a tag', ['x'.repeat(129)]],
  ])('stops when page after page has %s (Q20, S13)', async (_what, names) => {
    const registry = await scripted({
      [LIST]: (_request, count) => page(count === 1 ? ['a'] : names, `<?last=${count}>; rel="next"`),
    });
    await expect(tags(clientFor(registry).client.tags())).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
      message: expect.stringContaining('the last 3 pages had no new tag') as string,
    });
    expect(registry.requests).toHaveLength(4);
  });

  it('goes on after a page of which the registry keeps everything to itself (Q20)', async () => {
    const registry = await scripted({
      [LIST]: [page(['a'], '<?last=a>; rel="next"'), page(null, '<?last=b>; rel="next"'), page(['c'])],
    });
    expect(await tags(clientFor(registry).client.tags())).toEqual(['a', 'c']);
  });

  it('says when there is no repository', async () => {
    const registry = await scripted({ [LIST]: { status: 404 } });
    await expect(tags(clientFor(registry).client.tags())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
