/** Decodes Apple's streams with lz4-napi; prints the processor seconds of the decoding alone. */
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { uncompressSync } from 'lz4-napi';
import { blocksOf, withSize } from './apple-stream.mjs';

let microseconds = 0;
for (const file of process.argv.slice(2)) {
  let before;
  let batch = [];
  const decodeBatch = async () => {
    const started = process.cpuUsage();
    for (const block of batch) before = block.stored ?? uncompressSync(block, before);
    const { user, system } = process.cpuUsage(started);
    microseconds += user + system;
    batch = [];
    // The library's buffers are freed between the rounds of the event loop only.
    await setImmediate();
  };
  for (const block of blocksOf(readFileSync(file))) {
    batch.push(block.payload === undefined ? block : withSize(block));
    if (batch.length === 64) await decodeBatch();
  }
  await decodeBatch();
}
console.log(JSON.stringify({ cpuSeconds: microseconds / 1e6 }));
