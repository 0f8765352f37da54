import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CLOUD_DISK_BYTES, digestOfBeginning, makeCloudDisk } from '../support/cloud-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const HALF = CLOUD_DISK_BYTES / 2;

describeWithParts('create --from-image of an address', ['sfdisk', 'mformat'], () => {
  const cleanup = new Cleanup();
  let image: Buffer;
  let digest: string;

  beforeAll(async () => {
    const file = `${cleanup.directory()}/disk.raw`;
    makeCloudDisk(file, { loaders: ['BOOTX64.EFI'] });
    image = readFileSync(file);
    digest = await digestOfBeginning(file, CLOUD_DISK_BYTES);
  });
  afterAll(async () => cleanup.run());

  /** @param answer a request, the number of which is told, from 1 on. */
  async function serve(
    answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
  ): Promise<{ readonly url: string; readonly ranges: (string | undefined)[] }> {
    const ranges: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      ranges.push(request.headers.range);
      answer(request, response, ranges.length);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanup.add(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian.raw?key=hidden`, ranges };
  }

  function whole(response: ServerResponse, tag = '"one"'): void {
    response.writeHead(200, { 'content-length': image.length, etag: tag }).end(image);
  }
  function cut(response: ServerResponse, tag = '"one"'): void {
    response.writeHead(200, { 'content-length': image.length, etag: tag });
    response.write(image.subarray(0, HALF), () => setTimeout(() => response.destroy(), 50));
  }
  function rest(request: IncomingMessage, response: ServerResponse, tag = '"one"'): void {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]);
    const range = `bytes ${from}-${image.length - 1}/${image.length}`;
    response.writeHead(206, { 'content-range': range, 'content-length': image.length - from, etag: tag });
    response.end(image.subarray(from));
  }

  async function create(workplace: Workplace, url: string, ...args: readonly string[]): Promise<Ran> {
    return workplace.run('create', '--linux', '--from-image', url, '--disk-size', '1', 'vm', ...args);
  }
  async function expectMade(workplace: Workplace): Promise<void> {
    expect(await digestOfBeginning(`${workplace.vmDirectory('vm')}/disk.img`, CLOUD_DISK_BYTES)).toBe(digest);
  }

  it('fetches it, and says so without what could be a secret', async () => {
    const workplace = new Workplace(cleanup);
    const { url } = await serve((_, response) => whole(response));
    const ran = await create(workplace, url, '--digest', digest);
    expect(ran).toMatchObject({ exitCode: 0, stdout: '', stderr: expect.stringMatching(/67\.1 MB downloaded in/) });
    expect(ran.stderr).not.toContain('hidden');
    await expectMade(workplace);
  });

  it('goes on where it was cut (N63)', async () => {
    const workplace = new Workplace(cleanup);
    const { url, ranges } = await serve((request, response, count) =>
      count === 1 ? cut(response) : rest(request, response),
    );
    expect(await create(workplace, url, '--digest', digest, '-q')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
    await expectMade(workplace);
  });

  it.each([
    ['the server cannot go on', (_: IncomingMessage, response: ServerResponse) => whole(response)],
    [
      'the image was replaced meanwhile',
      (request: IncomingMessage, response: ServerResponse) =>
        request.headers.range === undefined ? whole(response, '"two"') : rest(request, response, '"two"'),
    ],
    [
      'the server finds the range wrong',
      (request: IncomingMessage, response: ServerResponse) =>
        request.headers.range === undefined ? whole(response) : response.writeHead(416).end(),
    ],
  ])('begins anew where %s (N63)', async (_, then) => {
    const workplace = new Workplace(cleanup);
    const { url } = await serve((request, response, count) => (count === 1 ? cut(response) : then(request, response)));
    expect(await create(workplace, url, '--digest', digest)).toMatchObject({ exitCode: 0 });
    await expectMade(workplace);
  });

  it('leaves nothing of an image that is not the one of its digest, is none, or is not there', async () => {
    const workplace = new Workplace(cleanup);
    const { url } = await serve((request, response) => {
      if (request.url?.startsWith('/none') === true) response.writeHead(404).end('no');
      else if (request.url?.startsWith('/page') === true) response.end('<html>log in</html>');
      else whole(response);
    });
    const wrong = `sha512:${createHash('sha512').update('other').digest('hex')}`;
    expect(await create(workplace, url, '--digest', wrong)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('is not the image that its digest is of'),
    });
    expect(await create(workplace, url.replace('/debian', '/none'))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        /^error\[NOT_FOUND\]: cannot download .*\/none\.raw\?…: 127\.0\.0\.1:\d+ answered 404/m,
      ),
    });
    expect(await create(workplace, url.replace('/debian', '/page'))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('it is neither qcow2 nor a raw disk'),
    });
    expect(await create(workplace, 'http://127.0.0.1:1/debian.raw')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        /^error\[NET_CONNECT\]: cannot connect to 127\.0\.0\.1:1[\s\S]*next: check the address/m,
      ),
    });
    expect(await workplace.names()).toEqual([]);
    expect(workplace.visibleFiles().filter((file) => file.startsWith('tmp/'))).toEqual([]);
  });

  it('leaves nothing when it is interrupted, and takes no more than a disk can have', async () => {
    const workplace = new Workplace(cleanup);
    const { url } = await serve((request, response) => {
      if (request.url?.startsWith('/endless') !== true) {
        response.writeHead(200, { 'content-length': image.length }).write(image.subarray(0, HALF));
        return;
      }
      response.on('error', () => undefined);
      const more = (): void => {
        while (response.write(image)) if (response.destroyed) return;
        response.once('drain', more);
      };
      more();
    });
    const half = workplace.start('create', '--linux', '--from-image', url, 'vm');
    const inScratch = (): string[] => workplace.visibleFiles().filter((file) => file.startsWith('tmp/'));
    while (!inScratch().some((file) => file.endsWith('image.fetched'))) await delay(20);
    half.kill('SIGINT');
    expect(await half.ended).toMatchObject({ exitCode: 130 });
    expect(await create(workplace, url.replace('/debian', '/endless'))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/the disk of .*\/endless\.raw\?… is larger than 1\.0 GB/),
    });
    expect(inScratch()).toEqual([]);
    expect(await workplace.names()).toEqual([]);
  });

  it('connects to nothing for an image that anyone on the way could change, or for an address with a password', async () => {
    const workplace = new Workplace(cleanup);
    expect(await create(workplace, 'http://images.invalid/debian.raw')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('would come without TLS, and anyone on the way could change it'),
    });
    const refused = await create(workplace, 'https://me:hidden@images.invalid/debian.raw');
    expect(refused).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('an address with a user in it') });
    expect(refused.stderr).not.toContain('hidden');
  });
});
