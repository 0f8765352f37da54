import { createCipheriv } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What a VNC client sees. */
export interface Seen {
  readonly width: number;
  readonly height: number;
  /** Four bytes a pixel, in the order of the server. */
  readonly pixels: Buffer;
}

/** VNC authentication, of the security types of RFC 6143 §7.1.2. */
const VNC_AUTHENTICATION = 2;

/**
 * A client of VNC (RFC 6143): logs in by password and takes one picture, in Raw encoding, as Packer's plugin does.
 *
 * @returns `refused` when the server does not take the password.
 */
export async function lookByVnc(port: number, password: string): Promise<Seen | 'refused'> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  const read = reader(socket);
  try {
    socket.write((await read(12)).toString('latin1'));
    const types = await read((await read(1)).readUInt8());
    if (!types.includes(VNC_AUTHENTICATION)) throw new Error(`the server offers ${types.join(', ')}`);
    socket.write(Buffer.of(VNC_AUTHENTICATION));
    socket.write(answer(await read(16), password));
    if ((await read(4)).readUInt32BE() !== 0) return 'refused';
    socket.write(Buffer.of(1)); // Others may look as well.
    const init = await read(24);
    await read(init.readUInt32BE(20));
    const [width, height] = [init.readUInt16BE(0), init.readUInt16BE(2)];
    socket.write(Buffer.of(2, 0, 0, 1, 0, 0, 0, 0)); // Raw alone.
    const request = Buffer.alloc(10);
    request.writeUInt8(3);
    request.writeUInt16BE(width, 6);
    request.writeUInt16BE(height, 8);
    socket.write(request);
    const header = await read(4);
    const pixels: Buffer[] = [];
    for (let left = header.readUInt16BE(2); left > 0; left -= 1) {
      const rectangle = await read(12);
      pixels.push(await read(rectangle.readUInt16BE(4) * rectangle.readUInt16BE(6) * 4));
    }
    return { width, height, pixels: Buffer.concat(pixels) };
  } finally {
    socket.destroy();
  }
}

/** The challenge, encrypted by DES with the password as the key, each byte of it mirrored (RFC 6143 §7.2.2). */
function answer(challenge: Buffer, password: string): Buffer {
  const key = Buffer.alloc(8);
  key.write(password, 'latin1');
  const mirrored = key.map((byte) =>
    Number.parseInt(byte.toString(2).padStart(8, '0').split('').toReversed().join(''), 2),
  );
  // Three times the same key is once.
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([mirrored, mirrored, mirrored]), null).setAutoPadding(
    false,
  );
  return Buffer.concat([cipher.update(challenge), cipher.final()]);
}

function reader(socket: Socket): (bytes: number) => Promise<Buffer> {
  let held = Buffer.alloc(0);
  let isOver = false;
  let wake = (): void => undefined;
  socket.on('data', (piece: Buffer) => {
    held = Buffer.concat([held, piece]);
    wake();
  });
  socket.on('close', () => {
    isOver = true;
    wake();
  });
  return async (bytes) => {
    while (held.length < bytes) {
      if (isOver) throw new Error('the server went away');
      await new Promise<void>((resolve) => (wake = resolve));
    }
    const taken = held.subarray(0, bytes);
    held = held.subarray(bytes);
    return taken;
  };
}
