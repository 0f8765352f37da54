import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { buildWithoutBinding } from '../support/unbound-build.ts';

/*
 * S70: a directory of others, in which a user happens to stand, holds programs and modules of the names that we use,
 * and `PATH` has entries that mean it (issue 14, item 16).
 */

const PROGRAMS = ['cp', 'flock', 'perl', 'filefrag', 'sh', 'tart', 'security', 'docker-credential-mine', 'node'];
const MODULES = ['@yuuang/ffi-rs-linux-x64-gnu', '@yuuang/ffi-rs-linux-arm64-gnu', 'ffi-rs', 'undici', 'commander'];

const cleanup = new Cleanup();

afterAll(async () => cleanup.run());

/** Fills a directory with programs and modules that note that they ran. */
function plantPrograms(directory: string, notes: string): void {
  for (const program of PROGRAMS) {
    writeFileSync(`${directory}/${program}`, `#!/bin/sh\necho ${program} >> '${notes}'\nexit 1\n`);
    chmodSync(`${directory}/${program}`, 0o755);
  }
  for (const name of MODULES) {
    mkdirSync(`${directory}/node_modules/${name}`, { recursive: true });
    const code = `require('node:fs').appendFileSync(${JSON.stringify(notes)}, '${name}\\n')`;
    writeFileSync(`${directory}/node_modules/${name}/index.js`, code);
  }
}

it.each([
  ['with the native binding', () => COMMAND],
  ['without it', () => buildWithoutBinding(cleanup.directory())],
])('nothing of the directory that a command stands in runs, %s (S70)', async (_, installed) => {
  const workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('vm'), 'a disk that is not all zeros');
  writeFileSync(`${workplace.environment['DOCKER_CONFIG'] ?? ''}/config.json`, '{"credsStore":"mine"}', {
    mode: 0o600,
  });
  const here = cleanup.directory();
  const notes = `${workplace.directory}/ran`;
  plantPrograms(here, notes);
  const commands = [
    'list',
    'clone vm copy',
    'set --cpu 5 copy',
    'export copy copy.tar',
    'doctor --deep',
    'push vm 127.0.0.1:1/a/b:c',
    'prune --older-than 0',
    'delete copy',
  ];
  const script = commands.map((command) => `'${process.execPath}' '${installed()}' ${command}`).join('\n');
  await workplace.shell(`cd '${here}' && export PATH=:.:/usr/bin:/bin: NODE_PATH='${here}/node_modules'\n${script}`);
  expect(existsSync(`${here}/copy.tar`)).toBe(true);
  expect(existsSync(notes) ? readFileSync(notes, 'utf8') : '').toBe('');
});
