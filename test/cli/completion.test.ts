import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { candidatesFor } from '../../src/cli/completion/candidates.ts';
import { completionScript, type Shell } from '../../src/cli/completion/script.ts';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** A small program with one of everything. */
function buildProgram(): Command {
  const program = new Command('tartlet').version('1.0.0', '--version', 'show the version').enablePositionalOptions();
  program
    .command('pull')
    .description('bring an image into the cache: "it\'s" verified\nSecond line')
    .argument('<remote-name>')
    .option('--insecure', 'speak plain HTTP')
    .option('--concurrency <n>', 'chunks at once')
    .addOption(new Option('--deduplicate').hideHelp());
  program
    .command('push')
    .description('upload a VM')
    .argument('<source>')
    .argument('<remote-names...>')
    .option('--label <key=value>', 'a label');
  program
    .command('list')
    .alias('ls')
    .description('show what is here')
    .addOption(new Option('--format <format>', 'Output format').choices(['text', 'json']))
    .option('-q, --quiet', 'Print only names');
  program.command('clone').description('copy').argument('<source>').argument('<new-name>');
  program
    .command('serve')
    .description('run a registry')
    .option('--from <file|url>', 'a file, or elsewhere')
    .option('--disk <path[:options]>', 'a disk')
    .option('--data <directory>', 'where');
  program
    .command('completion')
    .description('print a script')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']));
  program.command('__complete', { hidden: true }).argument('<what>');
  return program;
}

const NAMES = [
  '127.0.0.1:8221/demo/vm:1.0',
  '127.0.0.1:8221/demo/vm@sha256:abc',
  '[::1]:5000/base:15',
  'debian',
  'deep thought',
  'evil$(touch pwned)',
  "it's",
];

