/**
 * The main file of a process with one or more clients. A message `{ port, clients, image, retry }` prepares it, the next
 * one begins; what each client met is sent back.
 */
import { fetchImage } from './fetching.mjs';
import { makeImage } from './image.mjs';

process.once('message', (asked) => {
  const image = makeImage(asked.image);
  process.once('message', () => void run(image, asked));
  process.send({ kind: 'ready' });
});
process.once('disconnect', () => process.exit());

async function run(image, asked) {
  const results = await Promise.all(Array.from({ length: asked.clients }, () => fetchImage(image, asked)));
  process.send({ kind: 'done', results });
  process.disconnect();
}
