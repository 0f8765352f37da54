import { expect, it, onTestFinished } from 'vitest';
import { Cleanup } from '../../support/real-cleanup.ts';
import { Workplace } from '../../support/real-command.ts';
import { eventually, protocolClient } from '../running-registry.ts';

type Line = Readonly<Record<string, unknown>>;

it('writes one JSON object for each line of its log, without queries, passwords or characters that act (S62)', async () => {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  const workplace = new Workplace(cleanup);
  const data = ['--listen', '127.0.0.1:0', '--data', cleanup.directory()];
  const server = workplace.start('serve', ...data, '--log-format', 'json');
  cleanup.add(async () => {
    server.kill('SIGKILL');
    await server.ended;
  });
  await eventually('it listens, and has said so', () => server.stdout.endsWith('\n') && server.stderr.endsWith('\n'));
  const { send, pushBlob } = protocolClient(Number(new URL(server.stdout.trim()).port));
  const digest = await pushBlob('team/vm', 'x'.repeat(1000));
  const headers = { Authorization: 'Basic dXNlcjpodW50ZXIy', 'User-Agent': 'evil\t"\u009b2J\u00ad", "status": 1' };
  const target = `/v2/team/vm/blobs/${digest}`;
  await send('GET', `${target}?token=hunter3`, { headers });
  await eventually('it is logged', () => server.stderr.includes('"method":"GET"'));
  expect(server.stderr).not.toMatch(/hunter|dXNlcj|[^\n -~…]/);
  const lines = server.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  expect(lines[0]).toMatchObject({ event: 'note', message: expect.stringContaining('serving ') as string });
  const upload = lines.find(({ method }) => method === 'PUT');
  expect(upload).toMatchObject({ route: 'upload', repository: 'team/vm', status: 201, receivedBytes: 1000 });
  const get = lines.find(({ method }) => method === 'GET');
  expect(Object.keys(get ?? {})).toEqual(
    'time event client user method path route repository status receivedBytes sentBytes ms userAgent'.split(' '),
  );
  expect(get).toMatchObject({
    event: 'request',
    client: '127.0.0.1',
    user: null,
    path: target,
    route: 'blob',
    repository: 'team/vm',
    status: 200,
    receivedBytes: 0,
    userAgent: headers['User-Agent'],
  });
  expect(get?.['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  expect(get?.['sentBytes']).toBeGreaterThan(1000);
  expect(get?.['sentBytes']).toBeLessThan(2000);
});
