/** A relay in front of a registry that lets so many bytes per second through: the way to a registry that is far. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Timers wake late: so many milliseconds that were not used may be caught up with. */
const CATCH_UP_MS = 10;

/** @returns its port, how many bytes came through, and what ends it. */
export async function startSlowLink(to, bytesPerSecond) {
  const sockets = new Set();
  const link = { bytes: 0 };
  let free = performance.now();
  const server = createServer((socket) => {
    const far = connect(to, '127.0.0.1');
    const ended = new AbortController();
    socket.once('close', () => ended.abort());
    for (const each of [socket, far]) {
      sockets.add(each);
      each.on('error', () => undefined);
      each.once('close', () => {
        sockets.delete(each);
        socket.destroy();
        far.destroy();
      });
    }
    socket.pipe(far);
    void (async () => {
      for await (const piece of far) {
        free = Math.max(free, performance.now() - CATCH_UP_MS) + (piece.length / bytesPerSecond) * 1000;
        const wait = free - performance.now();
        if (wait > 2) await delay(wait);
        link.bytes += piece.length;
        if (!socket.write(piece)) await once(socket, 'drain', { signal: ended.signal });
      }
      socket.end();
    })().catch(() => socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(link, {
    port: server.address().port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
}
