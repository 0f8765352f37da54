import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../src/registry/auth/challenge.ts';

function plain(...lines: string[]) {
  return parseChallenges(lines).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('WWW-Authenticate (Q23)', () => {
  it.each([
    [
      'as registries write it',
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          { realm: 'https://auth.example/token', service: 'registry.example', scope: 'repository:a/b:pull,push' },
        ],
      ],
    ],
    [
      'blanks after commas (openai/tart#1258)',
      'Bearer realm="https://a/t", service="s" ,  scope="x"',
      [['bearer', { realm: 'https://a/t', service: 's', scope: 'x' }]],
    ],
    ['a bare scheme', 'Basic', [['basic', {}]]],
    ['any case', 'bEaReR ReAlM="X"', [['bearer', { realm: 'X' }]]],
    ['no quotes', 'Bearer realm=https://a/t?x=1,service=s', [['bearer', { realm: 'https://a/t?x=1', service: 's' }]]],
    ['escapes and commas in quotes', String.raw`Basic realm="a \"b\", c\\d"`, [['basic', { realm: 'a "b", c\\d' }]]],
    ['a closing quote that is missing', 'Basic realm="a, b', [['basic', { realm: 'a, b' }]]],
    [
      'several in one header, an unknown one first',
      'Negotiate YIIabc==, Basic realm="b", Bearer realm="c",service="s"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'b' }],
        ['bearer', { realm: 'c', service: 's' }],
      ],
    ],
    ['blanks around the equals sign', 'Bearer realm = "r" , service = s', [['bearer', { realm: 'r', service: 's' }]]],
    ['a repeated parameter: the first counts', 'Bearer realm="1",realm="2"', [['bearer', { realm: '1' }]]],
    ['parameters without a scheme', '="x", realm=', []],
    ['nothing', ' ,, ', []],
  ])('reads %s', (_title, line, expected) => {
    expect(plain(line)).toEqual(expected);
  });

  it('reads several headers (tart-cli §7 #41)', () => {
    expect(plain('Basic realm="b"', 'Bearer realm="c"')).toEqual([
      ['basic', { realm: 'b' }],
      ['bearer', { realm: 'c' }],
    ]);
  });

  it('reads back whatever was written by the grammar', () => {
    const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,10}$/);
    const challenge = fc.tuple(
      token,
      fc.uniqueArray(fc.tuple(token, fc.string({ maxLength: 20 })), {
        selector: ([name]) => name.toLowerCase(),
        minLength: 1,
        maxLength: 4,
      }),
    );
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 4 }), (challenges) => {
        const header = challenges
          .map(
            ([scheme, pairs]) =>
              `${scheme} ${pairs.map(([name, value]) => `${name}="${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`).join(', ')}`,
          )
          .join(', ');
        expect(plain(header)).toEqual(
          challenges.map(([scheme, pairs]) => [
            scheme.toLowerCase(),
            Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value])),
          ]),
        );
      }),
    );
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('"', '\\', ',', '=', ' ', 'a', '\t', 'B') }), (text) => {
        for (const { scheme } of parseChallenges([text])) expect(scheme).toMatch(/^[^ ,="]+$/);
      }),
    );
  });

  it.each([',', '"', '=', 'a', 'a ', 'a=', '\\"', 'a="'])('takes time in proportion to 1 MB of %j', (piece) => {
    // A quadratic scanner needs minutes for this, the test would time out.
    expect(parseChallenges([piece.repeat(1_000_000 / piece.length)]).length).toBeLessThanOrEqual(32);
  });
});
