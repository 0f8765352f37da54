import type { ServerResponse } from 'node:http';
import { TartletError } from '../../errors.ts';
import type { Content } from '../contract/content.ts';

/** Bytes per read and write; larger single pieces are slower on some systems (performance.md, trap 1). */
const PIECE = 256 * 1024;

/**
 * Sends what stands from `start` to before `end` as the rest of a response whose head is written; to the end of the
 * content, wherever that is, for an undefined one. Two buffers take turns: one is on its way to the client while the
 * other is filled, so memory does not depend on the size and nothing is allocated per piece. Resolves early when the
 * client goes away.
 *
 * @throws TartletError `STORE_DAMAGED` when the content is shorter than it was, and what the content throws; the caller
 * must break the connection.
 */
export async function sendContent(
  response: ServerResponse,
  content: Content,
  { start, end }: { readonly start: number; readonly end: number | undefined },
): Promise<void> {
  const stop = end ?? Infinity;
  const piece = Math.min(PIECE, stop - start);
  const buffers = [Buffer.allocUnsafe(piece), Buffer.allocUnsafe(piece)] as const;
  // What is read may arrive late, or never.
  response.once('close', () => void content.close().catch(() => undefined));
  let sent: Promise<'sent' | 'gone'> = Promise.resolve('sent');
  for (let at = start, turn = 0; at < stop && !response.destroyed; turn += 1) {
    const buffer = turn % 2 === 0 ? buffers[0] : buffers[1];
    const count = await content.read(buffer.subarray(0, Math.min(piece, stop - at)), at);
    if (count === 0 && end === undefined) break;
    if (count === 0) throw new TartletError('STORE_DAMAGED', 'stored content became shorter while it was sent');
    at += count;
    // The other buffer must have left before the next read fills it.
    if ((await sent) === 'gone') return;
    sent = write(response, buffer.subarray(0, count));
  }
  if ((await sent) === 'gone') return;
  response.end();
}

/** Resolves when the bytes have left, or never will; keeps nothing after that, however many pieces an answer has. */
async function write(response: ServerResponse, bytes: Buffer): Promise<'sent' | 'gone'> {
  return new Promise((resolve) => {
    const gone = (): void => resolve('gone');
    response.once('close', gone);
    response.write(bytes, (error) => {
      response.off('close', gone);
      resolve(error ? 'gone' : 'sent');
    });
  });
}
