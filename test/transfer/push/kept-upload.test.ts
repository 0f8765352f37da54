import { writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { TartletError } from '../../../src/errors.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { copyImage } from '../../../src/transfer/copy/copy.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { pushVm } from '../../../src/vm/push.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { plantInRegistry } from '../../support/planted-image.ts';
import { tinyImage } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const INTERRUPTED = { code: 'INTERRUPTED', message: 'interrupted by SIGINT' };

/** Bytes of which no two chunks look alike. */
function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (Math.imul(at + 1, 2654435761 + seed) >>> 13) & 0xff));
}

/** A session that is interrupted at the first event that says so. */
function interruptedAt(isTheMoment: (event: TransferEvent) => boolean) {
  const interruption = new AbortController();
  return freshSession({
    signal: interruption.signal,
    onEvent: (event) => {
      if (isTheMoment(event)) interruption.abort(new TartletError('INTERRUPTED', 'interrupted by SIGINT'));
    },
  });
}

function plantDisk(session: ReturnType<typeof freshSession>): void {
  const directory = `${session.home.vmsDirectory}/vm`;
  plantVm(directory, '');
  writeFileSync(`${directory}/disk.img`, Buffer.concat([1, 2, 3].map((seed) => noise(MIB, seed))));
}

it('a push that is interrupted says how much a repeated one need not send (P7)', async () => {
  const registry = await startMeddlingRegistry();
  const session = interruptedAt((event) => event.kind === 'chunk-done');
  plantDisk(session);
  const name = RemoteName.parse(`${registry.at}/org/vm:1`);
  const options = { diskChunkBytes: MIB, concurrency: 1 };
  await expect(pushVm(session, 'vm', [name], options)).rejects.toMatchObject({
    ...INTERRUPTED,
    facts: {
      kept: '1 of 3 chunks of the disk are in the registry, no tag was moved; the same command sends only the rest',
    },
  });
  expect(await registry.get('/v2/org/vm/manifests/1')).toBeUndefined();
});

it('a push to several repositories that is interrupted names those that have everything (P7)', async () => {
  const registry = await startMeddlingRegistry();
  let finished = 0;
  const session = interruptedAt((event) => {
    if (event.kind === 'finished') finished += 1;
    // Most of what the second lacks is mounted from the first.
    return finished === 1 && (event.kind === 'chunk-done' || event.kind === 'chunk-reused');
  });
  plantDisk(session);
  const [first, second] = ['one', 'two'].map((each) => RemoteName.parse(`${registry.at}/org/${each}:1`));
  if (first === undefined || second === undefined) throw new Error('two names');
  const options = { diskChunkBytes: MIB, concurrency: 1 };
  await expect(pushVm(session, 'vm', [first, second], options)).rejects.toMatchObject({
    ...INTERRUPTED,
    facts: { kept: expect.stringMatching(new RegExp(`^done: ${first.toString()}; [123] of 3 chunks`)) as string },
  });
});

it('a copy that is interrupted says how much a repeated one need not bring (P7)', async () => {
  const [from, to] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
  await plantInRegistry(from, 'org/vm', '1', tinyImage({ chunks: [noise(MIB, 1), noise(MIB, 2)] }));
  const session = interruptedAt((event) => event.kind === 'chunk-done');
  const [source, target] = [from, to].map(({ at }) => RemoteName.parse(`${at}/org/vm:1`));
  if (source === undefined || target === undefined) throw new Error('two names');
  await expect(copyImage(session, source, target, { concurrency: 1 })).rejects.toMatchObject({
    ...INTERRUPTED,
    facts: { kept: '1 of 5 blobs are in the registry, no tag was moved; the same command sends only the rest' },
  });
});

it('a push that fails says it, too', async () => {
  const registry = await startMeddlingRegistry();
  let done = 0;
  const session = freshSession({
    onEvent: (event) => {
      if (event.kind === 'chunk-done') done += 1;
    },
  });
  plantDisk(session);
  // Whatever is uploaded after the first chunk of the disk is refused.
  registry.meddle = (request, response) => {
    if (done === 0 || request.method !== 'PUT') return false;
    request.resume();
    response.writeHead(403).end();
    return true;
  };
  onTestFinished(() => {
    registry.meddle = () => false;
  });
  const name = RemoteName.parse(`${registry.at}/org/vm:1`);
  await expect(pushVm(session, 'vm', [name], { diskChunkBytes: MIB, concurrency: 1 })).rejects.toMatchObject({
    code: 'AUTH_DENIED',
    facts: { kept: expect.stringMatching(/^1 of 3 chunks of the disk are in the registry/) as string },
  });
});
