import { chmodSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { describeWithParts, partPath } from '../support/real-parts.ts';
import { freePort, RealProcess } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';

describeWithParts('a registry without TLS behind squid, with the rules that squid comes with (N10)', ['squid'], () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let proxy: number;
  let sender: Workplace;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded', { hostNames: ['registry.example'] });
    proxy = await startSquid(cleanup);
    sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
  });
  afterAll(async () => cleanup.run());

  const name = (): string => `registry.example:${registry.port}/team/vm:1`;
  const behindSquid = async (user: Workplace, ...words: string[]) =>
    user.shell(`no_proxy=localhost http_proxy=http://127.0.0.1:${proxy} $TARTLET ${words.join(' ')}`);

  it('takes a push and gives a pull', async () => {
    expect((await behindSquid(sender, 'push', '--insecure', 'vm', name())).exitCode).toBe(0);
    const receiver = new Workplace(cleanup);
    expect((await behindSquid(receiver, 'clone', '--insecure', name(), 'vm')).exitCode).toBe(0);
    expect(await digestsOfVm(receiver.vmDirectory('vm'))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
  });

  it('that does not run is what squid complains about, in few seconds', async () => {
    const port = await freePort('127.0.0.1');
    const { exitCode, stderr } = await behindSquid(sender, 'pull', '--insecure', `registry.example:${port}/team/vm:1`);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      `the proxy http://127.0.0.1:${proxy} opened no connection: it answered 503 (ERR_CONNECT_FAIL`,
    );
  });
});

/**
 * @returns the port of a squid with the access rules of Debian's `squid.conf`; it knows `registry.example` as this
 * machine.
 */
async function startSquid(cleanup: Cleanup): Promise<number> {
  const directory = cleanup.directory();
  const at = (file: string): string => path.join(directory, file);
  const port = await freePort('127.0.0.1');
  // squid started by root gives its rights up before it reads that file.
  chmodSync(directory, 0o755);
  writeFileSync(at('hosts'), '127.0.0.1 registry.example\n');
  const rules = `
http_port 127.0.0.1:${port}
hosts_file ${at('hosts')}
acl SSL_ports port 443
acl Safe_ports port 80
acl Safe_ports port 443
acl Safe_ports port 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost
http_access deny all
cache deny all
access_log none
cache_log /dev/null
pid_filename none
shutdown_lifetime 0 seconds
pinger_enable off
`;
  writeFileSync(at('squid.conf'), rules);
  // Its shared memory is called after the service: squid alone would meet any other squid of this machine.
  const args = ['-N', '-d', '1', '-n', `tartlet${port}`, '-f', at('squid.conf')];
  await RealProcess.start(cleanup, partPath('squid'), args, async () => isOpen(port));
  return port;
}

async function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
