import { describe, expect, test } from 'vitest';
import { renderJson } from '../../src/cli/render/json.ts';
import { renderTable } from '../../src/cli/render/table.ts';
import { cutEnd, cutStart, displayWidth } from '../../src/cli/render/width.ts';

describe('a table (tart-cli §1.6)', () => {
  test('is the one of the reference, with padding at the end of every line but the last', () => {
    const text = renderTable(
      ['Source', 'Name', 'Disk', 'Size', 'Accessed', 'State'],
      [
        ['local', 'debian', '50 GB', '2 GB', '3 minutes ago', 'running'],
        ['OCI', 'ghcr.io/acme/base:latest', '50 GB', '31 GB', '2 days ago', 'stopped'],
      ],
    );
    expect(text).toBe(
      'Source Name                     Disk  Size  Accessed      State  \n' +
        'local  debian                   50 GB 2 GB  3 minutes ago running\n' +
        'OCI    ghcr.io/acme/base:latest 50 GB 31 GB 2 days ago    stopped\n',
    );
  });

  test('ends its last line where the text ends', () => {
    expect(
      renderTable(
        ['A', 'B'],
        [
          ['x', 'long'],
          ['y', 's'],
        ],
      ),
    ).toBe('A B   \nx long\ny s\n');
  });

  test('shortens digests on a terminal that is too narrow, and nothing else', () => {
    const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
    const rows = [
      ['OCI', 'ghcr.io/acme/base:latest', '50 GB'],
      ['OCI', `ghcr.io/acme/base@${digest}`, '50 GB'],
    ];
    const at = (screen: { isTTY?: boolean; columns?: number }): string =>
      renderTable(['Source', 'Name', 'Disk'], rows, screen);
    const whole = renderTable(['Source', 'Name', 'Disk'], rows);
    const shortened = (digits: string): string => {
      const name = `ghcr.io/acme/base@sha256:${digits}…`;
      const tag = 'ghcr.io/acme/base:latest'.padEnd(name.length);
      return `Source ${'Name'.padEnd(name.length)} Disk \nOCI    ${tag} 50 GB\nOCI    ${name} 50 GB\n`;
    };

    expect(at({ isTTY: true, columns: 80 })).toBe(shortened('0123456789abcdef0123456789abcdef012345678'));
    expect(at({ isTTY: true, columns: 47 })).toBe(shortened('01234567'));
    // However narrow it is: names that were typed stay whole, and so do six digits.
    expect(at({ isTTY: true, columns: 20 })).toBe(shortened('012345'));
    for (const screen of [{ isTTY: true, columns: 200 }, { isTTY: true }, { columns: 20 }])
      expect(at(screen)).toBe(whole);
  });

  test('without rows is one empty line', () => {
    expect(renderTable(['Source', 'Name'], [])).toBe('\n');
  });

  test('keeps columns straight beside wide and combining characters', () => {
    expect(
      renderTable(
        ['N', 'S'],
        [
          ['日本', '1'],
          ['e\u0301', '2'],
          ['😀', '3'],
        ],
      ),
    ).toBe('N    S\n日本 1\ne\u0301    2\n😀   3\n');
  });

  test('shows a name with its spaces, and without its escape sequences', () => {
    expect(
      renderTable(
        ['Name', 'S'],
        [
          ['a  b', '1'],
          ['x\u001b[2Jy\nz', '2'],
        ],
      ),
    ).toBe('Name          S\na  b          1\nx\\u001b[2Jy z 2\n');
  });
});

describe('width', () => {
  test.each([
    ['', 0],
    ['plain', 5],
    ['größe', 5],
    ['日本語', 6],
    ['ｆｕｌｌ', 8],
    ['e\u0301', 1],
    ['a\u200bb', 2],
    ['😀', 2],
    ['한국', 4],
  ])('of %j', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  test('a text that is too long loses its end, or its start, and says so', () => {
    expect(cutEnd('abcdef', 6)).toBe('abcdef');
    expect(cutEnd('abcdef', 4)).toBe('abc…');
    expect(cutEnd('日本語', 4)).toBe('日…');
    expect(cutEnd('abc', 0)).toBe('');
    expect(cutStart('registry.example/base:15', 10)).toBe('…e/base:15');
    expect(cutStart('日本語', 5)).toBe('…本語');
    expect(cutStart('abc', 1)).toBe('…');
  });
});

test('JSON is indented by two spaces and ends with a newline', () => {
  expect(renderJson([{ Name: 'a/b', Disk: 50 }])).toBe('[\n  {\n    "Name": "a/b",\n    "Disk": 50\n  }\n]\n');
  expect(renderJson([])).toBe('[]\n');
});
