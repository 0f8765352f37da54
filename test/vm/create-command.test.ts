import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { runWithInput } from '../support/command-input.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const archOf = (workplace: Workplace, name: string): unknown =>
  JSON.parse(readFileSync(`${workplace.vmDirectory(name)}/config.json`, 'utf8')).arch;

/** Runs the command on a machine whose kernel gives its processor another name. */
async function runOn(machine: string, workplace: Workplace, ...args: readonly string[]): Promise<Ran> {
  const preload = `${workplace.directory}/machine.cjs`;
  writeFileSync(preload, `require('node:os').machine = () => ${JSON.stringify(machine)};\n`);
  return runWithInput(workplace, '', args, { environment: { NODE_OPTIONS: `--require ${preload}` } });
}

describe('create --linux', () => {
  it.each([
    ['x86_64', 'amd64'],
    ['aarch64', 'arm64'],
    ['arm64', 'arm64'],
  ])('M20: on a host that calls itself %s makes a VM for %s', async (machine, arch) => {
    const workplace = new Workplace(cleanup);
    expect(await runOn(machine, workplace, 'create', '--linux', 'vm')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(archOf(workplace, 'vm')).toBe(arch);
  });

  it.each([
    ['x86_64', 'arm64'],
    ['aarch64', 'AMD64'],
  ])('on a host that calls itself %s makes one for %s when asked', async (machine, arch) => {
    const workplace = new Workplace(cleanup);
    expect((await runOn(machine, workplace, 'create', '--linux', '--arch', arch, 'vm')).exitCode).toBe(0);
    expect(archOf(workplace, 'vm')).toBe(arch.toLowerCase());
  });

  it('on a host of another kind asks which one is meant', async () => {
    const workplace = new Workplace(cleanup);
    const refused = await runOn('riscv64', workplace, 'create', '--linux', 'vm');
    expect(refused.exitCode).toBe(64);
    expect(refused.stderr).toBe(
      'error[USAGE]: a VM cannot have the processor of this machine, riscv64.\n' +
        'next: choose one: --arch arm64, or --arch amd64\n' +
        'Usage: tartlet create [options] <new-name>\n' +
        "  See 'tartlet create --help' for more information.\n",
    );
    expect((await runOn('riscv64', workplace, 'create', '--linux', '--arch', 'arm64', 'vm')).exitCode).toBe(0);
  });
});
