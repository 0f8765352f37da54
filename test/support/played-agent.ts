import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import path from 'node:path';
import {
  decodeExecRequest,
  encodeAddress,
  encodeExecResponse,
  type ExecRequest,
} from '../../src/guest/agent-contract.ts';

/** A command that a played agent was told to run. */
export interface PlayedCommand {
  readonly request: Extract<ExecRequest, { kind: 'command' }>;
  /** What is said next; undefined: nothing more, or the other side has gone. */
  next(): Promise<ExecRequest | undefined>;
  /** Says something, and waits until it was taken. @returns false when the other side has gone. */
  say(kind: 'stdout' | 'stderr', data: Uint8Array | string): Promise<boolean>;
  exit(code: number): Promise<void>;
  /** To say what no agent says. */
  readonly stream: ServerHttp2Stream;
  /** Resolves when the other side has gone, or all is over. */
  readonly closed: Promise<unknown>;
}

export interface Play {
  readonly exec?: (command: PlayedCommand) => Promise<void> | void;
  /** What is answered where the address is asked for. */
  readonly address?: string;
  /** How the call ends: a status of gRPC and its message, as they are sent. */
  readonly ending?: { readonly status: string; readonly message: string };
}

/**
 * Plays Tart's guest agent at a socket, by HTTP/2 as Node has it and not by our own gRPC.
 * @returns what ends it, with all that is under way.
 */
export async function playAgent(socket: string, play: Play): Promise<() => void> {
  const sessions = new Set<{ destroy(): void }>();
  const server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.socket.on('error', () => undefined);
  });
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    const { status, message } = play.ending ?? { status: '0', message: '' };
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': message }));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    if (headers[':path'] === '/Agent/ResolveIP') {
      stream.end(play.address === undefined ? undefined : framed(encodeAddress(play.address)));
    } else void perform(stream, play);
  });
  // By its directory: an address has room for 108 bytes.
  const directory = openSync(path.dirname(socket), 'r');
  server.listen(`/proc/self/fd/${directory}/${path.basename(socket)}`);
  await once(server, 'listening');
  return () => {
    server.close();
    for (const session of sessions) session.destroy();
    closeSync(directory);
  };
}

async function perform(stream: ServerHttp2Stream, play: Play): Promise<void> {
  const requests = requestsOf(stream);
  const first = (await requests.next()).value;
  if (first?.kind !== 'command') throw new Error(`not a command: ${JSON.stringify(first)}`);
  const send = async (bytes: Uint8Array): Promise<boolean> =>
    new Promise((resolve) => {
      if (stream.destroyed) resolve(false);
      else {
        const gone = (): void => resolve(false);
        stream.once('close', gone);
        stream.write(framed(bytes), (error) => {
          stream.off('close', gone);
          resolve(error === null || error === undefined);
        });
      }
    });
  await play.exec?.({
    request: first,
    next: async () => (await requests.next().catch(() => ({ value: undefined }))).value ?? undefined,
    say: async (kind, data) => send(encodeExecResponse({ kind, data: Buffer.from(data) })),
    exit: async (code) => {
      // As Go's library does it: a number below zero has ten bytes.
      const varint = BigInt.asUintN(64, BigInt(code));
      const bytes = [0x08];
      for (let rest = varint; ; rest >>= 7n) {
        bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
        if (rest <= 0x7fn) break;
      }
      await send(Buffer.from([0x0a, bytes.length, ...bytes]));
      stream.end();
    },
    stream,
    closed: stream.closed ? Promise.resolve() : once(stream, 'close'),
  });
}

async function* requestsOf(stream: ServerHttp2Stream): AsyncGenerator<ExecRequest, undefined, undefined> {
  let bytes = Buffer.alloc(0);
  for await (const piece of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, piece]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      yield decodeExecRequest(bytes.subarray(5, end));
      bytes = bytes.subarray(end);
    }
  }
  return undefined;
}

/** A message as gRPC sends it. */
function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
