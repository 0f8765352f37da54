import type { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repeated } from '../../src/cli/declare/option-types.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { runHere, terminalHere } from '../support/here.ts';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

/*
 * What every command answers to input that cannot be right. The rows come from the commands themselves, so that a new
 * one cannot be forgotten: wrong usage ends with 64 and the command's usage, a VM that does not exist with 2, and
 * nothing is changed.
 */

const cleanup = new Cleanup();
const workplace = new Workplace(cleanup);
beforeAll(() => plantVm(workplace.vmDirectory('mine')));
afterAll(async () => cleanup.run());

const COMMANDS = buildProgram(terminalHere(workplace, []), () => undefined).commands.filter(
  (command) => !command.name().startsWith('_'),
);

/** A word for each argument that must be there. Those with choices accept no other. */
function words(command: Command): string[] {
  return command.registeredArguments.filter(({ required }) => required).map(wordFor);
}

function wordFor({ argChoices }: Argument): string {
  return argChoices?.[0] ?? 'word';
}

function needsValue(option: Option): boolean {
  return option.mandatory && option.long !== undefined;
}

/** The options without which the command is not understood. */
function needed(command: Command): string[] {
  return command.options.filter(needsValue).flatMap(({ long }) => [long ?? '', 'value']);
}

async function expectUsage(command: string, argv: readonly string[], says: string): Promise<void> {
  const before = workplace.snapshot();
  const { exitCode, stdout, stderr } = await runHere(workplace, argv);
  expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 64, stdout: '' });
  const [message, ...rest] = stderr.split('\n');
  const [usage, more] = rest.filter((line) => !/^next: (?:did you mean |choose one of them$)/.test(line));
  expect(message).toMatch(/^error\[USAGE\]: /);
  expect(message).toContain(says);
  expect(usage).toMatch(new RegExp(`^Usage: tartlet ${command}( |$)`));
  expect(more).toBe(`  See 'tartlet ${command} --help' for more information.`);
  expect(workplace.snapshot()).toEqual(before);
}

