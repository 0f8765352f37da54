import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { mayMountTmpfs, partPath } from '../support/real-parts.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';

/** Mounting a file system of one's own needs user namespaces, which many containers forbid: a property of the machine. */
const canMount = mayMountTmpfs();
const WHY_NOT = 'left out: no user namespaces here';

describe('a disk that does not take what it should', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let name: string;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    name = `127.0.0.1:${registry.port}/team/base:1`;
    const sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    // Text: on the wire it is small, so that only the writing finds out how much room it takes.
    writeFileSync(`${sender.vmFolder('vm')}/disk.img`, 'tartlet needs room\n'.repeat(1_500_000));
    const { exitCode, stderr } = await sender.run('push', 'vm', name);
    expect(exitCode, stderr).toBe(0);
  });
  afterAll(async () => cleanup.run());

  /** Runs a script in which the home is a file system of its own. */
  async function withOwnFileSystem(receiver: Workplace, script: string): Promise<Ran> {
    mkdirSync(receiver.home);
    const file = path.join(cleanup.folder(), 'script');
    writeFileSync(file, script);
    return receiver.shell(`TARTLET="$TARTLET" exec ${partPath('unshare')} -Urm bash ${file}`);
  }

  it('that fills up: nothing is visible, and with more room the same command finishes (D2)', async (context) => {
    context.skip(!canMount, WHY_NOT);
    const receiver = new Workplace(cleanup);
    const { exitCode, stdout, stderr } = await withOwnFileSystem(
      receiver,
      `
mount -t tmpfs -o size=16m tmpfs $TART_HOME
$TARTLET pull ${name}; echo "exit $?"
$TARTLET list -q; echo "listed"
mount -o remount,size=200m $TART_HOME
$TARTLET pull ${name} && $TARTLET list -q | head -1
`,
    );

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 0, stdout: `exit 1\nlisted\n${name}\n` });
    expect(stderr).toMatch(/^error\[DISK_FULL\]: cannot write \S+disk\.img: no space left on the device\.$/m);
    expect(stderr).toMatch(/^next: .*free some space/m);
  });

  it('that is too small from the start: nothing is fetched (D1)', async (context) => {
    context.skip(!canMount, WHY_NOT);
    const receiver = new Workplace(cleanup);
    registry.requests.length = 0;
    const { stdout, stderr } = await withOwnFileSystem(
      receiver,
      `mount -t tmpfs -o size=64k tmpfs $TART_HOME; $TARTLET pull ${name}; echo "exit $?"`,
    );

    expect(stdout, stderr).toBe('exit 1\n');
    expect(stderr).toMatch(
      /^error\[DISK_FULL\]: .* needs at least \d+ bytes \(\+134217728 in reserve\), \d+ are free in \S+, pruning would free 0 more\.$/m,
    );
    expect(stderr).toMatch(/^next: .*tartlet delete/m);
    expect(registry.requests).toEqual(['GET /v2/team/base/manifests/1']);
  });

  it('with a limit for the size of files (D6, D16)', async () => {
    const receiver = new Workplace(cleanup);
    const { exitCode, stdout, stderr } = await receiver.shell(`ulimit -f 10000; $TARTLET pull ${name}`);

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error\[DISK_FULL\]: cannot \w+ \S+disk\.img: EFBIG: file too large\.$/m);
    expect(await receiver.names()).toEqual([]);
    expect(await receiver.run('pull', name)).toMatchObject({ exitCode: 0 });
  });

  it('that is read-only (D10)', async (context) => {
    context.skip(!canMount, WHY_NOT);
    const receiver = new Workplace(cleanup);
    const { stdout, stderr } = await withOwnFileSystem(
      receiver,
      `mount -t tmpfs -o ro tmpfs $TART_HOME; $TARTLET list -q && $TARTLET pull ${name}; echo "exit $?"`,
    );

    expect(stdout, stderr).toBe('exit 1\n');
    expect(stderr).toMatch(/^error\[DISK_READONLY\]: cannot create the folder \S+: EROFS: read-only file system\.$/m);
    expect(stderr).toMatch(/^next: make the file system writable, or set TART_HOME/m);
  });

  it('that does not let us write (D11)', async (context) => {
    context.skip(!canMount, WHY_NOT);
    const receiver = new Workplace(cleanup);
    mkdirSync(receiver.home, { mode: 0o500 });
    // Root may write everywhere; as an ordinary user of a namespace it may not.
    const { exitCode, stdout, stderr } = await receiver.shell(
      `exec ${partPath('unshare')} -U --map-user=1000 --map-group=1000 $TARTLET pull ${name}`,
    );

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error\[DISK_DENIED\]: cannot create the folder \S+: EACCES: permission denied\.$/m);
    expect(stderr).toMatch(/^next: check the owner/m);
    expect(receiver.snapshot()).toEqual([]);
  });

  it('where a file is in the place of the home', async () => {
    const receiver = new Workplace(cleanup);
    writeFileSync(receiver.home, 'not a folder');
    for (const command of [
      ['pull', name],
      ['create', '--linux', 'vm'],
    ]) {
      const { exitCode, stdout, stderr } = await receiver.run(...command);
      expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
      expect(stderr).toMatch(/^error\[DISK_IO\]: cannot create the folder \S+home/m);
      expect(stderr).toMatch(/^next: move away the file/m);
    }
    expect(readFileSync(receiver.home, 'utf8')).toBe('not a folder');
  });
});
