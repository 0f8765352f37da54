import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Pause } from '../../../src/chunks/urgency/pause.ts';
import { pausingFetcher } from '../../../src/chunks/urgency/pausing-fetcher.ts';
import { Digest } from '../../../src/names/digest.ts';
import type { BlobFetcher } from '../../../src/registry/contract.ts';

const bytes = Buffer.from('0123456789');
const blob = { digest: Digest.of(bytes), size: bytes.length };
const { signal } = new AbortController();

/** Gives one byte after the other. @param begins where an answer begins that is asked for from a byte on. */
function registry(begins: (from: number) => number): BlobFetcher & { readonly said: string[] } {
  const said: string[] = [];
  return {
    said,
    blob: async function* read(_, { from = 0, to = blob.size, onBytes } = {}) {
      said.push(`opened at ${from}`);
      try {
        for (let at = begins(from); at < to; at += 1) {
          onBytes?.(1);
          if (at >= from) yield bytes.subarray(at, at + 1);
        }
        said.push('read to its end');
      } finally {
        said.push('closed');
      }
    },
  };
}

/** Reads a blob, with a pause after each of these bytes that lasts until nothing moves any more. */
async function readWithPauses(client: BlobFetcher, pausesAfter: string, from = 0): Promise<string> {
  const pause = new Pause();
  const pieces: Uint8Array[] = [];
  for await (const piece of pausingFetcher(client, pause, 1).blob(blob, { from, signal })) {
    pieces.push(piece);
    if (!pausesAfter.includes(Buffer.from(piece).toString())) continue;
    pause.set('on');
    void delay(20).then(() => pause.set('off'));
  }
  return Buffer.concat(pieces).toString();
}

it('closes the connection for a pause, and goes on at the byte where it was', async () => {
  const client = registry((from) => from);
  expect(await readWithPauses(client, '36')).toBe('0123456789');
  expect(client.said.join(', ')).toBe('opened at 0, closed, opened at 4, closed, opened at 7, read to its end, closed');
});

it('closes nothing for the little that is left, and leaves it to the client to look at the end', async () => {
  const client = registry((from) => from);
  expect(await readWithPauses(client, '89', 5)).toBe('56789');
  expect(client.said).toStrictEqual(['opened at 5', 'read to its end', 'closed']);
});

it('keeps the connection where the registry would begin anew each time', async () => {
  const client = registry(() => 0);
  expect(await readWithPauses(client, '3578')).toBe('0123456789');
  expect(client.said).toStrictEqual(['opened at 0', 'closed', 'opened at 4', 'read to its end', 'closed']);
});

it('opens nothing during a pause, and ends it with its signal', async () => {
  const client = registry((from) => from);
  const pause = new Pause();
  pause.set('on');
  const ended = new AbortController();
  const reading = pausingFetcher(client, pause).blob(blob, { signal: ended.signal })[Symbol.asyncIterator]().next();
  ended.abort(new Error('ended'));
  await expect(reading).rejects.toThrow('ended');
  expect(client.said).toStrictEqual([]);
});
