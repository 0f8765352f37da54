import { createConnection } from 'node:net';

/** Whether an SSH server speaks at port 22 of an address, within two seconds. */
export async function hasBanner(address) {
  return new Promise((resolve) => {
    const socket = createConnection({ host: address, port: 22 });
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
    socket.once('data', (bytes) => end(bytes.toString('latin1').startsWith('SSH-')));
  });
}
