import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { setGuestClock } from '../../src/run/guest-clock.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('a guest that stood still is told what time it is, in nanoseconds, and one without an agent is none the worse', async () => {
  const directory = temporaryDirectory();
  const told: unknown[] = [];
  const server = createServer((socket) => {
    socket.on('data', (piece: Buffer) => {
      for (const line of piece.toString('latin1').replaceAll('\u00ff', '').trim().split('\n')) {
        const request = JSON.parse(line) as { execute: string; arguments: { id: number } };
        if (request.execute !== 'guest-sync-delimited') told.push(request);
        socket.write(`\n${JSON.stringify({ return: request.arguments.id })}\n`);
      }
    });
  });
  onTestFinished(() => void server.close());
  const now = (): Date => new Date(1_700_000_000_123);
  await setGuestClock(directory, now);
  await new Promise<void>((resolve) => server.listen(`${directory}/qga.sock`, resolve));
  await setGuestClock(directory, now);
  expect(told).toEqual([{ execute: 'guest-set-time', arguments: { time: 1_700_000_000_123_000_000 } }]);
});
