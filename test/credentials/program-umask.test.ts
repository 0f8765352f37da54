import { expect, it } from 'vitest';
import { runProgram } from '../../src/credentials/program.ts';

it.each([
  [0o27, '0027\n$HOME "; exit 1\n'],
  [0o77, '0077\n$HOME "; exit 1\n'],
])('a helper gets the umask %o of its user, and its words as they are (S69)', async (umask, said) => {
  const settings = { environment: {}, userDirectory: undefined, platform: process.platform, umask };
  // Its own first word is what a shell could stumble over.
  const end = await runProgram('/bin/sh', ['-c', 'umask; echo "$0"; cat', '$HOME "; exit 1'], 'input', settings);
  expect(end).toMatchObject({ kind: 'exited', code: 0 });
  expect(end.kind === 'exited' ? end.stdout.toString() : '').toBe(`${said}input`);
});
