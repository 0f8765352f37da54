import { createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What QEMU's agent is asked. */
export interface QemuRequest {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/**
 * An agent that is asked in a socket, as QEMU offers it. @param greet what an earlier conversation left behind. @param
 * atATime whom it talks to: others wait.
 */
export async function playQemuAgent(
  path: string,
  answer: (request: QemuRequest) => unknown,
  { greet = '', atATime = Infinity }: { readonly greet?: string; readonly atATime?: number } = {},
): Promise<void> {
  const waiting: Socket[] = [];
  let talking = 0;
  const server = createServer((socket: Socket) => {
    waiting.push(socket);
    next();
  });
  const next = (): void => {
    const socket = talking < atATime ? waiting.shift() : undefined;
    if (socket === undefined) return;
    talking += 1;
    socket.on('close', () => {
      talking -= 1;
      next();
    });
    talk(socket);
  };
  const talk = (socket: Socket): void => {
    let text = '';
    socket.on('data', (piece: Buffer) => {
      text += piece.toString('latin1').replaceAll('\u00ff', '');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const request = JSON.parse(text.slice(0, end)) as QemuRequest;
        text = text.slice(end + 1);
        if (request.execute === 'guest-sync-delimited') {
          socket.write(`{"error":{"class":"GenericError","desc":"JSON parse error"}}\n${greet}`);
          socket.write(Buffer.from([0xff]));
          socket.write(`${JSON.stringify({ return: request.arguments?.['id'] })}\n`);
        } else {
          const reply = answer(request);
          if (reply !== undefined) socket.write(`${JSON.stringify(reply)}\n`);
        }
      }
    });
  };
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}
