import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { plantBareMachine } from '../support/bare-machine.ts';
import { needsOwnMounts, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/*
 * What can keep a VM from starting, each provoked: the first line on stderr is the cause, the next step stands below,
 * and the exit code is that of the contract. docs/guide/running.md has the same table.
 */

const LONG_MS = 120_000;

interface Row {
  readonly title: string;
  readonly exitCode: number;
  /** On the first line of stderr. */
  readonly cause: RegExp;
  /** On the line that begins with `next:`. */
  readonly next: RegExp;
  /** A machine of its own, or the plain one of amd64. */
  readonly arch?: 'arm64';
  readonly config?: object;
  /** Only where namespaces of one's own are allowed. */
  readonly mounts?: true;
  readonly provoke: (workplace: Workplace, directory: string) => Promise<Ran>;
}

const run = async (workplace: Workplace, ...flags: readonly string[]): Promise<Ran> =>
  workplace.run('run', 'ci', ...flags);

const ROWS: readonly Row[] = [
  {
    title: 'no QEMU',
    exitCode: 1,
    cause: /^error\[HOST_LACKS\]: .*qemu-system-x86_64 is not installed/,
    next: /qemu-system-x86 and ovmf \(Debian/,
    provoke: async (workplace) => workplace.shell('PATH=/nowhere $TARTLET run ci'),
  },
  {
    title: 'no firmware',
    exitCode: 1,
    cause: /^error\[HOST_LACKS\]: .*no UEFI firmware for amd64/,
    next: /edk2-ovmf/,
    mounts: true,
    provoke: async (workplace) =>
      runWithOwnMounts(workplace, 'mount -t tmpfs tmpfs /usr/share/qemu/firmware || exit\n$TARTLET run ci'),
  },
  {
    title: 'a KVM that does not work, which a warning says',
    exitCode: 0,
    cause: /^warning: the guest is emulated, which is many times slower: .*kvm/i,
    next: /^warning: .*doctor --host says what helps$/,
    mounts: true,
    provoke: async (workplace, directory) =>
      runWithOwnMounts(
        workplace,
        `[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm || exit
$TARTLET run ci & pid=$!
until [ -e ${directory}/requests.sock ] && $TARTLET screenshot ci - >/dev/null; do sleep 0.1; done
kill -TERM $pid; kill -INT $pid; wait $pid`,
      ),
  },
  {
    title: 'a guest of another architecture',
    arch: 'arm64',
    exitCode: 1,
    cause: /^error\[HOST_LACKS\]: the VM "ci" is made for arm64, and this machine is amd64/,
    next: /--allow-emulation/,
    provoke: async (workplace) => run(workplace),
  },
  {
    title: 'a published port that is taken',
    exitCode: 1,
    cause: /^error\[GUEST_FAILED\]: (?:tcp )?port [0-9]+ of 127\.0\.0\.1/,
    next: /publish another port/,
    provoke: async (workplace) => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const ran = await run(workplace, '--publish', `${(server.address() as AddressInfo).port}:80`);
      server.close();
      return ran;
    },
  },
  {
    title: 'a disk that another program uses',
    exitCode: 1,
    cause: /^error\[BUSY\]: .*disk.*shared\.img/,
    next: /./,
    provoke: async (workplace) => {
      const disk = `${workplace.directory}/shared.img`;
      writeFileSync(disk, Buffer.alloc(4096));
      plantBareMachine(workplace.vmDirectory('other'));
      return whileRunning(workplace, 'other', ['--disk', disk], async () => run(workplace, '--disk', disk));
    },
  },
  {
    title: 'a disk that is not there',
    exitCode: 1,
    cause: /^error\[NOT_FOUND\]: there is no disk at \/nowhere\.img/,
    next: /path of a file/,
    provoke: async (workplace) => run(workplace, '--disk', '/nowhere.img'),
  },
  {
    title: 'a disk of the host that is full',
    exitCode: 1,
    cause: /^error\[DISK_FULL\]/,
    next: /free some space/,
    mounts: true,
    provoke: async (workplace, directory) =>
      runWithOwnMounts(
        workplace,
        `cp -a ${directory} ${workplace.directory}/kept; mount -t tmpfs -o size=1m tmpfs $TART_HOME && mkdir $TART_HOME/vms || exit
cp -a --sparse=always ${workplace.directory}/kept ${directory}; echo apple >${directory}/nvram.bin; rm -f ${directory}/nvram.qemu.fd
head -c 1m /dev/zero >$TART_HOME/full 2>/dev/null
$TARTLET run ci`,
      ),
  },
  {
    title: 'a store of variables that is not of this firmware',
    exitCode: 1,
    cause: /^error\[VM_INVALID\]: .*nvram\.qemu\.fd is no store of variables/,
    next: /a new one is made/,
    provoke: async (workplace, directory) => {
      writeFileSync(`${directory}/nvram.bin`, 'apple');
      writeFileSync(`${directory}/nvram.qemu.fd`, Buffer.alloc(540_672, 7));
      return run(workplace);
    },
  },
  {
    title: 'a saved memory that does not fit',
    exitCode: 1,
    cause: /^error\[VM_INVALID\]: the VM "ci" cannot go on from its saved memory: what it belongs to is not known/,
    next: /tartlet stop ci/,
    provoke: async (workplace, directory) => {
      writeFileSync(`${directory}/state.qemu`, 'memory');
      return run(workplace);
    },
  },
  {
    title: 'a serial device that cannot be opened',
    exitCode: 1,
    cause: /^error\[GUEST_FAILED\]: \/nowhere\/tty cannot be opened: no such file or directory/,
    next: /check the path/,
    provoke: async (workplace) => run(workplace, '--serial-path', '/nowhere/tty'),
  },
  {
    title: 'a bridge that is not there',
    exitCode: 64,
    cause: /^error\[USAGE\]: there is no bridge "nobr0"/,
    next: /./,
    provoke: async (workplace) => run(workplace, '--net-bridged', 'nobr0'),
  },
  {
    title: 'a VM that runs already',
    exitCode: 2,
    cause: /^error\[VM_RUNNING\]: the VM "ci" is running/,
    next: /stop it first/,
    provoke: async (workplace) => whileRunning(workplace, 'ci', [], async () => run(workplace)),
  },
  {
    title: 'a VM of macOS',
    exitCode: 64,
    config: { os: 'darwin', hardwareModel: 'AAAA', ecid: 'AAAA', arch: 'arm64' },
    cause: /^error\[NEEDS_MACOS\]: the VM "ci" runs macOS/,
    next: /run it with Tart on a Mac/,
    provoke: async (workplace) => run(workplace),
  },
  {
    title: 'more memory than this machine has',
    exitCode: 1,
    config: { memorySize: 4_000_000 * 1024 * 1024 },
    cause: /^error\[GUEST_FAILED\]: this machine has not as much memory/,
    next: /--memory/,
    provoke: async (workplace) => run(workplace),
  },
];

async function whileRunning(
  workplace: Workplace,
  name: string,
  flags: readonly string[],
  work: () => Promise<Ran>,
): Promise<Ran> {
  const running: Running = workplace.start('run', name, ...flags);
  try {
    while (!existsSync(`${workplace.vmDirectory(name)}/requests.sock`)) {
      if (running.child.exitCode !== null) throw new Error(running.stderr);
      await delay(20);
    }
    return await work();
  } finally {
    running.kill('SIGKILL');
    await running.ended.catch(() => undefined);
    while ((await workplace.run('list')).stdout.includes('running')) await delay(20);
  }
}

describeWithParts('a VM that does not start', ['qemu-system-x86_64', 'ovmf'], () => {
  const cleanup = new Cleanup();
  const workplace = new Workplace(cleanup);
  const directory = workplace.vmDirectory('ci');

  beforeEach(() => rmSync(directory, { recursive: true, force: true }));
  afterAll(async () => cleanup.run());

  for (const { title, exitCode, cause, next, provoke, arch, config, mounts } of ROWS) {
    it(
      `says the cause first and what to do: ${title}`,
      async (context) => {
        if (mounts === true) needsOwnMounts(context);
        plantBareMachine(directory, arch ?? 'amd64', config);
        const ran = await provoke(workplace, directory);
        // Where it runs in spite of it, notes may come first.
        const lines = ran.stderr.split('\n').filter((line) => exitCode !== 0 || line.startsWith('warning: '));
        expect({ exitCode: ran.exitCode, first: lines[0] }, ran.stderr).toEqual({
          exitCode,
          first: expect.stringMatching(cause),
        });
        expect(lines.find((line) => line.startsWith('next: ')) ?? lines[0]).toMatch(next);
      },
      LONG_MS,
    );
  }
});
