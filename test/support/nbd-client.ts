import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { temporaryDirectory } from './directory.ts';
import { openDirectory } from '../../src/fs/directory.ts';
import type { NamedDevice } from '../../src/nbd/block-device.ts';
import { ByteReader } from '../../src/nbd/byte-reader.ts';
import { serveConnection } from '../../src/nbd/nbd-server.ts';

/** An answer to a request, of whatever kind of reply. */
export interface Answer {
  readonly cookie: bigint;
  readonly errno: number;
  /** The chunks of a structured reply, as `TYPE@OFFSET+LENGTH`. */
  readonly chunks: readonly string[];
  readonly data: Buffer;
}

/** The other end of a connection to a server in this process: it writes and reads the protocol literally. */
export class NbdClient {
  readonly stream: Socket;
  readonly reader: ByteReader;
  /** Settled when the server has let go of the connection. */
  readonly ended: Promise<void>;

  private constructor(stream: Socket, ended: Promise<void>) {
    this.stream = stream;
    stream.on('error', () => undefined);
    this.reader = new ByteReader(stream);
    this.ended = ended;
  }

  static async connect(devices: readonly NamedDevice[], choosesWithinMs?: number): Promise<NbdClient> {
    const [ours, theirs] = await socketPair();
    return new NbdClient(ours, serveConnection(theirs, devices, choosesWithinMs));
  }

  /** At a socket of another server. */
  static async at(place: string): Promise<NbdClient> {
    // 108 bytes are the limit of an address (unix(7)).
    const directory = await openDirectory(path.dirname(place));
    const stream = connect(`/proc/self/fd/${directory.fd}/${path.basename(place)}`);
    await once(stream, 'connect');
    await directory.close();
    return new NbdClient(stream, new Promise((resolve) => void stream.once('close', () => resolve())));
  }

  /** Greets back with these flags. @returns the greeting, as hexadecimal digits. */
  async greet(flags = 3): Promise<string> {
    const greeting = (await this.reader.read(18)).toString('hex');
    this.stream.write(u32(flags));
    return greeting;
  }

  /** @returns the replies to an option, as `KIND DATA` in hexadecimal digits; those of an error without text. */
  async option(type: number, data: Uint8Array = new Uint8Array()): Promise<string[]> {
    this.stream.write(option(type, data));
    const replies: string[] = [];
    for (;;) {
      const header = await this.reader.read(20);
      const kind = header.readUInt32BE(12);
      const content = await this.reader.read(header.readUInt32BE(16));
      replies.push(`${kind.toString(16)} ${content.toString('hex')}`.trim());
      if (kind === 1 || kind >= 0x80000000) return replies;
    }
  }

  /** Chooses a device, with structured replies and its allocation if they are wanted. */
  async choose(name: string, { structured }: { readonly structured: boolean }): Promise<void> {
    await this.greet();
    if (structured) {
      await this.option(8);
      await this.option(10, Buffer.concat([text(name), u32(1), text('base:allocation')]));
    }
    await this.option(7, Buffer.concat([text(name), Buffer.alloc(2)]));
  }

  send(type: number, cookie: bigint, { offset = 0, length = 0, flags = 0 } = {}): void {
    this.stream.write(request(type, cookie, { offset, length, flags }));
  }

  /** The next answer. @param dataBytes that come behind a simple reply without error. */
  async answer(dataBytes = 0): Promise<Answer> {
    const chunks: string[] = [];
    const pieces: Buffer[] = [];
    for (;;) {
      const magic = (await this.reader.read(4)).readUInt32BE(0);
      if (magic === 0x67446698) {
        const rest = await this.reader.read(12);
        const errno = rest.readUInt32BE(0);
        return {
          cookie: rest.readBigUInt64BE(4),
          errno,
          chunks,
          data: await this.reader.read(errno === 0 ? dataBytes : 0),
        };
      }
      if (magic !== 0x668e33ef) throw new Error(`no reply: ${magic.toString(16)}`);
      const header = await this.reader.read(16);
      const content = await this.reader.read(header.readUInt32BE(12));
      const type = header.readUInt16BE(2);
      const errno = type === 0x8001 ? content.readUInt32BE(0) : 0;
      if (type === 1 || type === 2) {
        const length = type === 1 ? content.length - 8 : content.readUInt32BE(8);
        chunks.push(`${type === 1 ? 'data' : 'hole'}@${content.readBigUInt64BE(0)}+${length}`);
        pieces.push(type === 1 ? content.subarray(8) : Buffer.alloc(length));
      } else if (type === 5) {
        for (let at = 4; at < content.length; at += 8) {
          chunks.push(`extent ${content.readUInt32BE(at)} flags ${content.readUInt32BE(at + 4)}`);
        }
      }
      if ((header.readUInt16BE(0) & 1) === 0) continue;
      return { cookie: header.readBigUInt64BE(4), errno, chunks, data: Buffer.concat(pieces) };
    }
  }
}

/** Two ends of a connection. */
async function socketPair(): Promise<[Socket, Socket]> {
  const place = path.join(temporaryDirectory(), 'socket');
  const server = createServer({ allowHalfOpen: true });
  server.listen(place);
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const ours = connect(place);
  const [theirs] = await accepted;
  server.close();
  return [ours, theirs];
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A text with its length before it. */
export function text(value: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)]);
}

export function option(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('IHAVEOPT'), u32(type), u32(data.length), data]);
}

function request(
  type: number,
  cookie: bigint,
  { offset, length, flags }: { readonly offset: number; readonly length: number; readonly flags: number },
): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
