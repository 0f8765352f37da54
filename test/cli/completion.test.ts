import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { completionFacts } from '../../src/cli/completion/facts.ts';
import { completionScript, type Shell } from '../../src/cli/completion/script.ts';
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
    .addOption(new Option('--format <format>', 'how to print').choices(['text', 'json']))
    .option('-q, --quiet', 'print only names');
  program.command('clone').description('copy').argument('<source>').argument('<new-name>');
  program.command('serve').description('run a registry').option('--data <folder>', 'where');
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

let folder: string;
let environment: NodeJS.ProcessEnv;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'tartlet-completion-'));
  // A stand-in that knows some names and notes how it was called.
  const names = NAMES.map((name) => `'${name.replaceAll("'", String.raw`'\''`)}'`).join(' ');
  writeFileSync(
    path.join(folder, 'tartlet'),
    `#!/bin/sh\nprintf '%s\\n' "$@" >'${folder}/called'\nprintf '%s\\n' ${names}\n`,
  );
  chmodSync(path.join(folder, 'tartlet'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    writeFileSync(path.join(folder, `completion.${shell}`), completionScript(buildProgram(), shell, 'tartlet'));
  }
  environment = { PATH: `${folder}:/usr/local/bin:/usr/bin:/bin`, HOME: folder, LC_ALL: 'C.UTF-8', LINE: '' };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function syntaxErrors(shell: Shell): string {
  return spawnSync(shell, ['-n', path.join(folder, `completion.${shell}`)], { encoding: 'utf8' }).stderr;
}

function run(shell: Shell, script: string, line: string): string[] {
  const flags = { bash: ['--norc', '--noprofile'], zsh: ['-f'], fish: ['--no-config'] }[shell];
  const output = execFileSync(shell, [...flags, '-c', script], {
    cwd: folder,
    env: { ...environment, LINE: line },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return output.split('\n').filter((each) => each !== '');
}

/** What bash would insert for the line, as readline calls the function. */
function bash(line: string): string[] {
  return run(
    'bash',
    'source ./completion.bash; COMP_LINE=$LINE COMP_POINT=${#LINE}; _tartlet; for each in "${COMPREPLY[@]}"; do printf "%s\\n" "$each"; done',
    line,
  ).sort();
}

/** What the function hands to zsh's own completion, whose functions are replaced by ones that print. */
function zsh(line: string): string[] {
  return run(
    'zsh',
    `compadd() { print -rl -- \${(P)2} }
_describe() { print -rl -- \${(P)2} }
_files() { print files }
compset() { PREFIX=\${PREFIX#*=} }
compdef() { print -u2 "$@" }
source ./completion.zsh
words=(\${(z)LINE}); [[ $LINE == *' ' ]] && words+=('')
CURRENT=$#words PREFIX=$words[-1]
_tartlet || true`,
    line,
  ).sort();
}

/** What fish itself would offer. */
function fish(line: string): string[] {
  return run('fish', 'source ./completion.fish; complete -C "$LINE"', line).sort();
}

describe('facts of a command tree', () => {
  const facts = new Map(completionFacts(buildProgram()).map(({ key, candidates }) => [key, candidates]));

  test('name what is visible, with its meaning on one line', () => {
    expect(facts.get('commands::')).toEqual([
      { word: 'pull', about: 'bring an image into the cache: "it\'s" verified' },
      { word: 'push', about: 'upload a VM' },
      { word: 'list', about: 'show what is here' },
      { word: 'clone', about: 'copy' },
      { word: 'serve', about: 'run a registry' },
      { word: 'completion', about: 'print a script' },
      { word: 'help', about: 'display help for command' },
    ]);
    expect(facts.get('options:list:')).toEqual([
      { word: '--format', about: 'how to print' },
      { word: '--quiet', about: 'print only names' },
      { word: '-q', about: 'print only names' },
      { word: '--help', about: 'display help for command' },
      { word: '-h', about: 'display help for command' },
    ]);
    expect(JSON.stringify([...facts])).not.toContain('deduplicate');
    expect(JSON.stringify([...facts])).not.toContain('__complete');
  });

  test('know what options and arguments take', () => {
    expect(facts.get('value:list:--format')).toEqual([
      { word: 'text', about: '' },
      { word: 'json', about: '' },
    ]);
    expect(facts.get('value:serve:--data')).toBe('files');
    expect(facts.get('value:pull:--concurrency')).toEqual([]);
    expect(facts.has('value:pull:--insecure')).toBe(false);
    expect(facts.get('argument:push:0')).toBe('names');
    expect(facts.get('argument:push:rest')).toBe('names');
    expect(facts.get('argument:clone:1')).toEqual([]);
    expect(facts.get('command::ls')).toEqual([{ word: 'list', about: '' }]);
  });
});

describe('a program name', () => {
  test.each(['bash', 'zsh', 'fish'] as const)('other than tartlet works in %s', (shell) => {
    const script = completionScript(buildProgram(), shell, 'tart');
    expect(script).toContain('command tart __complete names');
    expect(script).not.toMatch(/tartlet/);
  });

  test.each(['', 'a b', '$(x)', 'a;b', '-x', '../tart'])('%j is refused', (name) => {
    expect(() => completionScript(buildProgram(), 'bash', name)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

test.each(['bash', 'zsh', 'fish'] as const)('the script for %s never evaluates', (shell) => {
  const script = readFileSync(path.join(folder, `completion.${shell}`), 'utf8');
  expect(script).not.toMatch(/\beval\b|compgen|@(?:PROGRAM|FUNCTION|FACTS)@/);
  expect(script).toContain("'options:list:'");
});

describeWithParts('completion in bash', ['bash'], () => {
  test('accepts the script', () => {
    expect(syntaxErrors('bash')).toBe('');
  });

  test.each([
    ['tartlet ', ['clone', 'completion', 'help', 'list', 'pull', 'push', 'serve']],
    ['tartlet pu', ['pull', 'push']],
    ['tartlet -', ['--help', '--version', '-h']],
    ['tartlet list --', ['--format', '--help', '--quiet']],
    ['tartlet list --format ', ['json', 'text']],
    ['tartlet list --format j', ['json']],
    ['tartlet list --format=j', ['json']],
    ['tartlet ls --format ', ['json', 'text']],
    ['tartlet completion ', ['bash', 'fish', 'zsh']],
    ['tartlet help pu', ['pull', 'push']],
    ['tartlet pull --concurrency ', []],
    ['tartlet clone debian ', []],
    ['tartlet list -- --', []],
    ['tartlet nonsense ', []],
  ])('offers for "%s"', (line, offered) => {
    expect(bash(line)).toEqual(offered);
  });

  test.each(['tartlet clone deb', 'tartlet push deb', 'tartlet push x y deb', 'tartlet pull --concurrency 4 deb'])(
    'offers names for "%s"',
    (line) => {
      expect(bash(line)).toEqual(['debian']);
      expect(readFileSync(path.join(folder, 'called'), 'utf8')).toBe('__complete\nnames\ndeb\n');
    },
  );

  test('leaves off what readline does not replace: everything up to the last colon or @', () => {
    expect(bash('tartlet pull 127')).toEqual(['127.0.0.1:8221/demo/vm:1.0', '127.0.0.1:8221/demo/vm@sha256:abc']);
    expect(bash('tartlet pull 127.0.0.1:82')).toEqual(['8221/demo/vm:1.0', '8221/demo/vm@sha256:abc']);
    expect(bash('tartlet pull 127.0.0.1:8221/demo/vm:')).toEqual(['1.0']);
    expect(bash('tartlet pull 127.0.0.1:8221/demo/vm@')).toEqual(['sha256:abc']);
    expect(bash('tartlet pull [::1]:')).toEqual(['5000/base:15']);
  });

  test('quotes names for the shell', () => {
    expect(bash('tartlet clone dee')).toEqual(['deep\\ thought']);
    expect(bash('tartlet clone evil')).toEqual(['evil\\$\\(touch\\ pwned\\)']);
    expect(bash('tartlet clone it')).toEqual(["it\\'s"]);
  });

  test.each([
    'tartlet $(touch pwned) ',
    'tartlet clone $(touch pwned)',
    'tartlet clone `touch pwned` ',
    'tartlet list --format "$(touch pwned)',
    'tartlet list --format=$(touch pwned)',
    'tartlet -$(touch pwned) x',
    'tartlet clone * ',
  ])('runs nothing of %j', (line) => {
    bash(line);
    expect(existsSync(path.join(folder, 'pwned'))).toBe(false);
  });

  test('works when the shell insists on set variables', () => {
    const offered = run(
      'bash',
      'set -u; source ./completion.bash; COMP_LINE=$LINE COMP_POINT=${#LINE}; _tartlet; echo "${COMPREPLY[@]}"',
      'tartlet pu',
    );
    expect(offered).toEqual(['pull push']);
  });
});

describeWithParts('completion in zsh', ['zsh'], () => {
  test('accepts the script', () => {
    expect(syntaxErrors('zsh')).toBe('');
  });

  test.each([
    ['tartlet list --format ', ['json', 'text']],
    ['tartlet list --format=j', ['json', 'text']],
    ['tartlet push ', NAMES.toSorted()],
    ['tartlet serve --data ', ['files']],
    ['tartlet completion ', ['bash', 'fish', 'zsh']],
    ['tartlet pull --concurrency ', []],
    ['tartlet list -- --', []],
  ])('hands over for "%s"', (line, offered) => {
    expect(zsh(line)).toEqual(offered);
  });

  test('says what commands mean', () => {
    expect(zsh('tartlet ')).toContain('pull:bring an image into the cache: "it\'s" verified');
    expect(zsh('tartlet list -')).toContain('--format:how to print');
  });

  test.each(['tartlet $(touch pwned) ', 'tartlet clone $(touch pwned)', 'tartlet list --format=$(touch pwned)'])(
    'runs nothing of %j',
    (line) => {
      zsh(line);
      expect(existsSync(path.join(folder, 'pwned'))).toBe(false);
    },
  );
});

describeWithParts('completion in fish', ['fish'], () => {
  test('accepts the script', () => {
    expect(syntaxErrors('fish')).toBe('');
  });

  test.each([
    ['tartlet pu', ['pull\tbring an image into the cache: "it\'s" verified', 'push\tupload a VM']],
    ['tartlet list --fo', ['--format\thow to print']],
    ['tartlet list --format ', ['json', 'text']],
    ['tartlet list --format=j', ['--format=json']],
    ['tartlet ls --format j', ['json']],
    ['tartlet completion ', ['bash', 'fish', 'zsh']],
    ['tartlet help pu', ['pull\tbring an image into the cache: "it\'s" verified', 'push\tupload a VM']],
    ['tartlet clone debian ', []],
    ['tartlet push x y deb', ['debian']],
    ['tartlet pull 127.0.0.1:8221/demo/vm@', ['127.0.0.1:8221/demo/vm@sha256:abc']],
    ['tartlet clone evil', ['evil$(touch pwned)']],
    ['tartlet serve --data completion.b', ['completion.bash']],
  ])('offers for "%s"', (line, offered) => {
    expect(fish(line)).toEqual(offered);
  });

  test.each(['tartlet (touch pwned) ', 'tartlet clone (touch pwned)', 'tartlet list --format=(touch pwned)'])(
    'runs nothing of %j',
    (line) => {
      fish(line);
      expect(existsSync(path.join(folder, 'pwned'))).toBe(false);
    },
  );
});
