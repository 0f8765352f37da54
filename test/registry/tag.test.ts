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

  it('fetches no page that nobody asks for', async () => {
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

  it('stops after many pages (Q20, S13)', async () => {
    const registry = await scripted({ [LIST]: (_request, count) => page(['a'], `<?last=${count}>; rel="next"`) });
    await expect(tags(clientFor(registry, { change: { tagPages: 5 } }).client.tags())).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
    });
    expect(registry.requests).toHaveLength(5);
  });

  it('says when there is no repository', async () => {
    const registry = await scripted({ [LIST]: { status: 404 } });
    await expect(tags(clientFor(registry).client.tags())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
