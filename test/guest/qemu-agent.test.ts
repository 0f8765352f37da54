import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { QemuAgent } from '../../src/guest/qemu-agent.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { playQemuAgent, type QemuRequest } from '../support/played-qemu-agent.ts';

const agentThat = async (
  answer: (request: QemuRequest) => unknown,
  greet = '',
  atATime = Infinity,
): Promise<string> => {
  const path = `${temporaryDirectory()}/qga.sock`;
  await playQemuAgent(path, answer, { greet, atATime });
  return path;
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

it('runs a command, gives it its input, and brings back what it wrote byte by byte', async () => {
  let looks = 0;
  let started: QemuRequest | undefined;
  const path = await agentThat((request) => {
    if (request.execute === 'guest-exec') {
      started = request;
      return { return: { pid: 7 } };
    }
    looks += 1;
    if (looks < 3) return { return: { exited: false } };
    return { return: { exited: true, exitcode: 42, 'out-data': base64('\u0000\u00e9'), 'err-data': base64('no') } };
  }, '{"return":{"pid":99}}\n{"ret');
  const agent = await QemuAgent.connect(path, 5000);
  expect(await agent.exec('cat', ['-'], Buffer.from('in'))).toEqual({
    exitCode: 42,
    stdout: Buffer.from('\u0000\u00e9'),
    stderr: Buffer.from('no'),
    isCutOff: false,
  });
  expect(started?.arguments).toEqual({ path: 'cat', arg: ['-'], 'capture-output': true, 'input-data': base64('in') });
  agent.close();
});

it('a command that a signal ended ends as a shell says it', async () => {
  const path = await agentThat(({ execute }) =>
    execute === 'guest-exec' ? { return: { pid: 7 } } : { return: { exited: true, signal: 9, 'out-truncated': true } },
  );
  const agent = await QemuAgent.connect(path, 5000);
  expect(await agent.exec('sleep', [], undefined)).toMatchObject({ exitCode: 137, isCutOff: true });
  agent.close();
});

it('tells the addresses of the guest, without its loopback', async () => {
  const path = await agentThat(() => ({
    return: [
      { name: 'lo', 'ip-addresses': [{ 'ip-address-type': 'ipv4', 'ip-address': '127.0.0.1' }] },
      {
        name: 'enp0s2',
        'hardware-address': '52:54:00:AB:cd:01',
        'ip-addresses': [
          { 'ip-address-type': 'ipv6', 'ip-address': 'fe80::1' },
          { 'ip-address-type': 'ipv4', 'ip-address': '192.168.7.2' },
        ],
      },
      { name: 'docker0', 'ip-addresses': [{ 'ip-address-type': 'ipv4', 'ip-address': '172.17.0.1' }] },
      { name: 'down' },
    ],
  }));
  const agent = await QemuAgent.connect(path, 5000);
  expect(await agent.addresses()).toEqual(['192.168.7.2', '172.17.0.1']);
  // On a bridge only the card that hangs on it has an address that others reach.
  expect(await agent.addresses('52:54:00:ab:cd:01')).toEqual(['192.168.7.2']);
  agent.close();
});

it('says what the agent refuses, and that none answers', async () => {
  const refusing = await agentThat(() => ({ error: { class: 'CommandNotFound', desc: 'exec has been disabled' } }));
  const agent = await QemuAgent.connect(refusing, 5000);
  await expect(agent.exec('ls', [], undefined)).rejects.toMatchObject({
    code: 'GUEST_UNREACHABLE',
    message: "the guest's agent refuses: exec has been disabled",
  });
  agent.close();
  const path = `${temporaryDirectory()}/silent.sock`;
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(path, resolve));
  onTestFinished(() => void silent.close());
  await expect(QemuAgent.connect(path, 100)).rejects.toMatchObject({ code: 'GUEST_UNREACHABLE' });
});

it('lets others talk to the agent while a command runs for long: QEMU takes one at a time', async () => {
  let isOver = false;
  const path = await agentThat(
    ({ execute }) => {
      if (execute === 'guest-exec') return { return: { pid: 7 } };
      if (execute === 'guest-exec-status')
        return { return: isOver ? { exited: true, exitcode: 0 } : { exited: false } };
      return { return: [] };
    },
    '',
    1,
  );
  const agent = await QemuAgent.connect(path, 5000);
  const long = agent.exec('sleep', ['9'], undefined);
  const other = await QemuAgent.connect(path, 5000);
  expect(await other.addresses()).toEqual([]);
  other.close();
  isOver = true;
  expect(await long).toMatchObject({ exitCode: 0 });
  agent.close();
});
