import { chmodSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { withoutErrorListeners } from '../../src/cli/terminal/broken-output.ts';
import { ErrorFirstStream, releaseNotes, writeError } from '../../src/cli/terminal/message-stream.ts';
import { printed } from '../../src/cli/terminal/printable.ts';
import { eventually } from '../support/real-process.ts';
import { blobRoute } from '../support/scripted-image.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { REPOSITORY } from './world.ts';

const CHUNK = Buffer.alloc(300_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [Buffer.alloc(4096, 'x'), CHUNK] });
const CHUNK_ROUTE = blobRoute(REPOSITORY, sha256(storedStream(CHUNK)));

row(
  'P32',
  'a pull that fails after a while says why on its first line, and shows on stdout that it lives',
  async (world) => {
    const registry = await world.serve(IMAGE);
    let fail = (): void => undefined;
    const failed = new Promise<void>((resolve) => {
      fail = resolve;
    });
    world.after(fail);
    registry.on(CHUNK_ROUTE, async () => {
      await failed;
      return { status: 404, body: '{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}' };
    });
    const name = `127.0.0.1:${registry.port}/${REPOSITORY}:latest`;
    const command = world.workplace.start('pull', name);
    await eventually('it shows how far it is', () => /%, /.test(command.stdout));
    expect(command.stderr).toBe('');
    fail();
    const { exitCode, stdout, stderr } = world.heard(await command.ended);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(new RegExp(`^${name}: .* to pull, for a disk of .* in 2 chunks\n${name}: \\d+%, `));
    expect(stderr).toMatch(/^error\[NOT_FOUND\]: /);
  },
);

row('P32', 'a note about a login comes after the error that it led to', async (world) => {
  const registry = await world.serve(IMAGE);
  const challenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="here"' } };
  registry.on(`GET /v2/${REPOSITORY}/manifests/latest`, challenge);
  chmodSync(`${world.workplace.environment['DOCKER_CONFIG']}/config.json`, 0o644);
  const { exitCode, stderr } = await world.run('pull', `127.0.0.1:${registry.port}/${REPOSITORY}:latest`);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /^error\[AUTH_\w+\]: .*\n(?:kept: .*\n)?next: .*\nnote: .*config\.json holds passwords and can be read by others/,
  );
});

row('P32', 'a note about an option comes after the error', async (world) => {
  const { exitCode, stdout, stderr } = await world.run(
    'prune',
    '--entries',
    'vms',
    '--cache-budget',
    '1',
    '--free-space',
    '1',
  );
  expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
  expect(stderr).toMatch(/^error\[USAGE\]: --free-space .*\n/);
  expect(stderr).toMatch(/\nnote: --cache-budget is the old name of --space-budget\n$/);
});

it('notes are held back until an error was written before them, and come at once from then on', () => {
  const written: string[] = [];
  const stream = new ErrorFirstStream({ write: (text) => written.push(String(text)) });
  stream.write(printed`note: one\n`);
  stream.write(printed`note: two\n`);
  expect(written).toEqual([]);
  writeError(stream, printed`error: three\n`);
  stream.write(printed`note: four\n`);
  releaseNotes(stream);
  expect(written).toEqual(['error: three\n', 'note: one\n', 'note: two\n', 'note: four\n']);
});

it('where nothing fails, all notes come in their order', () => {
  const written: string[] = [];
  const stream = new ErrorFirstStream({ write: (text) => written.push(String(text)) });
  stream.write(printed`one`);
  stream.write(printed`two`);
  releaseNotes(stream);
  releaseNotes(stream);
  expect(written).toEqual(['one', 'two']);
});

it('work goes on when its output breaks, and the stream is then as it was', async () => {
  const stream = new PassThrough();
  const heard: string[] = [];
  stream.on('error', ({ message }) => heard.push(message));
  const done = await withoutErrorListeners(stream, async () => {
    stream.emit('error', new Error('EPIPE'));
    return Promise.resolve('done');
  });
  stream.emit('error', new Error('later'));
  expect([done, heard]).toEqual(['done', ['later']]);
});
