import { readdirSync, readFileSync, readlinkSync, statSync, truncateSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const LONG_MS = 400_000;

describeWithParts('a VM in the background', ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;

  beforeAll(() => {
    workplace = new Workplace(cleanup);
    plantGuest(workplace.vmDirectory('ci'));
    // A disk without a system: it comes no further than its firmware, however fast the machine is.
    plantGuest(workplace.vmDirectory('empty'));
    const disk = `${workplace.vmDirectory('empty')}/disk.img`;
    const { size } = statSync(disk);
    truncateSync(disk, 0);
    truncateSync(disk, size);
  }, LONG_MS);
  // What fails leaves nothing running, for the tests after it as well.
  afterEach(async () => {
    for (const name of ['ci', 'empty']) await workplace.run('stop', name, '--timeout', '0');
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  it(
    'is told of with its stage and its log when the guest does not come in time, and lives on until it is stopped',
    async () => {
      const flags = ['--detach', '--wait-for', 'tcp:80', '--publish', `${await freePort()}:80`, '--timeout', '1'];
      const { exitCode, stdout, stderr } = await workplace.run('run', 'empty', ...flags);
      expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 4, stdout: '' });
      expect(stderr).toMatch(
        /^error\[GUEST_LATE\]: the guest of the VM "empty" had no port 80 after 1 s: (?:it was started|its firmware ran)/m,
      );
      expect(stderr).toContain('kept: the VM goes on running\n');
      expect((await workplace.run('list')).stdout).toContain('running');
      expect(await workplace.run('stop', 'empty', '--timeout', '1')).toMatchObject({ exitCode: 0 });
      expect((await workplace.run('list')).stdout).toContain('stopped');
    },
    LONG_MS,
  );

  it(
    'is waited for at a port of the guest that any free port of this machine leads to',
    async () => {
      const flags = ['--detach', '--wait-for', 'tcp:23', '--publish', '0:23', '--timeout', '1'];
      // Nothing listens there: it is waited for, and not refused.
      const { exitCode, stdout, stderr } = await workplace.run('run', 'empty', ...flags);
      expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
      expect(stderr).toMatch(/^note: published 127\.0\.0\.1:[1-9][0-9]* -> 23\/tcp$/m);
      const { network } = JSON.parse(readFileSync(`${workplace.vmDirectory('empty')}/run.json`, 'utf8')) as {
        network: { published: unknown };
      };
      expect(network.published).toEqual([
        { hostAddress: '127.0.0.1', hostPort: expect.toSatisfy((port: number) => port > 0), guestPort: 23 },
      ]);
      expect(await workplace.run('stop', 'empty', '--timeout', '1')).toMatchObject({ exitCode: 0 });
    },
    LONG_MS,
  );

  it(
    'has a session of its own and nothing of ours, answers when the command has ended, and is logged in to',
    async () => {
      // Through a shell that ends, and whose pipes would stay open with anything of it that lives on.
      const ran = await workplace.shell('$TARTLET run --detach --wait-for ssh ci; echo "exit $?"');
      expect(ran).toEqual({ exitCode: 0, stdout: 'ci\nexit 0\n', stderr: '' });
      const { pid } = JSON.parse(readFileSync(`${workplace.vmDirectory('ci')}/run.json`, 'utf8')) as { pid: number };
      // proc(5), `stat`: session and terminal.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      expect(
        stat
          .slice(stat.lastIndexOf(')') + 2)
          .split(' ')
          .slice(3, 5),
      ).toEqual([String(pid), '0']);
      expect(['0', '1', '2'].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))).toEqual([
        '/dev/null',
        `${workplace.vmDirectory('ci')}/run.log`,
        `${workplace.vmDirectory('ci')}/run.log`,
      ]);
      expect(statSync(`${workplace.vmDirectory('ci')}/run.log`).mode & 0o777).toBe(0o600);

      expect(await workplace.shell('echo in | $TARTLET ssh ci -- "cat; echo err >&2; exit 7"; echo "exit $?"')).toEqual(
        {
          exitCode: 0,
          stdout: 'in\nexit 7\n',
          stderr: 'err\n',
        },
      );
      expect(await workplace.run('exec', 'ci', 'echo', 'by the agent')).toMatchObject({ stdout: 'by the agent\n' });
      expect((await workplace.run('logs', 'ci')).stdout).toContain('guest: ready');
      expect(await workplace.run('stop', 'ci', '--timeout', '60')).toMatchObject({ exitCode: 0 });
      expect(readFileSync(`${workplace.vmDirectory('ci')}/run.log`, 'utf8')).toContain(
        'Stopping VM...\nguest has stopped the virtual machine\n',
      );
      expect(readdirSync(workplace.vmDirectory('ci')).toSorted()).toEqual([
        '.last-used',
        'config.json',
        'disk.img',
        'known_hosts',
        'nvram.bin',
        'run.log',
        'serial.log',
        'ssh-askpass',
      ]);
    },
    LONG_MS,
  );
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
