import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { rememberedLookup } from '../../../../src/registry/transport/connect/remembered-lookup.ts';

type Found = string | LookupAddress[];

/** A name server that says what it is told to, when it is told to. */
function nameServer(): { readonly lookup: LookupFunction; readonly asked: ((answer: Error | string) => void)[] } {
  const asked: ((answer: Error | string) => void)[] = [];
  const lookup: LookupFunction = (_, __, callback) => {
    asked.push((answer) => (answer instanceof Error ? callback(answer, '') : callback(null, answer, 4)));
  };
  return { lookup, asked };
}

async function ask(lookup: LookupFunction, hostname = 'registry.example'): Promise<Found> {
  return new Promise((resolve, reject) => {
    lookup(hostname, {}, (error, address) => (error === null ? resolve(address) : reject(error)));
  });
}

it('gives what a name server said before when it fails, or is late, and asks it once at a time (N72)', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { lookup, asked } = nameServer();
  const remembered = rememberedLookup(lookup);
  const first = ask(remembered);
  asked[0]?.('192.0.2.1');
  expect(await first).toBe('192.0.2.1');
  const failed = ask(remembered);
  asked[1]?.(new Error('away'));
  expect(await failed).toBe('192.0.2.1');
  const late = [ask(remembered), ask(remembered)];
  vi.advanceTimersByTime(1000);
  expect(await Promise.all(late)).toStrictEqual(['192.0.2.1', '192.0.2.1']);
  expect(asked).toHaveLength(3);
  asked[2]?.('192.0.2.2');
  const moved = ask(remembered);
  asked[3]?.(new Error('away'));
  expect(await moved).toBe('192.0.2.2');
});

it('knows nothing of a name that was never found', async () => {
  const { lookup, asked } = nameServer();
  const answer = ask(rememberedLookup(lookup), 'nowhere.example');
  asked[0]?.(new Error('no such name'));
  await expect(answer).rejects.toThrow('no such name');
});
