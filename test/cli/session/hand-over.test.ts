import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { handOver } from '../../../src/cli/session/hand-over.ts';
import type { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { temporaryDirectory } from '../../support/directory.ts';

/** Notes its words, its variables and the signals it gets; ends with 7, at once or on SIGUSR1. */
const TART = `#!/bin/sh
printf '%s\\n' "$@" > "$NOTES/words"
trap 'echo USR1 >> "$NOTES/signals"; exit 7' USR1
trap 'echo INT >> "$NOTES/signals"' INT
if [ "$1" = run ]; then echo > "$NOTES/ready"; while :; do sleep 0.02; done; fi
exit 7
`;

interface Mac {
  readonly directory: string;
  readonly terminal: (changes?: Partial<Terminal>) => Terminal;
}

/** A Mac whose `PATH` has us first, under the name of Tart, and then a Tart. */
function mac(): Mac {
  const directory = temporaryDirectory();
  for (const name of ['ours', 'theirs']) mkdirSync(`${directory}/${name}`);
  writeFileSync(`${directory}/tartlet`, '#!/bin/sh\nexit 99\n');
  writeFileSync(`${directory}/theirs/tart`, TART);
  for (const file of ['tartlet', 'theirs/tart']) chmodSync(`${directory}/${file}`, 0o755);
  symlinkSync(`${directory}/tartlet`, `${directory}/ours/tart`);
  const stream = new PassThrough();
  const environment = {
    PATH: `${directory}/missing:${directory}/ours:${directory}/theirs:/usr/bin:/bin`,
    NOTES: directory,
  };
  return {
    directory,
    terminal: (changes = {}) => ({
      stdin: stream,
      stdout: stream,
      stderr: stream,
      environment,
      workingDirectory: directory,
      userDirectory: directory,
      platform: 'darwin',
      uid: 0,
      now: () => new Date(),
      signal: new AbortController().signal,
      argv: ['exec', '-i', 'vm', 'sh', '-c', 'echo  two  blanks', '--help', '--', ''],
      machine: 'x86_64',
      programPath: `${directory}/ours/tart`,
      onReload: () => undefined,
      programName: 'tart',
      ...changes,
    }),
  };
}

describe('handing over to Tart', () => {
  it('gives it the very same words, past ourselves, and ends with its exit code', async () => {
    const { directory, terminal } = mac();
    expect(await handOver(terminal())).toBe(7);
    expect(readFileSync(`${directory}/words`, 'utf8')).toBe('exec\n-i\nvm\nsh\n-c\necho  two  blanks\n--help\n--\n\n');
  });

  it('sends signals on while it runs, and leaves our own answers to them in place', async () => {
    const { directory, terminal } = mac();
    const before = process.listeners('SIGINT');
    const ending = handOver(terminal({ argv: ['run', 'vm'] }));
    await vi.waitUntil(() => existsSync(`${directory}/ready`), { timeout: 20_000 });
    process.kill(process.pid, 'SIGINT');
    await vi.waitUntil(() => existsSync(`${directory}/signals`), { timeout: 20_000 });
    process.kill(process.pid, 'SIGUSR1');
    expect(await ending).toBe(7);
    expect(readFileSync(`${directory}/signals`, 'utf8')).toBe('INT\nUSR1\n');
    expect(process.listeners('SIGINT')).toEqual(before);
    expect(process.listeners('SIGUSR1')).toEqual([]);
  });

  it('counts a signal that ended Tart as shells do', async () => {
    const { directory, terminal } = mac();
    writeFileSync(`${directory}/theirs/tart`, '#!/bin/sh\nkill -TERM $$\n');
    expect(await handOver(terminal())).toBe(143);
  });

  it.each<[string, (directory: string) => Partial<Terminal>]>([
    ['on another system', () => ({ platform: 'linux' })],
    ['when Tart is us', (directory) => ({ environment: { PATH: `${directory}/ours` } })],
    ['when there is no Tart', () => ({ environment: { PATH: '/nowhere' } })],
    [
      'for a program in the directory that it stands in (S70)',
      (directory) => ({
        environment: { PATH: `:.:theirs:`, NOTES: directory },
        workingDirectory: `${directory}/theirs`,
      }),
    ],
    [
      'when Tart started us',
      (directory) => ({ environment: { PATH: `${directory}/theirs`, NOTES: directory, TARTLET_HANDED_OVER: '1' } }),
    ],
  ])('does not happen %s', async (_, changes) => {
    const { directory, terminal } = mac();
    expect(await handOver(terminal(changes(directory)))).toBeUndefined();
    expect(existsSync(`${directory}/words`)).toBe(false);
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
  const recorded = (directory: string): string[] =>
    JSON.parse(readFileSync(`${directory}/words`, 'utf8').trimEnd()) as string[];

  function recordingMac(): Mac {
    const made = mac();
    const script = `#!/bin/sh\nexec ${process.execPath} -e 'require("fs").writeFileSync(process.env.NOTES + "/words", JSON.stringify(process.argv.slice(1)))' -- "$@"\n`;
    writeFileSync(`${made.directory}/theirs/tart`, script);
    return made;
  }

  it('arrives at Tart as it is', async () => {
    const { directory, terminal } = recordingMac();
    await fc.assert(
      fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 6 }), async (argv) => {
        expect(await handOver(terminal({ argv }))).toBe(0);
        expect(recorded(directory)).toEqual(argv);
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    ['exec', fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => ['exec', '-i', 'ci', ...words])],
    ['run', unknownOptions('run')],
    ['stop', unknownOptions('stop')],
    ['suspend', unknownOptions('suspend')],
    ['ip', unknownOptions('ip')],
  ])(
    'of %s arrives there through our command line as well, with options that only a newer Tart knows',
    async (_, argvs) => {
      const { directory, terminal } = recordingMac();
      await fc.assert(
        fc.asyncProperty(argvs, async (argv) => {
          expect(await run(terminal({ argv }), argv)).toBe(0);
          expect(recorded(directory)).toEqual(argv);
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