let directory: string;
let environment: NodeJS.ProcessEnv;

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-completion-'));
  // A stand-in that answers what it is told to, and notes how it was called.
  writeFileSync(
    path.join(directory, 'tartlet'),
    `#!/bin/sh\nprintf '<%s>' "$@" >'${directory}/called'\ncat '${directory}/answer'\necho noise >&2\n`,
  );
  chmodSync(path.join(directory, 'tartlet'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    writeFileSync(path.join(directory, `completion.${shell}`), completionScript(shell, 'tartlet'));
  }
  environment = { PATH: `${directory}:/usr/local/bin:/usr/bin:/bin`, HOME: directory, LC_ALL: 'C.UTF-8', LINE: '' };
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function answer(kind: 'words' | 'files', lines: readonly string[] = []): void {
  writeFileSync(path.join(directory, 'answer'), [kind, ...lines, ''].join('\n'));
}

function called(): string {
  return readFileSync(path.join(directory, 'called'), 'utf8');
}

function syntaxErrors(shell: Shell): string {
  return spawnSync(shell, ['-n', path.join(directory, `completion.${shell}`)], { encoding: 'utf8' }).stderr;
}

function run(shell: Shell, script: string, line: string, variables: NodeJS.ProcessEnv = environment): string[] {
  const flags = { bash: ['--norc', '--noprofile'], zsh: ['-f'], fish: ['--no-config'] }[shell];
  const output = execFileSync(shell, [...flags, '-c', script], {
    cwd: directory,
    env: { ...variables, LINE: line },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return output.split('\n').filter((each) => each !== '');
}

/** Loads the script by asking the command itself for it, or from the file that the tests wrote. */
const SOURCES: Readonly<Record<'bash' | 'zsh' | 'fish', (program?: string) => string>> = {
  bash: (program) => (program === undefined ? 'source ./completion.bash' : `source <(${program} completion bash)`),
  zsh: (program) => (program === undefined ? 'source ./completion.zsh' : `source <(${program} completion zsh)`),
  fish: (program) => (program === undefined ? 'source ./completion.fish' : `${program} completion fish | source`),
};

/** What bash would insert for the line, as readline calls the function. */
function bash(line: string, program?: string, variables?: NodeJS.ProcessEnv): string[] {
  return run(
    'bash',
    `${SOURCES.bash(program)}; COMP_LINE=$LINE COMP_POINT=\${#LINE}; _${program ?? 'tartlet'}; for each in "\${COMPREPLY[@]}"; do printf "%s\\n" "$each"; done`,
    line,
    variables,
  ).sort();
}

/** What the function hands to zsh's own completion, whose functions are replaced by ones that print. */
function zsh(line: string, program?: string, variables?: NodeJS.ProcessEnv): string[] {
  return run(
    'zsh',
    `_describe() { print -rl -- \${(P)2} }
_files() { print files $PREFIX }
compset() { PREFIX=\${PREFIX#*=} }
compdef() { print -u2 "$@" }
${SOURCES.zsh(program)}
words=(\${(z)LINE}); [[ $LINE == *' ' ]] && words+=('')
CURRENT=$#words PREFIX=$words[-1]
_${program ?? 'tartlet'} || true`,
    line,
    variables,
  ).sort();
}

/** What fish itself would offer. */
function fish(line: string, program?: string, variables?: NodeJS.ProcessEnv): string[] {
  return run('fish', `${SOURCES.fish(program)}; complete -C "$LINE"`, line, variables).sort();
}

describe('what is offered', () => {
  const program = buildProgram();
  const offered = (...words: string[]): unknown => {
    const candidates = candidatesFor(program, words);
    return candidates.kind === 'words' ? candidates.words.map(({ word }) => word) : candidates.kind;
  };
  const COMMANDS = ['pull', 'push', 'list', 'clone', 'serve', 'completion', 'help'];
  const LIST = ['--format', '--quiet', '-q', '--help', '-h'];

  it.each([
    [[''], COMMANDS],
    [['pu'], COMMANDS],
    [['-'], ['--version', '--help', '-h']],
    [['list', '--'], LIST],
    [['ls', '-'], LIST],
    [
      ['list', '--format', ''],
      ['text', 'json'],
    ],
    [
      ['ls', '--format', 'j'],
      ['text', 'json'],
    ],
    [
      ['list', '--format=j'],
      ['--format=text', '--format=json'],
    ],
    [['list', '--format', 'text', '-'], LIST],
    [['list', '--quiet', '--'], LIST],
    [['list', '--quiet=x'], []],
    [['list', '--', '--'], []],
    [['list', ''], []],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['help', 'pu'], COMMANDS],
    [['pull', '--concurrency', ''], []],
    [['pull', '--concurrency=', ''], 'names'],
    [['pull', '--concurrency', '4', 'deb'], 'names'],
    [['pull', '--insecure', 'deb'], 'names'],
    [['clone', 'deb'], 'names'],
    [['clone', 'debian', ''], []],
    [['clone', '--', 'deb'], 'names'],
    [['push', 'x', 'y', 'deb'], 'names'],
    [['serve', '--data', ''], 'files'],
    [['serve', '--from', ''], 'files'],
    [['serve', '--disk', ''], 'files'],
    [['serve', '--data=/x'], 'files'],
    [['nonsense', ''], []],
    [['__complete', ''], []],
    [[], COMMANDS],
  ])('after %j', (words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  it('says what a word means, on one line, and nothing of what is hidden', () => {
    expect(candidatesFor(program, [''])).toMatchObject({
      words: expect.arrayContaining([
        { word: 'pull', about: 'bring an image into the cache: "it\'s" verified' },
      ]) as unknown,
    });
    expect(offered('pull', '-')).not.toContain('--deduplicate');
  });
});

describe('a program name', () => {
  it.each(['bash', 'zsh', 'fish'] as const)('other than tartlet works in %s', (shell) => {
    const script = completionScript(shell, 'tart');
    expect(script).toContain('command tart __complete -- ');
    expect(script).not.toMatch(/tartlet/);
  });

  it.each(['', 'a b', '$(x)', 'a;b', '-x', '../tart'])('%j is refused', (name) => {
    expect(() => completionScript('bash', name)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

it.each(['bash', 'zsh', 'fish'] as const)('the script for %s never evaluates', (shell) => {
  const script = readFileSync(path.join(directory, `completion.${shell}`), 'utf8');
  expect(script).not.toMatch(/\beval\b|compgen|@(?:PROGRAM|FUNCTION)@/);
});

describeWithParts('completion in bash', ['bash'], () => {
  it('accepts the script', () => {
    expect(syntaxErrors('bash')).toBe('');
  });

  it('hands over every word, and offers what begins with the last', () => {
    answer('words', ['pull\tbring it', 'push\tupload', 'list']);
    expect(bash('tartlet ')).toEqual(['list', 'pull', 'push']);
    expect(called()).toBe('<__complete><--><>');
    expect(bash('tartlet pu')).toEqual(['pull', 'push']);
    expect(called()).toBe('<__complete><--><pu>');
    expect(bash('tartlet push x --label a=b ')).toEqual(['list', 'pull', 'push']);
    expect(called()).toBe('<__complete><--><push><x><--label><a=b><>');
  });

  it('takes the values after "=", of which readline has the option already', () => {
    answer('words', ['--format=text', '--format=json']);
    expect(bash('tartlet list --format=j')).toEqual(['json']);
  });

  it('leaves off what readline does not replace: everything up to the last colon or @', () => {
    answer('words', NAMES);
    expect(bash('tartlet pull 127')).toEqual(['127.0.0.1:8221/demo/vm:1.0', '127.0.0.1:8221/demo/vm@sha256:abc']);
    expect(bash('tartlet pull 127.0.0.1:82')).toEqual(['8221/demo/vm:1.0', '8221/demo/vm@sha256:abc']);
    expect(bash('tartlet pull 127.0.0.1:8221/demo/vm:')).toEqual(['1.0']);
    expect(bash('tartlet pull 127.0.0.1:8221/demo/vm@')).toEqual(['sha256:abc']);
    expect(bash('tartlet pull [::1]:')).toEqual(['5000/base:15']);
  });

  it('quotes names for the shell', () => {
    answer('words', NAMES);
    expect(bash('tartlet clone dee')).toEqual(['deep\\ thought']);
    expect(bash('tartlet clone evil')).toEqual(['evil\\$\\(touch\\ pwned\\)']);
    expect(bash('tartlet clone it')).toEqual(["it\\'s"]);
  });

  it('leaves paths to readline', () => {
    answer('files');
    const told = run(
      'bash',
      'compopt() { echo "compopt $*"; }; source ./completion.bash; COMP_LINE=$LINE COMP_POINT=${#LINE}; _tartlet; echo "${#COMPREPLY[@]}"',
      'tartlet serve --data /x',
    );
    expect(told).toEqual(['compopt -o default', '0']);
  });

  it.each([
    'tartlet $(touch pwned) ',
    'tartlet clone $(touch pwned)',
    'tartlet clone `touch pwned` ',
    'tartlet list --format "$(touch pwned)',
    'tartlet list --format=$(touch pwned)',
    'tartlet -$(touch pwned) x',
    'tartlet clone * ',
  ])('runs nothing of %j', (line) => {
    answer('words', NAMES);
    bash(line);
    expect(existsSync(path.join(directory, 'pwned'))).toBe(false);
  });

  it('works when the shell insists on set variables', () => {
    answer('words', ['pull', 'push']);
    const offered = run(
      'bash',
      'set -u; source ./completion.bash; COMP_LINE=$LINE COMP_POINT=${#LINE}; _tartlet; echo "${COMPREPLY[@]}"',
      'tartlet pu',
    );
    expect(offered).toEqual(['pull push']);
  });
});

describeWithParts('completion in zsh', ['zsh'], () => {
  it('accepts the script', () => {
    expect(syntaxErrors('zsh')).toBe('');
  });

  it('hands over every word, and to zsh each answer with its meaning', () => {
    answer('words', ['pull\tbring it: "it\'s" here', String.raw`a\b`, '127.0.0.1:1/a:b']);
    expect(zsh('tartlet list --format=j')).toEqual([
      String.raw`127.0.0.1\:1/a\:b`,
      String.raw`a\\b`,
      'pull:bring it: "it\'s" here',
    ]);
    expect(called()).toBe('<__complete><--><list><--format=j>');
    zsh(`tartlet clone 'a b' `);
    expect(called()).toBe('<__complete><--><clone><a b><>');
  });

  it.each([
    ['tartlet serve --data /x', 'files /x'],
    ['tartlet serve --data=/x', 'files /x'],
  ])('leaves the paths of "%s" to zsh', (line, told) => {
    answer('files');
    expect(zsh(line)).toEqual([told]);
  });

  it('offers nothing where there is nothing', () => {
    answer('words');
    expect(zsh('tartlet clone debian ')).toEqual([]);
  });

  it.each(['tartlet $(touch pwned) ', 'tartlet clone $(touch pwned)', 'tartlet list --format=$(touch pwned)'])(
    'runs nothing of %j',
    (line) => {
      answer('words', NAMES);
      zsh(line);
      expect(existsSync(path.join(directory, 'pwned'))).toBe(false);
    },
  );
});

describeWithParts('completion in fish', ['fish'], () => {
  it('accepts the script', () => {
    expect(syntaxErrors('fish')).toBe('');
  });

  it('hands over every word, and fish offers what fits', () => {
    answer('words', ['pull\tbring it: "it\'s" here', 'push', 'list']);
    expect(fish('tartlet pu')).toEqual(['pull\tbring it: "it\'s" here', 'push']);
    expect(called()).toBe('<__complete><--><pu>');
    expect(fish('tartlet ')).toEqual(['list', 'pull\tbring it: "it\'s" here', 'push']);
    expect(called()).toBe('<__complete><--><>');
    expect(fish('tartlet clone "a b" ')).toHaveLength(3);
    expect(called()).toBe('<__complete><--><clone><a b><>');
    answer('words', ['--format=text', '--format=json']);
    expect(fish('tartlet list --format=j')).toEqual(['--format=json']);
    answer('words', NAMES);
    expect(fish('tartlet pull 127.0.0.1:8221/demo/vm@')).toEqual(['127.0.0.1:8221/demo/vm@sha256:abc']);
    expect(fish('tartlet clone evil')).toEqual(['evil$(touch pwned)']);
  });

  it.each([
    ['tartlet serve --data completion.b', 'completion.bash'],
    ['tartlet serve --data=completion.b', '--data=completion.bash'],
  ])('offers the paths of "%s"', (line, offered) => {
    answer('files');
    expect(fish(line)).toEqual([offered]);
  });

  it.each(['tartlet (touch pwned) ', 'tartlet clone (touch pwned)', 'tartlet list --format=(touch pwned)'])(
    'runs nothing of %j',
    (line) => {
      answer('words', NAMES);
      fish(line);
      expect(existsSync(path.join(directory, 'pwned'))).toBe(false);
    },
  );
});

describe('the real command', () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  /** A user who has the command under both of its names, and a VM. */
  function user(): { readonly workplace: Workplace; readonly variables: NodeJS.ProcessEnv } {
    const workplace = new Workplace(cleanup);
    const programs = cleanup.directory();
    for (const name of ['tart', 'tartlet']) symlinkSync(COMMAND, path.join(programs, name));
    plantVm(workplace.vmDirectory('debian'));
    const { PATH = '' } = workplace.environment;
    return { workplace, variables: { ...workplace.environment, LC_ALL: 'C.UTF-8', PATH: `${programs}:${PATH}` } };
  }

  const shells = { bash, zsh, fish };
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    describeWithParts(`in ${shell}`, [shell], () => {
      it.each(['tart', 'tartlet'])('completes under the name %s', (program) => {
        const { variables } = user();
        const complete = (line: string): string[] =>
          shells[shell](`${program} ${line}`, program, variables).map((each) => each.split(/[\t]|(?<!\\):/)[0] ?? '');
        expect(complete('clon')).toContain('clone');
        expect(complete('clone deb')).toEqual(['debian']);
        expect(complete('list --format j')).toContain('json');
      });
    });
  }

  it('leaves a home that is missing, or is none, as it is, and says nothing', async () => {
    const nothing = { exitCode: 0, stdout: 'words\n', stderr: '' };
    const fresh = new Workplace(cleanup);
    expect(await fresh.run('__complete', '--', 'clone', '')).toEqual(nothing);
    expect(existsSync(fresh.home)).toBe(false);
    writeFileSync(fresh.home, 'a file');
    expect(await fresh.run('__complete', '--', 'clone', '')).toEqual(nothing);
    const relative = new Workplace(cleanup, { home: 'relative' });
    expect(await relative.run('__complete', '--', 'clone', '')).toEqual(nothing);
  });

  it('takes whatever is typed for words', async () => {
    const { workplace } = user();
    for (const word of ['--help', '--help-hidden', '--version', '--nonsense', '-x=']) {
      const { exitCode, stdout, stderr } = await workplace.run('__complete', '--', 'clone', word, '');
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: 'words\ndebian\n', stderr: '' });
    }
  });
});
