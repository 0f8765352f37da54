import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressBy, endAfterwards, LONG_MS, PARTS_OF_DRIVERS, publishGuest } from '../../support/driven-vm.ts';
import { GuestShell } from '../../support/guest-shell.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import type { Running } from '../../support/real-command.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { TartInPath } from '../../support/tart-in-path.ts';

/*
 * What the Packer plugin does, word for word and in its order, up to the artifact, and what it does when it is
 * cancelled (tart-cli §5.2, run-fleet-demand §5.1).
 */

/** How the plugin finds the VNC server in what `run` has printed: password, host, port. */
const VNC = /vnc:\/\/.*:(.*)@(.*):([0-9]{1,5})/;

describeWithParts('the Packer plugin on Linux', PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let image: string;
  let user: TartInPath;
  let shell: GuestShell;
  let run: Running;

  beforeAll(async () => {
    image = await publishGuest(cleanup);
    user = new TartInPath(cleanup, {}, { CI: 'true' });
    shell = new GuestShell(cleanup);
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  /** What the plugin reads in its buffer, looking every second for 30. */
  async function vncServer(): Promise<readonly string[]> {
    for (let looked = 0; looked < 30; looked += 1) {
      const found = VNC.exec(run.stdout);
      if (found !== null) return found.slice(1);
      expect(run.child.exitCode, run.stderr).toBeNull();
      await delay(1000);
    }
    throw new Error(`no VNC server in 30 seconds: ${run.stdout}${run.stderr}`);
  }

  it('makes a VM of an image, and edits its partitions', async () => {
    await user.succeed('pull', image, '--insecure', '--concurrency', '4');
    await user.succeed('clone', image, 'built', '--insecure', '--concurrency', '4');
    await user.succeed('set', 'built', '--cpu', '1', '--memory', '256', '--display', '800x600');
    await user.succeed('set', '--disk-size', '1', 'built');
    const disk = openSync(`${user.vmDirectory('built')}/disk.img`, 'r+');
    const header = Buffer.alloc(8);
    readSync(disk, header, 0, 8, 512);
    closeSync(disk);
    expect(header.toString('latin1')).toBe('EFI PART');
  });

  it(
    'M2: runs it with its options behind the name, and finds the VNC server in what was printed',
    async () => {
      const iso = `${cleanup.directory()}/cloud-init.iso`;
      writeFileSync(iso, Buffer.alloc(1024 * 1024));
      // Its default is a window.
      const words = ['run', 'built', '--graphics', '--vnc-experimental', `--disk=${iso}:ro`];
      run = endAfterwards(cleanup, user.startTart(...words));
      const [password, host = '', port] = await vncServer();
      expect(password).toMatch(/^.{8}$/);
      expect(await greetingOf(host, Number(port))).toMatch(/^RFB 003\.008\n/);
    },
    LONG_MS,
  );

  it(
    'waits for the address by every resolver, and takes both streams for it',
    async () => {
      for (const words of [[], ['--resolver', 'agent'], ['--resolver', 'arp']]) {
        await user.tart('ip', '--wait', '1', ...words, 'built');
      }
      const address = await addressBy(user, 'tart', '--wait', '120', 'built');
      const { exitCode, stdout } = await shell.command(
        address,
        'wc -c </dev/vdb; echo x 2>/dev/null >/dev/vdb || echo ro',
      );
      expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '1048576\nro\n' });
      await shell.command(address, 'sync; umount /data; poweroff -f');
      const ended = await run.ended;
      // By these two the plugin tells a guest that was shut down from a user who closed the VM.
      expect(ended.exitCode).toBe(0);
      expect(ended.stdout).toContain('guest has stopped the virtual machine');
      expect(ended.stdout).not.toContain('Stopping VM...');
      expect(ended.stdout.split('\n').length).toBe(3);
    },
    LONG_MS,
  );

  it(
    'deletes what it killed, a tenth of a second later',
    async () => {
      run = endAfterwards(cleanup, user.startTart('run', 'built', '--no-graphics', '--vnc-experimental'));
      await vncServer();
      run.kill('SIGKILL');
      await delay(100);
      await user.succeed('delete', 'built');
      expect(await user.rows()).not.toContainEqual(expect.objectContaining({ name: 'built' }));
    },
    LONG_MS,
  );
});

/** What a server says first. */
async function greetingOf(host: string, port: number): Promise<string> {
  const socket = connect({ host, port });
  try {
    return await new Promise((resolve, reject) => {
      socket.once('data', (piece: Buffer) => resolve(piece.toString('latin1')));
      socket.once('error', reject);
    });
  } finally {
    socket.destroy();
  }
}
