import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { eventually } from './running-registry.ts';

it.each([
  [
    'a line of its own',
    'ana\n2026-01-01T00:00:00.000Z 10.0.0.1 root DELETE /v2/ 202 1 ms',
    '"ana\\n2026-01-01T00:00:00.000Z 10.0.0.1 root DELETE /v2/ 202 1 ms"',
  ],
  ['the rest of its line', 'root DELETE /v2/x 202 1 ms', '"root DELETE /v2/x 202 1 ms"'],
  ['the cursor', 'ana\u001b[2J\u009b1A\u202e', '"ana\\u001b[2J\\u009b1A\\u202e"'],
  ['nothing', 'build@ci-7', 'build@ci-7'],
])('a name in a token that writes %s stays a name in the log (S62)', async (_, sub, shown) => {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  const workplace = new Workplace(cleanup);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = path.join(cleanup.directory(), 'keys.pem');
  writeFileSync(keys, publicKey.export({ type: 'spki', format: 'pem' }));
  const service = ['--token-realm', 'https://auth.example/token', '--token-service', 'r', '--token-issuer', 'a'];
  const data = ['--listen', '127.0.0.1:0', '--data', cleanup.directory()];
  const server = workplace.start('serve', ...data, ...service, '--token-keys', keys);
  cleanup.add(async () => {
    server.kill('SIGKILL');
    await server.ended;
  });
  await eventually('it listens, and has said so', () => server.stdout.endsWith('\n') && server.stderr.endsWith('\n'));
  const token = await new SignJWT({ access: [] })
    .setProtectedHeader({ alg: 'ES256' })
    .setSubject(sub)
    .setIssuer('a')
    .setAudience('r')
    .setExpirationTime('5m')
    .sign(privateKey);
  const before = server.stderr.length;
  const answer = await fetch(`${server.stdout.trim()}/v2/`, { headers: { Authorization: `Bearer ${token}` } });
  expect(answer.status).toBe(200);
  await eventually('it is logged', () => server.stderr.slice(before).includes('/v2/ 200'));
  expect(server.stderr.slice(before)).toMatch(/^[^\n]*\n$/);
  expect(server.stderr.slice(before)).toContain(` 127.0.0.1 ${shown} GET /v2/ 200 `);
});
