import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { serveImage, manifestRoute } from '../support/scripted-image.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

/*
 * What a pipeline gets: one document on stdout, the digest in a file, no word that it did not ask for, and with --debug
 * what crossed the wire.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const PASSWORD = 'canary-m4c8-login';
const DIGEST = /^sha256:[0-9a-f]{64}$/;

let user: Workplace;
let registry: string;
let image: string;
/** What the first push said. */
let pushed: Ran;
let digest: string;

beforeAll(async () => {
  const { port } = await startRealRegistry(cleanup, 'embedded', {
    auth: { kind: 'basic', user: 'ci', password: PASSWORD },
  });
  registry = `127.0.0.1:${port}`;
  image = `${registry}/team/base:1`;
  user = new Workplace(cleanup, { login: { registry, user: 'ci', password: PASSWORD } });
  await createVm(user, 'vm', 2);
  pushed = await user.run('push', '--reproducible', '--format', 'json', 'vm', image, `${registry}/team/other:1`);
  digest = (document(pushed) as { digest: string }).digest;
});

/** The one document on stdout of a command that went well. */
function document({ exitCode, stdout, stderr }: Ran): unknown {
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe('--format json', () => {
  it('of push has the digest, and each repository with its names', () => {
    expect(digest).toMatch(DIGEST);
    expect(document(pushed)).toEqual({
      schema: 'tartlet.push/v1',
      source: 'vm',
      digest,
      uploadedBytes: expect.any(Number) as number,
      repositories: [image, `${registry}/team/other:1`].map((name) => ({
        names: [name],
        digest,
        manifestBytes: expect.any(Number) as number,
        uploadedBytes: expect.any(Number) as number,
      })),
    });
    expect((document(pushed) as { uploadedBytes: number }).uploadedBytes).toBeGreaterThan(100_000);
  });

  it('of pull says what was done, also when it was nothing', async () => {
    const other = new Workplace(cleanup, { login: { registry, user: 'ci', password: PASSWORD } });
    const result = { schema: 'tartlet.pull/v1', name: image, digest };
    const first = document(await other.run('pull', '--format', 'json', image));
    expect(first).toEqual({ ...result, status: 'pulled', fetchedBytes: expect.any(Number) as number, peerBytes: 0 });
    expect((first as { fetchedBytes: number }).fetchedBytes).toBeGreaterThan(100_000);
    const again = document(await other.run('pull', '--format', 'json', image));
    expect(again).toEqual({ ...result, status: 'present', fetchedBytes: 0, peerBytes: 0 });
    const local = document(await user.run('pull', '--format', 'json', 'vm'));
    expect(local).toEqual({
      schema: 'tartlet.pull/v1',
      name: 'vm',
      digest: null,
      status: 'local',
      fetchedBytes: 0,
      peerBytes: 0,
    });
  });

  it('of copy, clone, export and import has the digest', async () => {
    const copy = `${registry}/team/copy:1`;
    expect(document(await user.run('copy', '--format', 'json', image, copy))).toEqual({
      schema: 'tartlet.copy/v1',
      source: image,
      destination: copy,
      digest,
      uploadedBytes: 0,
    });
    expect(document(await user.run('clone', '--format', 'json', image, 'cloned'))).toEqual({
      schema: 'tartlet.clone/v1',
      source: image,
      name: 'cloned',
      digest,
      copied: expect.stringMatching(/^(reflink|sparse)$/) as string,
      replaced: false,
      start: null,
    });
    expect(document(await user.run('clone', '--format', 'json', 'cloned', 'second'))).toMatchObject({ digest: null });
    const file = path.join(user.directory, 'vm.tar');
    const exported = document(await user.run('export', '--format', 'json', image, file)) as { digest: string };
    expect(exported).toMatchObject({ schema: 'tartlet.export/v1', source: image, path: file });
    expect(document(await user.run('import', '--format', 'json', file, 'imported'))).toEqual({
      schema: 'tartlet.import/v1',
      source: file,
      name: 'imported',
      digest: exported.digest,
      macChanged: true,
      replaced: false,
    });
  });

  it('leaves stdout empty when the command fails', async () => {
    for (const words of [
      ['push', '--format', 'json', 'vm', `${registry}/team/moving:1`, '127.0.0.1:1/team/base:1'],
      ['pull', '--format', 'json', `${registry}/team/none:1`],
      ['copy', '--format', 'json', `${registry}/team/none:1`, image],
      ['clone', '--format', 'json', 'nobody', 'new'],
      ['import', '--format', 'json', '/no/such/file', 'new'],
    ]) {
      const { exitCode, stdout } = await user.run(...words);
      expect({ words, ok: exitCode === 0, stdout }).toEqual({ words, ok: false, stdout: '' });
    }
  });
});

describe('--digestfile', () => {
  it('gets the digest of a push and of a copy, and nothing else', async () => {
    const directory = path.join(user.directory, 'digests');
    mkdirSync(directory);
    const file = path.join(directory, 'digest');
    writeFileSync(
      file,
      'what was there before, and longer than a digest with its algorithm in front of it, all 71 of it',
    );
    const push = await user.run(
      'push',
      '--reproducible',
      '--digestfile',
      file,
      'vm',
      image,
      `${registry}/team/third:1`,
    );
    expect(push).toMatchObject({ exitCode: 0, stdout: '' });
    expect(readFileSync(file, 'utf8')).toBe(digest);
    const copied = path.join(directory, 'copied');
    expect(await user.run('copy', '--digestfile', copied, image, `${registry}/team/copy:2`)).toMatchObject({
      exitCode: 0,
    });
    expect(readFileSync(copied, 'utf8')).toBe(digest);
    expect(readdirSync(directory).sort()).toEqual(['copied', 'digest']);
  });

  it('stays as it was when the command fails', async () => {
    const file = path.join(user.directory, 'kept');
    writeFileSync(file, 'sha256:before');
    const { exitCode } = await user.run(
      'push',
      '--digestfile',
      file,
      'vm',
      `${registry}/team/moving:2`,
      '127.0.0.1:1/team/base:1',
    );
    expect(exitCode).toBe(1);
    expect(readFileSync(file, 'utf8')).toBe('sha256:before');
  });

  it('that cannot be written is refused before anything is sent', async () => {
    for (const file of ['/no/such/directory/digest', user.directory]) {
      const name = `${registry}/team/unsent:1`;
      const { exitCode, stderr } = await user.run('push', '--digestfile', file, 'vm', name);
      expect(exitCode).toBeGreaterThan(0);
      expect(stderr).toContain(file);
      expect(stderr).toContain('next: name a file in a directory that is there and can be written to');
      expect((await user.run('inspect', '--remote', name)).exitCode).toBe(1);
    }
  });

  it('may be a symlink, which stays one, or a pipe', async () => {
    const [link, target] = [path.join(user.directory, 'link'), path.join(user.directory, 'target')];
    writeFileSync(target, 'old');
    symlinkSync(target, link);
    expect(await user.run('copy', '--digestfile', link, image, `${registry}/team/copy:3`)).toMatchObject({
      exitCode: 0,
    });
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe(digest);

    const pipe = path.join(user.directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const { stdout } = await user.shell(
      `cat '${pipe}' & $TARTLET copy -q --digestfile '${pipe}' ${image} ${image}; wait`,
    );
    expect(stdout).toBe(digest);
    expect(lstatSync(pipe).isFIFO()).toBe(true);
  });
});

describe('--quiet', () => {
  it('says nothing when all goes well', async () => {
    const other = new Workplace(cleanup, { login: { registry, user: 'ci', password: PASSWORD } });
    const file = path.join(other.directory, 'vm.tar');
    for (const words of [
      ['pull', '-q', image],
      ['clone', '--quiet', image, 'vm'],
      ['push', '-q', 'vm', `${registry}/team/quiet:1`],
      ['copy', '-q', image, `${registry}/team/quiet:2`],
      ['export', '-q', 'vm', file],
      ['import', '-q', file, 'other'],
    ])
      expect({ words, ...(await other.run(...words)) }).toEqual({ words, exitCode: 0, stdout: '', stderr: '' });
  });

  it('says what fails', async () => {
    const { exitCode, stderr } = await user.run('pull', '-q', `${registry}/team/none:1`);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[NOT_FOUND\]: .*\nnext: .*\n$/);
  });
});

describe('--debug', () => {
  const SECRETS = [PASSWORD, Buffer.from(`ci:${PASSWORD}`).toString('base64')];

  it('shows the requests of all threads, and what was answered, without the password', async () => {
    const other = new Workplace(cleanup, { login: { registry, user: 'ci', password: PASSWORD } });
    const { exitCode, stderr } = await other.run('clone', '--debug', '-q', image, 'vm');
    expect(exitCode).toBe(0);
    const lines = stderr.trim().split('\n');
    expect(lines.filter((line) => !line.startsWith('debug: '))).toEqual([]);
    const url = `http://${registry}/v2/team/base`;
    expect(stderr).toContain(`debug: > GET ${url}/manifests/1 [`);
    expect(stderr).toMatch(
      /^debug: < 401 GET \S+\/manifests\/1 after \d+ ms \[.*www-authenticate: Basic realm="tartlet"/m,
    );
    expect(stderr).toContain('authorization: Basic …');
    expect(stderr).toMatch(/^debug: < 200 GET \S+\/manifests\/1 after \d+ ms \[.*content-type: application\/vnd/m);
    const layers = await blobsOf(image);
    for (const layer of layers) expect(stderr).toContain(`debug: > GET ${url}/blobs/${layer}`);
    for (const secret of SECRETS) expect(stderr).not.toContain(secret);
  });

  it('is there for every command that talks to a registry', async () => {
    const target = `${registry}/team/debug`;
    for (const words of [
      ['pull', '--debug', image],
      ['pull', '--debug', '--dry-run', image],
      ['push', '--debug', 'vm', `${target}:1`],
      ['copy', '--debug', image, `${target}:2`],
      ['inspect', '--debug', '--remote', image],
    ]) {
      const { exitCode, stdout, stderr } = await user.run(...words);
      expect({ words, exitCode }, stderr).toEqual({ words, exitCode: 0 });
      expect(stderr).toMatch(/^debug: > (GET|HEAD) .*authorization: Basic …/m);
      expect(stdout).not.toContain('debug');
      for (const secret of SECRETS) expect(`${stdout}${stderr}`).not.toContain(secret);
    }
    const login = `printf %s ${PASSWORD} | $TARTLET login --debug --username ci --password-stdin ${registry}`;
    const { exitCode, stderr } = await user.shell(login);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/^debug: < 200 GET http:\S+\/v2\/ after \d+ ms/m);
    for (const secret of SECRETS) expect(stderr).not.toContain(secret);
  });

  it('shows what is tried again, and why', async () => {
    const scripted = await ScriptedRegistry.start();
    cleanup.add(async () => scripted.close());
    const tiny = tinyImage();
    serveImage(scripted, 'team/base', '1', tiny);
    scripted.on(manifestRoute('team/base', '1'), [
      { status: 503, headers: { 'retry-after': '0' } },
      { headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }, body: tiny.manifest },
    ]);
    const { exitCode, stderr } = await user.run('inspect', '--debug', '--remote', `${scripted.authority}/team/base:1`);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/^debug: < 503 GET .*\ndebug: again in \d+ ms: 127\.0\.0\.1:\d+ answered 503\n/m);
  });
});

/** The digests of the blobs that a clone needs. */
async function blobsOf(name: string): Promise<string[]> {
  const { layers } = (
    document(await user.run('inspect', '--remote', '--format', 'json', name)) as {
      manifest: { layers: { digest: string }[] };
    }
  ).manifest;
  return layers.map((layer) => layer.digest);
}
