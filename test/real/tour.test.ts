import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeCloudDisk } from '../support/cloud-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { freePort } from '../support/real-process.ts';

/**
 * The README shows what comes out: its commands are run in their order, and each must print the lines below it, no more
 * and no fewer. What differs between machines and runs is compared by its kind only ({@link kindsOf}).
 */
const README = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
/** Where the README's registry listens; the test's is on a free port. */
const ADDRESS = '127.0.0.1:8221';
/** These build the package itself; `npm run package-check` tries them. */
const OF_THE_PACKAGE = /^npm /;
/** These need a guest that boots; test/real/ and test/guest/ run them with a guest of their own. */
const OF_A_GUEST = /^tartlet (?:run|ip|exec|ssh|stop) /;
/** How far a transfer is: printed when it takes long. */
const PROGRESS = /: \d+%, /;
const LONG_MS = 300_000;

interface Step {
  readonly command: string;
  readonly shown: readonly string[];
}

/** The commands of the console blocks, each with the lines below it. */
function stepsOf(document: string): Step[] {
  const blocks = [...document.matchAll(/^```console\n(?<text>[^]*?)^```$/gm)].map((match) => match.groups?.['text']);
  return blocks
    .join('')
    .split(/^\$ /m)
    .slice(1)
    .map((text) => text.trimEnd().split('\n'))
    .map(([command = '', ...shown]) => ({ command, shown }));
}

/** Lines with a word in the place of each digest, size, rate, time and width of a column. */
function kindsOf(lines: readonly string[]): string[] {
  return lines
    .filter((line) => line !== '' && !PROGRESS.test(line))
    .map((line) =>
      line
        .replaceAll(/sha256:[\da-f]{64}/g, 'sha256:DIGEST')
        .replaceAll(/sha256:[\da-f]+…/g, 'sha256:DIGEST…')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'DATE')
        .replaceAll(/\d+(?:\.\d+)? [kKMGT]?B(?:\/s)?/g, 'SIZE')
        .replaceAll(/in \d+[hms](?: \d+[hms])*/g, 'in TIME')
        .replaceAll(/in \d+ chunks/g, 'in N chunks')
        // A transfer that is over in no time has no rate, and nothing that limits it.
        .replace(/(?<=in TIME) \(SIZE\)|; limited by .*/g, '')
        .replaceAll(/just now|\d+ seconds? ago/g, 'JUST-NOW')
        .replaceAll(/ +/g, ' ')
        .trimEnd(),
    );
}

describeWithParts("the README's tour", ['sfdisk', 'mformat'], () => {
  const cleanup = new Cleanup();
  let directory: string;
  let address: string;
  let environment: Record<string, string>;

  beforeAll(async () => {
    directory = cleanup.directory();
    address = `127.0.0.1:${await freePort('127.0.0.1')}`;
    const at = (name: string): string => path.join(directory, name);
    for (const name of ['you', 'bin', 'work']) mkdirSync(at(name));
    symlinkSync(COMMAND, at('bin/tartlet'));
    environment = {
      PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
      HOME: at('you'),
      TART_HOME: at('publisher'),
      NO_COLOR: '1',
      NODE_DISABLE_COMPILE_CACHE: '1',
    };
    makeCloudDisk(at('work/debian-12.qcow2'), { loaders: ['BOOTX64.EFI'] });
    writeFileSync(at('work/user-data'), '#cloud-config\nusers: [default]\n');
  });
  afterAll(async () => cleanup.run());

  /** A text of the README as it is on this machine. */
  const here = (text: string): string =>
    text
      .replaceAll(ADDRESS, address)
      .replaceAll('127.0.0.1%3A8221', address.replace(':', '%3A'))
      .replaceAll('/home/you', path.join(directory, 'you'))
      .replaceAll('/tmp/ci', path.join(directory, 'ci'));

  /** Runs a command to its end, or one that ends with `&` until it has printed as many lines as are shown. */
  const printed = async (step: Step): Promise<string[]> => {
    const inBackground = step.command.endsWith('&');
    const command = here(step.command.replace(/ &$/, ''));
    // What the README shows of `list` is what a terminal gets.
    const line = command.startsWith('tartlet list') ? `script -qec 'stty cols 120; ${command}' /dev/null` : command;
    const child = spawn('bash', ['-c', `exec 2>&1; ${inBackground ? 'exec ' : ''}${line}`], {
      cwd: path.join(directory, 'work'),
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => {
      child.once('close', resolve);
    });
    if (inBackground) cleanup.add(async () => void (child.kill('SIGTERM'), await ended));
    let text = '';
    child.stdout.setEncoding('utf8');
    for await (const more of child.stdout) {
      text += String(more);
      if (inBackground && text.split('\n').length > step.shown.length) break;
    }
    return text.replaceAll('\r', '').split('\n');
  };

  it('prints what it shows, line by line', { timeout: LONG_MS }, async () => {
    const steps = stepsOf(README).filter(({ command }) => !OF_THE_PACKAGE.test(command) && !OF_A_GUEST.test(command));
    expect(steps.length).toBeGreaterThanOrEqual(10);
    for (const step of steps) {
      const assigned = /^export (?<name>\w+)=(?<value>\S+)$/.exec(step.command)?.groups;
      if (assigned !== undefined) {
        environment[assigned['name'] ?? ''] = here(assigned['value'] ?? '');
        continue;
      }
      const lines = kindsOf(await printed(step));
      // Where files can share blocks, nothing is said of a full copy.
      const isCopy = (shown: string): boolean => shown.startsWith('note: full copy');
      const shown = kindsOf(step.shown.map(here)).filter((each) => !isCopy(each));
      expect(
        lines.filter((each) => !isCopy(each)),
        step.command,
      ).toEqual(shown);
    }
  });

  it('shows of the demo what the demo prints', { timeout: LONG_MS }, async () => {
    const demo = stepsOf(README).find(({ command }) => command.endsWith('npm run demo'));
    const lines = kindsOf(await printed({ command: 'tartlet demo', shown: [] }));
    const withoutPort = (each: string): string => each.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS');
    expect(lines.map(withoutPort)).toEqual(kindsOf(demo?.shown ?? []).map(withoutPort));
  });
});