describe.each(COMMANDS.map((command) => [command.name(), command] as const))('%s', (name, command) => {
  it('knows no other options', async () => {
    await expectUsage(name, [name, '--no-such-option', ...needed(command), ...words(command)], '--no-such-option');
  });

  const required = command.registeredArguments.filter((argument) => argument.required);
  it.each(required.map((argument, index) => [argument.name(), index] as const))(
    'misses <%s>',
    async (argument, index) => {
      await expectUsage(name, [name, ...needed(command), ...words(command).slice(0, index)], argument);
    },
  );

  it('takes no more arguments than it has', async () => {
    // Commands that take any number of names never have too many.
    if (command.registeredArguments.some(({ variadic }) => variadic)) return;
    const optional = command.registeredArguments.filter((argument) => !argument.required).map(wordFor);
    const argv = [name, ...needed(command), ...words(command), ...optional, 'too-many'];
    await expectUsage(name, argv, 'too many arguments');
  });

  const checked = command.options.filter((option) => option.parseArg !== undefined && option.parseArg !== repeated);
  it.each(checked.map(({ long }) => long ?? ''))('checks the value of %s', async (option) => {
    await expectUsage(name, [name, `${option}=no-such-value`, ...needed(command), ...words(command)], option);
  });

  it('has help that fits into 80 columns, with an example', async () => {
    const { exitCode, stdout, stderr } = await runHere(workplace, [name, '--help'], 80);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: tartlet ${name} `));
    expect(stdout).toMatch(/^Examples?:\n {2}\S/m);
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('a command that there is not', () => {
  it.each([[['nosuch']], [['nosuch', '--help']], [['help', 'nosuch']], [['nosuch', 'a', '--b']]])(
    '%j is wrong usage',
    async (argv) => {
      expect(await workplace.run(...argv)).toEqual({
        exitCode: 64,
        stdout: '',
        stderr:
          "error[USAGE]: unknown command 'nosuch'.\n" +
          "Usage: tartlet [options] [command]\n  See 'tartlet --help' for more information.\n",
      });
    },
  );

  it('is answered with the one that it resembles', async () => {
    const { exitCode, stderr } = await workplace.run('help', 'pul');
    expect(exitCode).toBe(64);
    expect(stderr).toMatch(/^error\[USAGE\]: unknown command 'pul'\.\nnext: did you mean pull\?\nUsage: tartlet /);
  });

  it('is not what `help help` asks for', async () => {
    expect((await workplace.run('help', 'help')).exitCode).toBe(0);
    expect((await workplace.run('help', '--help')).exitCode).toBe(0);
  });
});

describe('a VM that does not exist', () => {
  const MISSING: readonly (readonly [command: string, ...rest: string[]])[] = [
    ['clone', 'NAME', 'copy'],
    ['push', 'NAME', 'registry.example:8221/team/base:1'],
    ['inspect', 'NAME'],
    ['cat', 'NAME'],
    ['get', 'NAME'],
    ['set', 'NAME', '--cpu', '4'],
    ['rename', 'NAME', 'other'],
    ['delete', 'NAME'],
    ['export', 'NAME', 'file.oci.tar'],
    ['run', 'NAME'],
    ['stop', 'NAME'],
    ['suspend', 'NAME'],
    ['ip', 'NAME'],
    ['exec', 'NAME', 'true'],
    ['ssh', 'NAME'],
    ['ssh-config', 'NAME'],
    ['logs', 'NAME'],
    ['screenshot', 'NAME', 'screen.png'],
  ];

  it('is looked for by all these commands', () => {
    const wanted = COMMANDS.filter(
      ({ registeredArguments: [first] }) => first && ['name', 'names', 'source'].includes(first.name()),
    );
    // `fqn` echoes what is no remote name (tart-cli §1.19), and `copy` never looks at this machine. Only images are
    // pinned.
    const others = new Set(['fqn', 'copy', 'pin', 'unpin']);
    expect(
      wanted
        .map((command) => command.name())
        .filter((name) => !others.has(name))
        .sort(),
    ).toEqual(MISSING.map(([command]) => command).sort());
  });

  it.each(MISSING)('%s ends with 2 and changes nothing (tart-cli §7 #10, #32)', async (...row) => {
    // The empty name and those of directories reach outside with Tart (tart-cli §7 #10).
    for (const name of ['nobody', '', '.', '..', 'a\u0007b', 'x'.repeat(256)]) await expectMissing(row, name);
  });

  it.each(
    MISSING.filter(([command]) => ['get', 'set', 'rename', 'run', 'stop', 'suspend', 'ip', 'exec'].includes(command)),
  )('%s ends with 2 for the name of an image, and says what is for images', async (...row) => {
    const image = 'registry.example:8221/team/base:1';
    expect(await expectMissing(row, image)).toContain(`tartlet inspect ${image} shows it`);
  });

  const forImages = MISSING.filter(([command]) => ['push', 'delete', 'export', 'inspect'].includes(command));
  it.each([...forImages, ['pin', 'NAME'], ['unpin', 'NAME']])(
    '%s ends with 2 for an image that is not cached',
    async (...row) => {
      await expectMissing(row, 'registry.example:8221/team/base:1');
    },
  );

  async function expectMissing(row: readonly string[], name: string): Promise<string> {
    const before = workplace.snapshot();
    const argv = row.map((word) => (word === 'NAME' ? name : word));
    const { exitCode, stdout, stderr } = await runHere(workplace, argv);
    expect({ exitCode, stdout }, `${argv.join(' ')}\n${stderr}`).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^error\[VM_NOT_FOUND\]: .+\n(kept: .+\n)?next: .+\n$/);
    expect(workplace.snapshot().filter((entry) => !/^(\.lock|cache|tmp) /.test(entry))).toEqual(
      before.filter((entry) => !/^(\.lock|cache|tmp) /.test(entry)),
    );
    return stderr;
  }
});

it.each([
  ['--graphics', '--no-graphics'],
  ['--no-graphics', '--graphics'],
  ['--audio', '--no-audio'],
])('run refuses %s together with %s, of which the last would win', async (one, other) => {
  await expectUsage('run', ['run', one, 'mine', other], 'exclude each other');
});
