import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';
import { World } from './world.ts';

/** Stores passwords for ever, and prints the number of each one that is stored. */
const WRITER = `
import { storeCredential } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/credentials/credential-store.ts'))};
import { RegistryAddress } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/names/registry-address.ts'))};
import { lockFile } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/fs/lock/lock.ts'))};
const settings = { environment: {}, userDirectory: process.argv[2], platform: 'linux', uid: process.getuid(), lockFile };
for (let count = 1; ; count += 1) {
  const secret = { kind: 'password', username: 'u', password: String(count).repeat(2000) };
  await storeCredential(RegistryAddress.parse('h:8221'), secret, settings);
  console.log(count);
}
`;

/** Runs the writer and kills it while it stores what follows the given number. @returns the last number it printed. */
async function killAfter(script: string, userDirectory: string, stores: number): Promise<number> {
  const writer = spawn(process.execPath, [script, userDirectory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(writer, 'exit');
  let last = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    last = Number(line);
    if (last >= stores) writer.kill('SIGKILL');
  }
  await ended;
  return last;
}

it('a writer that is killed leaves the old file or the new one, private, with all that others wrote (P6)', async () => {
  const world = new World();
  const script = path.join(world.directory, 'writer.mjs');
  const bundle = await rolldown({
    input: 'writer',
    platform: 'node',
    resolve: { alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' } },
    plugins: [
      {
        name: 'writer',
        resolveId: (id) => (id === 'writer' ? '\0writer' : undefined),
        load: (id) => (id === '\0writer' ? WRITER : undefined),
      },
    ],
  });
  await bundle.write({ file: script, format: 'esm', codeSplitting: false });
  await bundle.close();
  world.write(world.dockerFile, { auths: { 'other:1': { auth: 'eDp5' } }, psFormat: 'table' });

  for (let round = 1; round <= 8; round += 1) {
    const last = await killAfter(script, world.userDirectory, round * 3);
    const config = JSON.parse(readFileSync(world.dockerFile, 'utf8'));
    expect(config).toMatchObject({ auths: { 'other:1': { auth: 'eDp5' } }, psFormat: 'table' });
    const password = Buffer.from(String(config.auths['h:8221'].auth), 'base64').toString().slice(2);
    expect([last, last + 1].map((count) => String(count).repeat(2000))).toContain(password);
    const directory = path.dirname(world.dockerFile);
    // A temporary may be left, with a mode like the file's.
    for (const name of readdirSync(directory)) expect(statSync(path.join(directory, name)).mode & 0o777).toBe(0o600);
  }
});
