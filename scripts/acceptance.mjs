/**
 * What the issue about running VMs asks for in bulk: too long for `npm test`. Each script prints one row for the table
 * of docs/guide/running.md.
 *
 *     npm run acceptance r1 [ROUNDS]
 */
import { existsSync } from 'node:fs';

const [name, ...args] = process.argv.slice(2);
const file = new URL(`acceptance/${name}.mjs`, import.meta.url);
if (name === undefined || !/^[a-z0-9-]+$/.test(name) || !existsSync(file)) {
  console.error('usage: npm run acceptance NAME, where scripts/acceptance/NAME.mjs is');
  process.exit(64);
}
const { main } = await import(file.href);
process.exitCode = await main(args);
