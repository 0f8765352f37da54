import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configJson } from '../support/home.ts';
import { WITH_AN_OLD_IMAGE } from '../support/old-image.ts';
import { needsOwnMounts, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { partPath } from '../support/real-parts.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, pushInChunks } from '../support/real-seed.ts';
import { createVm } from '../support/real-vm.ts';

describe('a disk that does not take what it should', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let name: string;
  /** What an image of that name has to become. */
  let disk: string;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    name = `127.0.0.1:${registry.port}/team/base:1`;
    const sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    disk = `${sender.vmDirectory('vm')}/disk.img`;
    // Text: on the wire it is small, so that only the writing finds out how much room it takes.
    writeFileSync(disk, Array.from({ length: 1_100_000 }, (_, line) => `tartlet needs room ${line}\n`).join(''));
    await pushInChunks(sender, 'vm', name, 1024 * 1024);
  });
  afterAll(async () => cleanup.run());

  it('that fills up: nothing is visible, what came is kept, and with more room the same command finishes (D2)', async (context) => {
    needsOwnMounts(context);
    registry.requests.length = 0;
    const { exitCode, stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `
mount -t tmpfs -o size=16m tmpfs $TART_HOME
$TARTLET pull --concurrency 1 ${name}; echo "exit $?"
$TARTLET list -q; echo "listed"
mount -o remount,size=200m tmpfs $TART_HOME
$TARTLET pull ${name} && $TARTLET list -q | head -1
cmp ${disk} $TART_HOME/cache/OCIs/*/team/base/sha256:*/disk.img
`,
    );

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 0, stdout: `exit 1\nlisted\n${name}\n` });
    expect(stderr).toMatch(/^error\[DISK_FULL\]: cannot write \S+disk\.img: no space left on the device\.$/m);
    expect(stderr).toMatch(/^kept: 1\d of 28 chunks are verified and kept/m);
    expect(stderr).toMatch(/^next: .*free some space/m);
    const chunks = await diskChunksOf(registry.port, 'team/base', '1');
    const asked = chunks
      .slice(0, 10)
      .map((chunk) => registry.requests.filter((request) => request.endsWith(chunk)).length);
    expect(asked).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('that is too small from the start: nothing is fetched (D1)', async (context) => {
    needsOwnMounts(context);
    const receiver = new Workplace(cleanup);
    registry.requests.length = 0;
    const { stdout, stderr } = await runWithOwnMounts(
      receiver,
      `mount -t tmpfs -o size=64k tmpfs $TART_HOME; $TARTLET pull ${name}; echo "exit $?"`,
    );

    expect(stdout, stderr).toBe('exit 1\n');
    expect(stderr).toMatch(
      /^error\[DISK_FULL\]: .* needs at least \d+\.\d [KM]B \(\+134\.2 MB in reserve\), (\d+\.\d KB|\d+ B) are free in \S+, pruning would free 0 B more\.$/m,
    );
    expect(stderr).toMatch(/^next: .*tartlet delete/m);
    // A connection that breaks may have the manifest asked for twice.
    expect(new Set(registry.requests)).toEqual(new Set(['GET /v2/team/base/manifests/1']));
  });

  it('that has room only without an old image: it is deleted first, said, and nothing else', async (context) => {
    needsOwnMounts(context);
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${WITH_AN_OLD_IMAGE} $TARTLET pull ${name}; echo "exit $?"; $TARTLET list -q | head -1`,
    );
    expect(stdout, stderr).toBe(`exit 0\n${name}\n`);
    expect(stderr).toMatch(
      /^deleted registry\.corp:8221\/macos\/base@sha256:a{64}: last used 30 days ago, 52\.4 MB, room was needed$/m,
    );
  });

  it.for([
    ['TART_NO_AUTO_PRUNE is set', 'export TART_NO_AUTO_PRUNE='],
    ['it is pinned', '$TARTLET pin registry.corp:8221/macos/base:14'],
    [
      'another process uses it',
      `mkdir -p $TART_HOME/cache/.locks; exec 9>>$TART_HOME/cache/.locks/${'a'.repeat(64)}.lock; flock --exclusive 9`,
    ],
  ])('that has room only without an old image, and %s: the image stays', async ([, protect], context) => {
    needsOwnMounts(context);
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${WITH_AN_OLD_IMAGE} ${protect}
$TARTLET pull ${name}; echo "exit $?"; $TARTLET list -q | grep -c :14`,
    );
    expect(stdout, stderr).toBe('exit 0\n1\n');
    expect(stderr).not.toContain('deleted');
  });

  it('that has room for a clone only without an old image: it is deleted first, said, and the clone is whole', async (context) => {
    needsOwnMounts(context);
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${WITH_AN_OLD_IMAGE}
mkdir -p $TART_HOME/vms/big
echo '${configJson()}' > $TART_HOME/vms/big/config.json
echo nvram > $TART_HOME/vms/big/nvram.bin
head -c 90M /dev/zero | tr '\\0' y > $TART_HOME/vms/big/disk.img
$TARTLET clone big copy; echo "exit $?"
cmp $TART_HOME/vms/big/disk.img $TART_HOME/vms/copy/disk.img && ls $(dirname $old) | wc -l`,
    );
    expect(stdout, stderr).toBe('exit 0\n0\n');
    expect(stderr).toMatch(/^deleted registry\.corp:8221\/macos\/base@sha256:a{64}: .*, room was needed$/m);
  });

  it('that is full to the last byte: prune makes the room that was asked for, from the oldest on', async (context) => {
    needsOwnMounts(context);
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${WITH_AN_OLD_IMAGE}
head -c 300M /dev/zero > $TART_HOME/filler
$TARTLET prune --free-space 0; echo "exit $?"; ls $(dirname $old) | wc -l
$TARTLET prune --free-space 1; echo "exit $?"; ls $(dirname $old) | wc -l`,
    );
    expect(stdout, stderr).toBe('exit 0\n2\nexit 1\n0\n');
    expect(stderr).toMatch(/last used 30 days ago, room is needed, 52\.4 MB allocated, all of it freed$/m);
    expect(stderr).toMatch(/^error\[DISK_FULL\]: [\d.]+ [KMG]?B are free now, 1\.1 GB \(1 GiB\) were asked for/m);
  });

  it('that cannot hold it even without all that could go: nothing goes, and the numbers are told (D1)', async (context) => {
    needsOwnMounts(context);
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `mount -t tmpfs -o size=80k tmpfs $TART_HOME
old=$TART_HOME/cache/OCIs/registry.corp%3A8221/macos/base/sha256:${'a'.repeat(64)}
mkdir -p $old
for file in config.json nvram.bin disk.img; do echo '{}' > $old/$file; done
$TARTLET pull ${name}; echo "exit $?"; ls $old | wc -l`,
    );
    expect(stdout, stderr).toBe('exit 1\n3\n');
    expect(stderr).toMatch(
      /^error\[DISK_FULL\]: \S+ needs at least [\d.]+ [KM]B \(\+134\.2 MB in reserve\), [\d.]+ KB are free in \S+, pruning would free 12\.3 KB more\.$/m,
    );
  });

  it('with a limit for the size of files (D6, D16)', async () => {
    const receiver = new Workplace(cleanup);
    const { exitCode, stdout, stderr } = await receiver.shell(`ulimit -f 10000; $TARTLET pull ${name}`);

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(
      /^error\[DISK_UNSUPPORTED\]: cannot \w+ \S+disk\.img: files may not be that large there\.\n(kept: .*\n)?next: raise the limit .*ulimit -f/m,
    );
    expect(await receiver.names()).toEqual([]);
    expect(await receiver.run('pull', name)).toMatchObject({ exitCode: 0 });
  });

  it('that does not let us write (D11)', async (context) => {
    needsOwnMounts(context);
    const receiver = new Workplace(cleanup);
    mkdirSync(receiver.home, { mode: 0o500 });
    // Root may write everywhere; as an ordinary user of a namespace it may not.
    const { exitCode, stdout, stderr } = await receiver.shell(
      `exec ${partPath('unshare')} -U --map-user=1000 --map-group=1000 $TARTLET pull ${name}`,
    );

    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error\[DISK_DENIED\]: cannot create the directory \S+: EACCES: permission denied\.$/m);
    expect(stderr).toMatch(/^next: check the owner/m);
    expect(receiver.snapshot()).toEqual([]);
  });

  it('where a file is in the place of the home', async () => {
    const receiver = new Workplace(cleanup);
    writeFileSync(receiver.home, 'not a directory');
    for (const command of [
      ['pull', name],
      ['create', '--linux', 'vm'],
    ]) {
      const { exitCode, stdout, stderr } = await receiver.run(...command);
      expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
      expect(stderr).toMatch(/^error\[CONFIG_INVALID\]: \S+home is a file/m);
      expect(stderr).toMatch(/^next: move the file away/m);
    }
    expect(readFileSync(receiver.home, 'utf8')).toBe('not a directory');
  });
});
