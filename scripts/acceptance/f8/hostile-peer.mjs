/** A peer that has the token and says to have everything, and then does what its name says. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';

const MIB = 1024 * 1024;

/** What each of them does when it is asked for a content. */
const ANSWERS = {
  /** Other bytes than those of the content, as fast as they are taken. */
  lies: (response) => {
    begin(response);
    const data = randomBytes(MIB);
    // Blocks that are stored, in Apple's framing: no encoder is needed.
    const blocks = Array.from({ length: 16 }, (_, at) =>
      Buffer.concat([stored(), data.subarray(at * 65536, (at + 1) * 65536)]),
    );
    const encoded = Buffer.concat([...blocks, Buffer.from('bv4$')]);
    const record = Buffer.concat([head(0, MIB, encoded.length), encoded]);
    const more = () => {
      while (!response.destroyed && response.write(record)) continue;
      response.once('drain', more);
    };
    more();
  },
  /** Nothing of what it says to have. */
  'has-nothing': (response) => response.writeHead(404).end(),
  /** The head of an answer, and nothing more. */
  stalls: (response) => {
    begin(response);
    response.flushHeaders();
  },
  /** A byte ten times a second. */
  drips: (response) => {
    begin(response);
    const dripping = setInterval(() => response.write(Buffer.from([0])), 100);
    response.once('close', () => clearInterval(dripping));
  },
  /** Gigabytes of zeros in twelve bytes. */
  bombs: (response) => {
    begin(response);
    response.end(head(0xffff_ffff, 0, 0));
  },
};

/** Names of what {@link startHostilePeer} can do. */
export const HOSTILE = [...Object.keys(ANSWERS), 'silent'];

/** @returns its address, and what ends it. */
export async function startHostilePeer(name, channel) {
  // Takes connections, and says nothing at all.
  const server =
    name === 'silent'
      ? createTcpServer(() => undefined)
      : createServer(channel, (request, response) => answer(request, response, ANSWERS[name]));
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function answer(request, response, give) {
  response.on('error', () => undefined);
  if (request.method !== 'POST') return give(response);
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const { contents } = JSON.parse(Buffer.concat(pieces).toString());
  return response.end(JSON.stringify({ have: contents.map((_, place) => place) }));
}

function begin(response) {
  response.writeHead(200, { 'content-type': 'application/vnd.tartlet.content.v1' });
}

function head(zeros, data, encoded) {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(zeros, 0);
  bytes.writeUInt32LE(data, 4);
  bytes.writeUInt32LE(encoded, 8);
  return bytes;
}

function stored() {
  const bytes = Buffer.from('bv4-\0\0\0\0', 'latin1');
  bytes.writeUInt32LE(65536, 4);
  return bytes;
}
