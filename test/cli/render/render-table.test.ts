import { describe, expect, it } from 'vitest';
import { foldText } from '../../../src/cli/terminal/fold.ts';
import { renderJson } from '../../../src/cli/render/json.ts';
import { ownText } from '../../../src/cli/terminal/printable.ts';
import { renderTable } from '../../../src/cli/render/table.ts';
import { cutEnd, cutStart, displayWidth } from '../../../src/cli/terminal/width.ts';

describe('a table (tart-cli §1.6)', () => {
  it('is the one of the reference, with padding at the end of every line but the last', () => {
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

  it('ends its last line where the text ends', () => {
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

  const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
  const HEADINGS = ['Source', 'Name', 'Disk', 'Size', 'Accessed', 'State'];
  const ROWS = [
    ['local', 'debian', '50 GB', '2 GB', '3 minutes ago', 'running'],
    ['OCI', 'registry.example:8221/team/macos/base:latest', '50 GB', '31 GB', '2 days ago', 'stopped'],
    ['OCI', `registry.example:8221/team/macos/base@${DIGEST}`, '50 GB', '31 GB', '2 days ago', 'stopped'],
  ];
  const at = (columns: number): string => renderTable(HEADINGS, ROWS, { isTTY: true, columns }, 'Name');

  it('loses first the end of digests on a terminal that is too narrow', () => {
    expect(at(104)).toBe(
      'Source Name                                                            Disk  Size  Accessed      State  \n' +
        'local  debian                                                          50 GB 2 GB  3 minutes ago running\n' +
        'OCI    registry.example:8221/team/macos/base:latest                    50 GB 31 GB 2 days ago    stopped\n' +
        'OCI    registry.example:8221/team/macos/base@sha256:0123456789abcdef0… 50 GB 31 GB 2 days ago    stopped\n',
    );
  });

  it('fits into 80 columns, and keeps the registry and the end of each name', () => {
    expect(at(80)).toBe(
      'Source Name                                    Disk  Size  Accessed      State  \n' +
        'local  debian                                  50 GB 2 GB  3 minutes ago running\n' +
        'OCI    registry.example:8221/…/base:latest     50 GB 31 GB 2 days ago    stopped\n' +
        'OCI    …le:8221/team/macos/base@sha256:012345… 50 GB 31 GB 2 days ago    stopped\n',
    );
  });

  it('gives names a line of their own where nothing else helps', () => {
    expect(at(50)).toBe(
      'Name\n  Source Disk  Size  Accessed      State  \n' +
        'debian\n  local  50 GB 2 GB  3 minutes ago running\n' +
        'registry.example:8221/team/macos/base:latest\n  OCI    50 GB 31 GB 2 days ago    stopped\n' +
        'registry.example:8221/…/macos/base@sha256:012345…\n  OCI    50 GB 31 GB 2 days ago    stopped\n',
    );
  });

  it('becomes a list where even that is too wide', () => {
    expect(renderTable(['OS', 'Memory', 'State'], [['linux', '4096', 'stopped']], { isTTY: true, columns: 18 })).toBe(
      'OS     linux\nMemory 4096\nState  stopped\n',
    );
  });

  it('is whole everywhere but on a terminal that is too narrow', () => {
    const whole = renderTable(HEADINGS, ROWS);
    for (const screen of [{ isTTY: true, columns: 200 }, { isTTY: true }, { columns: 20 }])
      expect(renderTable(HEADINGS, ROWS, screen, 'Name')).toBe(whole);
  });

  it('has no line that is wider than the terminal, for any name', () => {
    const names = ['日本語の名前'.repeat(9), 'x'.repeat(300), `a/${'b/'.repeat(90)}c:1`, `h:1/r@${DIGEST}`, 'a'];
    for (let columns = 16; columns < 140; columns += 1) {
      for (const name of names) {
        const rows = ROWS.map((row) => row.with(1, name));
        const text = renderTable(HEADINGS, rows, { isTTY: true, columns }, 'Name');
        for (const line of text.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns);
      }
    }
  });

  it('without rows is one empty line', () => {
    expect(renderTable(['Source', 'Name'], [])).toBe('\n');
  });

  it('keeps columns straight beside wide and combining characters', () => {
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

  it('shows a name with its spaces, and without its escape sequences', () => {
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
  it.each([
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

  it('a text that is too long loses its end, or its start, and says so', () => {
    expect(cutEnd('abcdef', 6)).toBe('abcdef');
    expect(cutEnd('abcdef', 4)).toBe('abc…');
    expect(cutEnd('日本語', 4)).toBe('日…');
    expect(cutEnd('abc', 0)).toBe('');
    expect(cutStart('registry.example/base:15', 10)).toBe('…e/base:15');
    expect(cutStart('日本語', 5)).toBe('…本語');
    expect(cutStart('abc', 1)).toBe('…');
  });
});

it('JSON is indented by two spaces and ends with a newline', () => {
  expect(renderJson([{ Name: 'a/b', Disk: 50 }])).toBe('[\n  {\n    "Name": "a/b",\n    "Disk": 50\n  }\n]\n');
  expect(renderJson([])).toBe('[]\n');
});

describe('a text on a terminal', () => {
  it('is broken at spaces, and goes on indented', () => {
    expect(foldText(ownText('  next: do this, and then that\nshort\n'), { isTTY: true, columns: 20 })).toBe(
      '  next: do this, and\n    then that\nshort\n',
    );
  });

  it('keeps what is copied whole, on a line of its own', () => {
    expect(foldText(ownText('Digest:    sha256:0123456789\n'), { isTTY: true, columns: 20 })).toBe(
      'Digest:\n  sha256:0123456789\n',
    );
  });

  it('is measured without its colours', () => {
    const coloured = ownText('\u001b[31mdamage\u001b[39m: one two');
    expect(foldText(coloured, { isTTY: true, columns: 15 })).toBe(coloured);
  });

  it('is left alone elsewhere', () => {
    const long = ownText('word '.repeat(40));
    expect([foldText(long, {}), foldText(long, { columns: 20 }), foldText(long, { isTTY: true })]).toEqual(
      Array.from({ length: 3 }, () => long),
    );
  });
});
