import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { fetchDirectory } from '../../src/cloud-image/fetched-directory.ts';
import { Home } from '../../src/home/home.ts';
import { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** A web server with one file. */
async function serve(bytes: Buffer): Promise<URL> {
  const server = createServer((_, response) => response.end(bytes));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/tools.tar.gz`);
}

function session(): Session {
  return new Session({ home: new Home(temporaryDirectory()), platform: process.platform });
}

it('an archive of the web becomes a directory, and is gone itself', async () => {
  const source = temporaryDirectory();
  mkdirSync(`${source}/below`);
  writeFileSync(`${source}/below/file`, 'of the archive');
  const archive = execFileSync('tar', ['-czf', '-', '-C', source, 'below']);
  const place = temporaryDirectory();
  const directory = await fetchDirectory(session(), await serve(archive), place);
  expect(readFileSync(`${directory}/below/file`, 'utf8')).toBe('of the archive');
  expect(readdirSync(place)).toEqual(['content']);
});

it('what leads out of the directory stays in it', async () => {
  const source = temporaryDirectory();
  writeFileSync(`${source}/file`, 'stays');
  const archive = execFileSync('tar', ['-czPf', '-', '-C', source, '--transform=s,^,../../,', 'file']);
  const place = temporaryDirectory();
  mkdirSync(`${place}/a`);
  await fetchDirectory(session(), await serve(archive), `${place}/a`).catch(() => undefined);
  expect(readdirSync(place)).toEqual(['a']);
});

it('what is no archive is refused by its address', async () => {
  await expect(
    fetchDirectory(session(), await serve(Buffer.from('<html>')), temporaryDirectory()),
  ).rejects.toMatchObject({
    code: 'ARCHIVE_INVALID',
    message: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/tools\.tar\.gz cannot be unpacked$/),
  });
});
