import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { TartletError } from '../../errors.ts';

/** Bytes per read and write; larger single pieces are slower on some systems (performance.md, trap 1). */
const PIECE = 256 * 1024;

/**
 * Sends `length` bytes from `start` as the rest of a response whose head is written. Two buffers take turns: one is on its way
 * to the client while the other is filled, so memory does not depend on the size and nothing is allocated per piece.
 * Resolves early when the client goes away.
 *
 * @throws TartletError `STORE_DAMAGED` when the file is shorter than it was; the caller must break the connection.
 */
export async function sendFile(
  response: ServerResponse,
  file: FileHandle,
  start: number,
  length: number,
): Promise<void> {
  const buffers = [Buffer.allocUnsafe(Math.min(PIECE, length)), Buffer.allocUnsafe(Math.min(PIECE, length))] as const;
  const gone = new Promise<'gone'>((resolve) => response.once('close', () => resolve('gone')));
  let sent: Promise<'sent' | 'gone'> = Promise.resolve('sent');
  for (let at = 0, turn = 0; at < length && !response.destroyed; turn += 1) {
    const buffer = turn % 2 === 0 ? buffers[0] : buffers[1];
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - at), start + at);
    if (bytesRead === 0) {
      throw new TartletError('STORE_DAMAGED', 'stored content became shorter while it was sent');
    }
    at += bytesRead;
    // The other buffer must have left before the next read fills it.
    if ((await sent) === 'gone') return;
    sent = Promise.race([write(response, buffer.subarray(0, bytesRead)), gone]);
  }
  if ((await sent) === 'gone') return;
  response.end();
}

async function write(response: ServerResponse, bytes: Buffer): Promise<'sent' | 'gone'> {
  return new Promise((resolve) => response.write(bytes, (error) => resolve(error ? 'gone' : 'sent')));
}
