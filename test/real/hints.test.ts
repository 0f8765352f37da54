import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { expectRefusal } from '../support/real-refusal.ts';
import { createVm } from '../support/real-vm.ts';

describe('a next step that fits what went wrong', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  const at = (name: string): string => path.join(workplace.directory, name);

  beforeAll(async () => {
    workplace = new Workplace(cleanup);
    await createVm(workplace, 'mine', 2);
    writeFileSync(at('text'), 'no certificate');
  });
  afterAll(async () => cleanup.run());

  it.each([
    ['--tls-cert', ['--tls-cert', 'missing', '--tls-key', 'text']],
    ['--tls-key', ['--tls-cert', 'text', '--tls-key', 'missing']],
    [
      '--token-keys',
      ['--token-realm', 'http://x', '--token-service', 's', '--token-issuer', 'i', '--token-keys', 'missing'],
    ],
  ])('serve: a file of %s that is not there', async (option, words) => {
    const args = words.map((word) => (word === 'missing' || word === 'text' ? at(word) : word));
    await expectRefusal(workplace, ['serve', '--data', at('data'), '--listen', '127.0.0.1:0', ...args], {
      code: 'CONFIG_INVALID',
      says: [`cannot read ${at('missing')}: ENOENT`],
      next: `check the path that ${option} names`,
    });
  });

  it('serve: a certificate that is none', async () => {
    const tls = ['--tls-cert', at('text'), '--tls-key', at('text')];
    await expectRefusal(workplace, ['serve', '--data', at('data'), '--listen', '127.0.0.1:0', ...tls], {
      code: 'CONFIG_INVALID',
      says: ['the certificate or its key cannot be used'],
      next: 'both in PEM',
    });
  });

  it('serve: an htpasswd file that is not there', async () => {
    const htpasswd = ['--htpasswd', at('missing')];
    await expectRefusal(workplace, ['serve', '--data', at('data'), '--listen', '127.0.0.1:0', ...htpasswd], {
      code: 'CONFIG_INVALID',
      says: [`the htpasswd file ${at('missing')} cannot be read: ENOENT`],
      next: 'check the path of the file',
    });
  });

  it('a TART_HOME where nothing can be made', async () => {
    const { exitCode, stderr } = await workplace.shell('TART_HOME=/proc/nowhere $TARTLET create --linux vm');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_\w+\]: cannot create the directory \/proc\/nowhere: /m);
    expect(stderr).toMatch(/^next: check the path: it, or a directory on the way to it, is not there$/m);
  });

  it('a reader that has gone: of a pipe, and of a named one (P9)', async () => {
    const piped = await workplace.shell('$TARTLET export mine - | true; echo "$PIPESTATUS"');
    expect(piped.stderr).toMatch(/^next: let the program that reads .* go on to the end, or write to a file$/m);
    const pipe = at('pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = spawn('head', ['-c', '1', pipe], { stdio: 'ignore' });
    cleanup.add(() => void reader.kill());
    const named = await workplace.run('export', 'mine', pipe);
    expect(named.exitCode).toBe(1);
    expect(named.stderr).toMatch(/^next: let the program that reads it go on to the end, or write to a file$/m);
  });
});
