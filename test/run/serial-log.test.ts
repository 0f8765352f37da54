import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { terminalHere } from '../support/here.ts';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';

const SOON = { timeout: 20_000 };

describe('the serial log of a guest', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let log: string;

  beforeEach(() => {
    workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('ci'));
    log = `${workplace.vmDirectory('ci')}/serial.log`;
  });
  afterAll(async () => cleanup.run());

  it('comes byte for byte into a pipe, of this run and of the one before it', async () => {
    writeFileSync(log, 'now\r\n\x1b[31mred\x1b[0m \x07');
    writeFileSync(`${log}.1`, 'before\n');
    expect(await workplace.run('logs', 'ci')).toEqual({
      exitCode: 0,
      stdout: 'now\r\n\x1b[31mred\x1b[0m \x07',
      stderr: '',
    });
    expect(await workplace.run('logs', '--previous', 'ci')).toEqual({ exitCode: 0, stdout: 'before\n', stderr: '' });
  });

  it('comes to a terminal without what would command it', async () => {
    const ends = '\x1b]0;title\x07';
    writeFileSync(log, `\x1b[2J\x1b[01;31mred\x1b[0m\r\n${ends}\x1b(Bplain \x07 \xe4\r\n\x1b[5`);
    const terminal = terminalHere(workplace, ['logs', 'ci'], 80);
    expect(await run(terminal, ['logs', 'ci'])).toBe(0);
    expect(terminal.stdout.text).toBe('red\nplain \\u0007 \u00e4\n5');
  });

  it('is followed across runs, and ends with the VM', async () => {
    writeFileSync(log, 'one\n');
    const following = workplace.start('logs', '-f', 'ci');
    await untilSays(following, 'one\n');
    appendFileSync(log, 'two\n');
    await untilSays(following, 'one\ntwo\n');
    appendFileSync(log, 'three\n');
    renameSync(log, `${log}.1`);
    writeFileSync(log, 'four\n');
    await untilSays(following, 'one\ntwo\nthree\nfour\n');
    truncateSync(log, 0);
    appendFileSync(log, '5\n');
    await untilSays(following, 'one\ntwo\nthree\nfour\n5\n');
    rmSync(workplace.vmDirectory('ci'), { recursive: true });
    expect(await following.ended).toEqual({ exitCode: 0, stdout: 'one\ntwo\nthree\nfour\n5\n', stderr: '' });
  });

  it('is followed before the VM has run, until the command is told to end, without a word', async () => {
    const following = workplace.start('logs', '--follow', 'ci');
    writeFileSync(log, 'first\n');
    await untilSays(following, 'first\n');
    following.kill('SIGINT');
    expect(await following.ended).toEqual({ exitCode: 130, stdout: 'first\n', stderr: '' });
  });

  it('is said not to be there: of a VM that has not run, of none, and on a Mac', async () => {
    expect(await workplace.run('logs', 'ci')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^error\[NOT_FOUND\]: the VM "ci" has no serial log: it has not run here yet/),
    });
    expect(await workplace.run('logs', 'none')).toMatchObject({ exitCode: 2 });
    for (const argv of [
      ['logs', 'ci'],
      ['logs', '-f', 'ci'],
    ]) {
      const mac = { ...terminalHere(workplace, argv), platform: 'darwin' as const };
      expect(await run(mac, argv)).toBe(1);
      expect(mac.stderr.text).toMatch(/Tart keeps none\.\nnext: run it with --serial/);
    }
  });

  async function untilSays(running: Running, text: string): Promise<void> {
    await vi.waitUntil(() => running.stdout === text, SOON);
  }
});
