/**
 * Copies every tag of a repository to another registry, byte for byte, without touching this disk.
 *
 *     node copy-between-registries.js registry.example:8221/linux/debian ghcr.io/me/debian
 */
import { openTartlet } from 'tartlet';

const [from = '', to = ''] = process.argv.slice(2);

await using tartlet = openTartlet();
await using source = tartlet.repository(from);
for await (const tag of source.tags()) {
  const { uploadedBytes, digest } = await tartlet.copy(`${from}:${tag}`, `${to}:${tag}`);
  console.log(`${tag}: ${digest.toString()}, ${uploadedBytes} bytes sent`);
}
