import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { handOver } from '../../../src/cli/session/hand-over.ts';
import type { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { temporaryFolder } from '../../support/folder.ts';

/** Notes its words, its variables and the signals it gets; ends with 7, at once or on SIGUSR1. */
const TART = `#!/bin/sh
printf '%s\\n' "$@" > "$NOTES/words"
trap 'echo USR1 >> "$NOTES/signals"; exit 7' USR1
trap 'echo INT >> "$NOTES/signals"' INT
if [ "$1" = run ]; then echo > "$NOTES/ready"; while :; do sleep 0.02; done; fi
exit 7
`;

interface Mac {
  readonly folder: string;
  readonly terminal: (changes?: Partial<Terminal>) => Terminal;
}

/** A Mac whose `PATH` has us first, under the name of Tart, and then a Tart. */
function mac(): Mac {
  const folder = temporaryFolder();
  for (const name of ['ours', 'theirs']) mkdirSync(`${folder}/${name}`);
  writeFileSync(`${folder}/tartlet`, '#!/bin/sh\nexit 99\n');
  writeFileSync(`${folder}/theirs/tart`, TART);
  for (const file of ['tartlet', 'theirs/tart']) chmodSync(`${folder}/${file}`, 0o755);
  symlinkSync(`${folder}/tartlet`, `${folder}/ours/tart`);
  const stream = new PassThrough();
  const environment = {
    PATH: `${folder}/missing:${folder}/ours:${folder}/theirs:/usr/bin:/bin`,
    NOTES: folder,
  };
  return {
    folder,
    terminal: (changes = {}) => ({
      stdin: stream,
      stdout: stream,
      stderr: stream,
      environment,
      workingFolder: folder,
      userFolder: folder,
      platform: 'darwin',
      uid: 0,
      now: () => new Date(),
      signal: new AbortController().signal,
      argv: ['exec', '-i', 'vm', 'sh', '-c', 'echo  two  blanks', '--help', '--', ''],
      machine: 'x86_64',
      programPath: `${folder}/ours/tart`,
      onReload: () => undefined,
      programName: 'tart',
      ...changes,
    }),
  };
}

describe('handing over to Tart', () => {
  test('gives it the very same words, past ourselves, and ends with its exit code', async () => {
    const { folder, terminal } = mac();
    expect(await handOver(terminal())).toBe(7);
    expect(readFileSync(`${folder}/words`, 'utf8')).toBe('exec\n-i\nvm\nsh\n-c\necho  two  blanks\n--help\n--\n\n');
  });

  test('sends signals on while it runs, and leaves our own answers to them in place', async () => {
    const { folder, terminal } = mac();
    const before = process.listeners('SIGINT');
    const ending = handOver(terminal({ argv: ['run', 'vm'] }));
    await vi.waitUntil(() => existsSync(`${folder}/ready`), { timeout: 20_000 });
    process.kill(process.pid, 'SIGINT');
    await vi.waitUntil(() => existsSync(`${folder}/signals`), { timeout: 20_000 });
    process.kill(process.pid, 'SIGUSR1');
    expect(await ending).toBe(7);
    expect(readFileSync(`${folder}/signals`, 'utf8')).toBe('INT\nUSR1\n');
    expect(process.listeners('SIGINT')).toEqual(before);
    expect(process.listeners('SIGUSR1')).toEqual([]);
  });

  test('counts a signal that ended Tart as shells do', async () => {
    const { folder, terminal } = mac();
    writeFileSync(`${folder}/theirs/tart`, '#!/bin/sh\nkill -TERM $$\n');
    expect(await handOver(terminal())).toBe(143);
  });

  test.each<[string, (folder: string) => Partial<Terminal>]>([
    ['on another system', () => ({ platform: 'linux' })],
    ['when Tart is us', (folder) => ({ environment: { PATH: `${folder}/ours` } })],
    ['when there is no Tart', () => ({ environment: { PATH: '/nowhere' } })],
    [
      'for a program in the directory that it stands in (S70)',
      (folder) => ({ environment: { PATH: `:.:theirs:`, NOTES: folder }, workingFolder: `${folder}/theirs` }),
    ],
    [
      'when Tart started us',
      (folder) => ({ environment: { PATH: `${folder}/theirs`, NOTES: folder, TARTLET_HANDED_OVER: '1' } }),
    ],
  ])('does not happen %s', async (_, changes) => {
    const { folder, terminal } = mac();
    expect(await handOver(terminal(changes(folder)))).toBeUndefined();
    expect(existsSync(`${folder}/words`)).toBe(false);
  });
});

describe('all that is typed on a Mac', () => {
  const word = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0')),
    fc.constantFrom(
      '--',
      '-it',
      '--help',
      '--version',
      '--wait',
      '-',
      "'",
      '$HOME',
      '*',
      '--unknown',
      '--unknown=x',
      '--rm',
    ),
  );

  /** The words of the last call. */
  const recorded = (folder: string): string[] =>
    JSON.parse(readFileSync(`${folder}/words`, 'utf8').trimEnd()) as string[];

  function recordingMac(): Mac {
    const made = mac();
    const script = `#!/bin/sh\nexec ${process.execPath} -e 'require("fs").writeFileSync(process.env.NOTES + "/words", JSON.stringify(process.argv.slice(1)))' -- "$@"\n`;
    writeFileSync(`${made.folder}/theirs/tart`, script);
    return made;
  }

  test('arrives at Tart as it is', async () => {
    const { folder, terminal } = recordingMac();
    await fc.assert(
      fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 6 }), async (argv) => {
        expect(await handOver(terminal({ argv }))).toBe(0);
        expect(recorded(folder)).toEqual(argv);
      }),
      { numRuns: 25 },
    );
  });

  test.each([
    ['exec', fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => ['exec', '-i', 'ci', ...words])],
    ['run', unknownOptions('run')],
    ['stop', unknownOptions('stop')],
    ['suspend', unknownOptions('suspend')],
    ['ip', unknownOptions('ip')],
  ])(
    'of %s arrives there through our command line as well, with options that only a newer Tart knows',
    async (_, argvs) => {
      const { folder, terminal } = recordingMac();
      await fc.assert(
        fc.asyncProperty(argvs, async (argv) => {
          expect(await run(terminal({ argv }), argv)).toBe(0);
          expect(recorded(folder)).toEqual(argv);
        }),
        { numRuns: 10 },
      );
    },
  );
});

/** Options with and without values behind the name of a VM. */
function unknownOptions(command: string): fc.Arbitrary<string[]> {
  const option = fc.stringMatching(/^--x-[a-z]{1,8}(=[a-z0-9:,]{0,8})?$/);
  const value = fc.stringMatching(/^[a-z0-9/:.]{1,8}$/);
  return fc
    .array(
      fc.oneof(
        option.map((each) => [each]),
        fc.tuple(option, value),
      ),
      { maxLength: 4 },
    )
    .map((words) => [command, 'ci', ...words.flat()]);
}
