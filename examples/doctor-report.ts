/**
 * Checks the home, prints what is wrong as JSON, and exits with 1 if there is something.
 *
 *     node doctor-report.js
 */
import { openTartlet } from 'tartlet';

await using tartlet = openTartlet();
const { home, findings } = await tartlet.doctor({ deep: process.argv.includes('--deep') });
const problems = findings.map(({ id, severity, path, message }) => ({ id, severity, path, message }));
console.log(JSON.stringify({ home, problems }, null, 2));
process.exitCode = findings.length === 0 ? 0 : 1;
