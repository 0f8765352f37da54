import { describe, expect, it } from 'vitest';
import { coloursFor } from '../../../src/cli/render/colour.ts';
import { renderError } from '../../../src/cli/render/error.ts';
import { exitCodeOf } from '../../../src/cli/render/exit-code.ts';
import { printable } from '../../../src/cli/terminal/printable.ts';
import { type ErrorCode, TartletError } from '../../../src/errors.ts';

const PIPE = {};
const TERMINAL = { isTTY: true };

function plain(error: unknown): string {
  return renderError(error, PIPE, {});
}

describe('an error for people', () => {
  it('says what failed, what was kept and what to do', () => {
    const error = new TartletError('NET_TIMEOUT', 'cannot reach registry.example:8221: no answer in 20 s', {
      kept: '3 of 12 chunks',
      next: { kind: 'run-again' },
    });
    expect(plain(error)).toBe(
      'error[NET_TIMEOUT]: cannot reach registry.example:8221: no answer in 20 s.\n' +
        'kept: 3 of 12 chunks\n' +
        'next: run the same command again\n',
    );
  });

  it('leaves out what was not kept, and doubles no full stop', () => {
    expect(plain(new TartletError('VM_NOT_FOUND', 'there is no VM named "ci".'))).toBe(
      'error[VM_NOT_FOUND]: there is no VM named "ci".\nnext: tartlet list shows what there is\n',
    );
  });

  it('knows what to do about failures that bring no next step', () => {
    expect(plain(new TartletError('UPLOAD_LOST', 'the upload is gone'))).toBe(
      'error[UPLOAD_LOST]: the upload is gone.\n' +
        'next: run the same command again: what is done already is not done twice\n',
    );
    expect(
      plain(new TartletError('UPLOAD_LOST', 'the upload is gone', { next: { kind: 'in-words', words: 'wait' } })),
    ).toContain('\nnext: wait\n');
  });

  it('has all that matters in its first line, whatever the text brings along', () => {
    const error = new TartletError('REG_REJECTED', 'the registry says: "no\r\n\u001b[31mway\u202e"\n');
    expect(plain(error)).toBe(
      'error[REG_REJECTED]: the registry says: "no \\u001b[31mway\\u202e".\n' +
        'next: do what the registry says, or ask its operator\n',
    );
  });

  it('an unforeseen error is a defect, and says so (P11)', () => {
    expect(plain(new TypeError('x is not a function'))).toBe(
      'error[INTERNAL]: unexpected: x is not a function.\n' +
        'next: this is a defect of Tartlet: report it with the output that TARTLET_DEBUG=1 gives\n',
    );
    expect(plain('just a string')).toContain('error[INTERNAL]: unexpected: just a string.\n');
    expect(plain(undefined)).toContain('error[INTERNAL]: unexpected: undefined.\n');
  });

  it('an abort is an interruption', () => {
    expect(plain(new DOMException('This operation was aborted', 'AbortError'))).toBe(
      'error[INTERRUPTED]: interrupted.\nnext: run the same command again: what is done already is not done twice\n',
    );
  });

  it('with TARTLET_DEBUG the places follow, causes too, once each', () => {
    const cause: Error & { secret?: string } = new Error('socket hang up');
    cause.secret = 'hunter2';
    cause.cause = cause;
    const text = renderError(new TartletError('REG_REJECTED', 'the connection broke', { cause }), PIPE, {
      TARTLET_DEBUG: '1',
    });
    expect(text).toMatch(
      /^error\[REG_REJECTED\]: the connection broke\.\nnext: .+\n {2}TartletError: the connection broke\n {2}at /,
    );
    expect(text.match(/Error: socket hang up/g)).toHaveLength(1);
    expect(text).not.toContain('hunter2');
  });

  it('is red on a terminal only', () => {
    const error = new TartletError('BUSY', 'no');
    expect(renderError(error, TERMINAL, {})).toContain('\u001b[31m');
    expect(renderError(error, PIPE, { CI: 'true' })).not.toContain('\u001b');
  });
});

describe('colours', () => {
  it.each([
    [TERMINAL, {}, true],
    [PIPE, {}, false],
    [{ isTTY: false }, { CI: 'true' }, false],
    [TERMINAL, { NO_COLOR: '1' }, false],
    [TERMINAL, { NO_COLOR: '' }, true],
    [TERMINAL, { TERM: 'dumb' }, false],
    [PIPE, { FORCE_COLOR: '1' }, true],
    [TERMINAL, { TERM: 'dumb', FORCE_COLOR: 'true' }, true],
    [TERMINAL, { FORCE_COLOR: '0' }, false],
    [TERMINAL, { FORCE_COLOR: 'false' }, false],
    [TERMINAL, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('%j with %j: %s', (stream, environment, enabled) => {
    expect(coloursFor(stream, environment).red(printable('x'))).toBe(enabled ? '\u001b[31mx\u001b[39m' : 'x');
  });
});

describe('exit codes (tart-cli §0.2)', () => {
  it.each<[ErrorCode, number]>([
    ['USAGE', 64],
    ['VM_NOT_FOUND', 2],
    ['VM_RUNNING', 2],
    ['VM_NOT_RUNNING', 2],
    ['INTERRUPTED', 130],
    ['NOT_FOUND', 1],
    ['NAME_MALFORMED', 1],
    ['NET_CONNECT', 1],
    ['DISK_FULL', 1],
    ['INTERNAL', 1],
  ])('%s', (code, exitCode) => {
    expect(exitCodeOf(new TartletError(code, 'x'))).toBe(exitCode);
  });

  it('of what is not ours', () => {
    expect(exitCodeOf(new Error('x'))).toBe(1);
    expect(exitCodeOf(new DOMException('aborted', 'AbortError'))).toBe(130);
    expect(exitCodeOf(undefined)).toBe(1);
  });
});
