import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Cleanup } from './real-cleanup.ts';

/** Makes the namespaces what {@link ownNetwork} says, and stays in them. */
const PRELUDE = `set -eu
mount --make-rprivate /
mount -t sysfs sysfs /sys
own=$1
mount -t tmpfs tmpfs "$own"
for directory in etc var/lib usr/local usr/sbin usr/lib/qemu; do
  mkdir -p "$own/$directory/upper" "$own/$directory/work"
  mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$own/$directory/upper,workdir=$own/$directory/work" "/$directory"
done
mount -t tmpfs -o mode=755 tmpfs /run
# On most systems all users may open it, and have to: the helper does so as who started it.
mknod "$own/tun" c 10 200 && chmod 666 "$own/tun" && mount --bind "$own/tun" /dev/net/tun
ip link set lo up
echo ready
exec sleep infinity
`;

/**
 * A network and a mount namespace: bridges and firewall rules in it are its own, what is changed below /etc, /var/lib,
 * /usr/local, /usr/sbin and of QEMU's helpers is kept in a directory of the test, and all that is started in it dies
 * with it. For root.
 *
 * @returns the words that start a program in it.
 */
export async function ownNetwork(cleanup: Cleanup): Promise<readonly string[]> {
  const directory = cleanup.directory();
  mkdirSync(`${directory}/own`);
  writeFileSync(`${directory}/prelude.sh`, PRELUDE);
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('unshare', [...namespaces, 'sh', `${directory}/prelude.sh`, `${directory}/own`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanup.add(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await ended;
  });
  await ready(child);
  const inside = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  return ['nsenter', '--target', inside, '--mount', '--net', '--pid', '--'];
}

async function ready(child: ChildProcess): Promise<void> {
  let told = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (piece: Buffer) => (told += piece.toString()));
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error(`no network of its own: ${told}`)));
  });
}
