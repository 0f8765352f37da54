/**
 * Pulls an image with a progress bar, and makes a VM from it.
 *
 *     node pull-and-clone.js registry.example:8221/linux/debian:12 ci
 */
import { openTartlet } from 'tartlet';

const [image = '', name = ''] = process.argv.slice(2);

await using tartlet = openTartlet();
const { status, digest } = await tartlet.pull(image, {
  onProgress: ({ fraction, bytesPerSecond = 0 }) => {
    const bar = '#'.repeat(Math.round(fraction * 40)).padEnd(40, '.');
    process.stderr.write(`\r${bar} ${Math.round(fraction * 100)} % at ${(bytesPerSecond / 1e6).toFixed(1)} MB/s`);
  },
});
const { copied } = await tartlet.clone(image, name);
console.log(`\n${status} ${digest.toString()}; ${name} is a ${copied === 'sparse' ? 'copy' : 'clone'} of it`);
