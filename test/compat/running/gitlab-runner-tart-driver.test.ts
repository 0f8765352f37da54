import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LONG_MS, PARTS_OF_DRIVERS, publishGuest } from '../../support/driven-vm.ts';
import { leaveOut } from '../../support/left-out.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import { type Ran, Running } from '../../support/real-command.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { TartInPath } from '../../support/tart-in-path.ts';

/*
 * A driver of others for real, in the stages of a GitLab job: the package gitlab-runner-tart-driver of PyPI, as it is.
 * It reads text and JSON of `get`, starts `nohup tart run`, and goes into the guest by SSH and SFTP (run-fleet-demand
 * §8).
 */

const PACKAGE = 'gitlab-runner-tart-driver==0.3.12';

/** Installs the package once for this machine. @returns its program; undefined where pip gets nothing. */
function installedDriver(): string | undefined {
  const directory = path.join(os.tmpdir(), `tartlet-${PACKAGE.replace('==', '-')}`);
  const program = path.join(directory, 'bin/gitlab-runner-tart-driver');
  if (existsSync(`${directory}/whole`)) return program;
  rmSync(directory, { recursive: true, force: true });
  for (const [command, ...words] of [
    ['python3', '-m', 'venv', directory],
    [`${directory}/bin/pip`, 'install', '--quiet', '--disable-pip-version-check', PACKAGE],
  ]) {
    if (spawnSync(command ?? '', words, { stdio: 'inherit', timeout: 120_000 }).status !== 0) return undefined;
  }
  writeFileSync(`${directory}/whole.new`, '');
  renameSync(`${directory}/whole.new`, `${directory}/whole`);
  return program;
}

describeWithParts('gitlab-runner-tart-driver', PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let host: TartInPath;
  let image: string;
  let driver: string | undefined;

  beforeAll(async () => {
    driver = installedDriver();
    if (driver === undefined) return;
    image = await publishGuest(cleanup);
    host = new TartInPath(cleanup);
  }, LONG_MS);
  afterAll(async () => {
    if (driver !== undefined) for (const name of await host.names()) await host.tart('stop', '--timeout', '0', name);
    await cleanup.run();
  });

  /** A stage of a job, with the variables that GitLab's runner hands over. */
  async function stage(name: string, ...words: readonly string[]): Promise<Ran> {
    const job = {
      CUSTOM_ENV_CI_JOB_IMAGE: image,
      CUSTOM_ENV_CI_JOB_ID: '4711',
      CUSTOM_ENV_CI_PIPELINE_ID: '7',
      CUSTOM_ENV_CI_PROJECT_NAME: 'project',
      CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID: '0',
      CUSTOM_ENV_TART_PULL_POLICY: 'always',
      CUSTOM_ENV_TART_EXECUTOR_SHELL: '/bin/sh',
      BUILD_FAILURE_EXIT_CODE: '1',
      SYSTEM_FAILURE_EXIT_CODE: '2',
    };
    return new Running(driver ?? '', [name, ...words], { ...host.variables, ...job }).ended;
  }

  it(
    'M2: prepares a VM, runs the script of a job in it, and cleans up',
    async (context) => {
      leaveOut(context, driver === undefined, `pip cannot install ${PACKAGE}`);
      const tart = ['-x', 'tart'];
      const limits = ['--no-auto-resources', '--cpu', '1', '--memory', '256', '--timeout', '110'];
      const prepared = await stage('prepare', ...tart, ...limits);
      expect(prepared.exitCode, prepared.stdout + prepared.stderr).toBe(0);
      expect(prepared.stdout).toMatch(/1 │ +256 │.*True +│ 127\.\d+\.\d+\.\d+/);
      expect((await host.rows()).filter(({ state }) => state === 'running')).toMatchObject([
        { source: 'local', name: expect.stringMatching(/^grtd-project-7-4711-/) },
      ]);

      const script = `${cleanup.directory()}/script`;
      writeFileSync(script, '#!/bin/sh\necho "by $(uname -s) on $(hostname)"\n');
      const ran = await stage('run', ...tart, script, 'build_script');
      expect(ran.exitCode, ran.stdout + ran.stderr).toBe(0);
      expect(ran.stdout).toContain('by Linux on guest');

      expect(await stage('cleanup', ...tart)).toMatchObject({ exitCode: 0 });
      expect((await host.rows()).map(({ source }) => source)).toEqual(['OCI', 'OCI']);
    },
    LONG_MS,
  );
});
