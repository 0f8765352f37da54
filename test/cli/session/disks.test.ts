import { expect, it } from 'vitest';
import { parseDisk } from '../../../src/cli/session/attachment-settings.ts';
import type { Terminal } from '../../../src/cli/terminal/terminal.ts';

const terminal = { workingDirectory: '/dev' } as Terminal;

it.each([
  ['.', 'NOT_FOUND', '/dev is neither a file nor a block device'],
  ['null:ro', 'NOT_FOUND', '/dev/null is neither a file nor a block device'],
  ['', 'NOT_FOUND', '/dev is neither a file nor a block device'],
  ['./nowhere.img', 'NOT_FOUND', 'there is no disk at /dev/nowhere.img'],
  ['nbds://build.example/export', 'USAGE', '"nbds://build.example/export" asks for TLS, which is not there for disks'],
  ['nbds+unix:///e?socket=/s', 'USAGE', '"nbds+unix:///e?socket=/s" asks for TLS, which is not there for disks'],
  ['nbd://build.example/%zz', 'USAGE', '"nbd://build.example/%zz" is no address of a disk'],
  ['nbd:build.example:10809', 'USAGE', '"nbd:build.example:10809" is no address of a disk'],
  ['nbd+unix:///export', 'USAGE', '"nbd+unix:///export" is no address of a disk'],
  ['nbd://build.example:port/', 'USAGE', '"nbd://build.example:port/" is no address of a disk'],
])('--disk "%s" is refused before QEMU is asked', (text, code, message) => {
  expect(() => parseDisk(terminal, text)).toThrow(expect.objectContaining({ code, message }));
});

it.each(['nbd://build.example/export', 'nbd://[::1]:10810/a%20b', 'nbd+unix:///export?socket=/run/nbd'])(
  '--disk "%s" is a disk of a server',
  (text) => {
    expect(parseDisk(terminal, text)).toMatchObject({ kind: 'nbd', url: new URL(text) });
  },
);
