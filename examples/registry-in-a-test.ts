/**
 * A registry of its own for a test: a VM is made, pushed to it, and pulled from it into another home.
 *
 *     node registry-in-a-test.js
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openTartlet } from 'tartlet';
import { createRegistry } from 'tartlet/server';

const directory = await mkdtemp(path.join(os.tmpdir(), 'example-'));
try {
  await using registry = createRegistry({ dataDirectory: path.join(directory, 'registry') });
  const { address, port } = await registry.listen();
  const repository = `${address}:${port}/linux/empty`;

  await using maker = openTartlet({ home: path.join(directory, 'maker'), credentials: 'none' });
  await maker.create('empty', { diskBytes: 1_000_000_000, arch: 'amd64' });
  const [pushed] = await maker.push('empty', `${repository}:1`);

  await using user = openTartlet({ home: path.join(directory, 'user'), credentials: 'none' });
  const pulled = await user.pull(`${repository}:1`);

  assert.equal(pulled.digest.toString(), pushed?.digest.toString());
  assert.deepEqual(
    (await user.list()).map((row) => row.name),
    [`${repository}:1`, `${repository}@${pulled.digest.toString()}`],
  );
  console.log(`pushed and pulled ${pulled.digest.toString()}`);
} finally {
  await rm(directory, { recursive: true });
}
