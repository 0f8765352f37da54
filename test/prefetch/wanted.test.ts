import { describe, expect, it } from 'vitest';
import { nextTry } from '../../src/prefetch/schedule.ts';
import { parseImageList } from '../../src/prefetch/wanted.ts';

function read(text: string) {
  const { wanted, broken } = parseImageList(text);
  return { wanted: wanted.map(({ name, insecure }) => [name.toString(), insecure]), broken };
}

describe('a list of images', () => {
  it('has a name a line, comments, and what is to be reached by plain HTTP', () => {
    const text = `
# for the builders
registry.example:8221/macos/base:15   # the current one
  ghcr.io/acme/linux
10.0.0.5:5000/base:1 insecure
ghcr.io/acme/linux:latest
`;
    expect(read(text)).toEqual({
      wanted: [
        ['registry.example:8221/macos/base:15', false],
        ['ghcr.io/acme/linux:latest', false],
        ['10.0.0.5:5000/base:1', true],
      ],
      broken: [],
    });
  });

  it('goes on behind what is no name (S96)', () => {
    expect(read('nothing\na.example/b c\na.example/b:1\n')).toEqual({
      wanted: [['a.example/b:1', false]],
      broken: [
        { entry: 'nothing', reason: expect.stringContaining('there is no "/"') as unknown },
        { entry: 'a.example/b', reason: '"c" behind the name' },
      ],
    });
  });

  it('refuses a name that has a tag and a digest', () => {
    const both = `a.example/b:1@sha256:${'0'.repeat(64)}`;
    expect(read(both).broken).toEqual([
      { entry: both, reason: expect.stringContaining('only one of them') as unknown },
    ]);
  });

  it.each([
    ['an array', '["a.example/b:1", {"name": "a.example/c:2", "insecure": true}, {"tag": 3}]'],
    ['an object', ' {"images": ["a.example/b:1", {"name": "a.example/c:2", "insecure": true}, 7]}'],
  ])('may be %s of JSON', (_, text) => {
    expect(read(text)).toEqual({
      wanted: [
        ['a.example/b:1', false],
        ['a.example/c:2', true],
      ],
      broken: [{ entry: 'the list', reason: 'entry 3 has no name' }],
    });
  });

  it.each(['{"images": 1}', '[1', '{}'])('is not %s (S96)', (text) => {
    expect(read(text)).toEqual({ wanted: [], broken: [expect.objectContaining({ entry: 'the list' })] });
  });
});

describe('the next try', () => {
  const now = new Date('2026-06-15T12:00:00Z');
  const rhythm = { intervalMs: 3_600_000, jitterMs: 600_000 };

  it.each([
    ['after a success, after the interval', 0, 0, 3_600_000],
    ['later by chance', 0, 0.5, 3_900_000],
    ['after a failure, soon', 1, 0, 60_000],
    ['a little later by chance', 1, 0.5, 90_000],
    ['after more, later', 4, 0, 480_000],
    ['never later than the interval', 40, 0, 3_600_000],
  ])('is due %s', (_, failures, chance, afterMs) => {
    expect(nextTry(now, rhythm, failures, chance).getTime() - now.getTime()).toBe(afterMs);
  });
});
