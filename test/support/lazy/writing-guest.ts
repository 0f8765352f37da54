import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { sha256 } from '../tart-image.ts';
import { builtGuest } from '../guest.ts';
import { partPath } from '../real-parts.ts';

/** Bytes of one record, and of one piece of noise. */
export const SECTOR = 512;
const NOISE_PIECE = 64 * 1024;
const MIB = 1024 * 1024;

/** Where on its disk the guest does what, in MiB. */
export interface Places {
  /** Records, each a sector, flushed one by one. */
  readonly records: number;
  /** What is written all the time, and flushed now and then. */
  readonly noise: { readonly at: number; readonly size: number };
}

const MODULES = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci', 'virtio_blk'];

/*
 * What it is told comes by the kernel's command line, as variables: `from`, the number of the next record; `records`,
 * `noise` and `noisy`, places in sectors, pieces and a number of pieces (none: no noise); `reads`, the MiB that it reads
 * and tells the digest of. Everything that it says on its console is a fact: a record that is told was flushed before.
 */
const INIT = `#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t tmpfs tmp /tmp
for module in ${MODULES.join(' ')}; do insmod /lib/$module.ko; done
exec >/dev/ttyS0 2>/dev/null
echo "up $from"
if [ $from -gt 0 ]; then
  echo "seen $from $(dd if=/dev/vda bs=512 skip=$records count=$from | sha256sum | cut -c 1-64)"
fi
if [ $noisy -gt 0 ]; then
  yes noise | dd of=/tmp/noise bs=65536 count=$noisy iflag=fullblock
  while :; do
    dd if=/tmp/noise of=/dev/vda bs=65536 seek=$noise conv=notrunc,fsync && echo "noise"
  done &
fi
(for at in $(echo $reads | tr , ' '); do
  echo "read $at $(dd if=/dev/vda bs=1048576 skip=$at count=1 | sha256sum | cut -c 1-64)"
done; echo "read all") &
while :; do
  printf 'record %06d\\n' $from | dd of=/dev/vda bs=512 seek=$((records + from)) conv=notrunc,fsync && echo "told $from"
  from=$((from + 1))
done
`;

/**
 * The kernel and the memory disk of a guest that does nothing but read and write its disk. Built once, from the little
 * guest of the tests; without firmware and programs it is up within 3 s even where it is emulated.
 */
function builtParts(): string {
  const directory = path.join(os.tmpdir(), `tartlet-writer-${sha256(Buffer.from(INIT)).slice(7, 23)}`);
  if (existsSync(directory)) return directory;
  const making = mkdtempSync(`${directory}.`);
  const esp = `${builtGuest('amd64')}/disk.img@@1M`;
  execFileSync('mcopy', ['-n', '-i', esp, '::/vmlinuz', '::/initrd.img', making]);
  const [all, root] = [`${making}/all`, `${making}/root`];
  for (const name of ['bin', 'dev', 'proc', 'tmp', 'lib']) mkdirSync(`${root}/${name}`, { recursive: true });
  mkdirSync(all);
  execFileSync('sh', ['-c', 'gzip -dc ../initrd.img | cpio -id --quiet'], { cwd: all });
  cpSync(`${all}/bin/busybox`, `${root}/bin/busybox`);
  for (const name of MODULES) cpSync(`${all}/lib/modules/${name}.ko`, `${root}/lib/${name}.ko`);
  writeFileSync(`${root}/init`, INIT.replace('#!/bin/sh', '#!/bin/busybox sh\n/bin/busybox --install -s /bin'));
  chmodSync(`${root}/init`, 0o755);
  execFileSync('sh', ['-c', 'find . | cpio -o -H newc --quiet --owner=0:0 | gzip -1 -n >../initrd.img'], { cwd: root });
  for (const done of [all, root]) rmSync(done, { recursive: true });
  try {
    renameSync(making, directory);
  } catch (error) {
    // Another worker was first.
    if (!existsSync(directory)) throw error;
    rmSync(making, { recursive: true });
  }
  return directory;
}

/** A monitor of QEMU beside those that `run` has, in the directory of the VM: events are heard there. */
export const WATCH_SOCKET = 'watch.sock';

/**
 * Puts a QEMU into a directory for `PATH` that starts the machine that it is asked for, but with the writing guest in
 * place of the firmware. What the guest is told is read from the file `plan` in that directory at each start.
 */
export function plantWritingGuest(directory: string): void {
  const parts = builtParts();
  const program = `${directory}/qemu-system-x86_64`;
  writeFileSync(
    program,
    `#!/bin/sh
[ "$1" = --version ] && exec ${partPath('qemu-system-x86_64')} --version
left=$#
while [ $left -gt 0 ]; do
  word=$1; shift; left=$((left - 1))
  case $word in
    *accel=kvm*) echo 'kvm: not here' >&2; exit 1 ;;
    # The firmware.
    -drive) shift; left=$((left - 1)); continue ;;
    # The kernel is what starts first.
    *,bootindex=0*) word=\${word%%,bootindex=0*}\${word#*,bootindex=0} ;;
  esac
  set -- "$@" "$word"
done
exec ${partPath('qemu-system-x86_64')} "$@" -qmp unix:${WATCH_SOCKET},server=on,wait=off \\
  -kernel ${parts}/vmlinuz -initrd ${parts}/initrd.img \\
  -append "console=ttyS0 quiet loglevel=3 panic=-1 rdinit=/init $(cat ${directory}/plan)"
`,
  );
  chmodSync(program, 0o755);
}

/** What the guest is told at its next start. */
export function planGuest(
  directory: string,
  { records, noise }: Places,
  { from, noisy, reads }: { readonly from: number; readonly noisy: boolean; readonly reads: readonly number[] },
): void {
  const words = {
    from,
    records: (records * MIB) / SECTOR,
    noise: (noise.at * MIB) / NOISE_PIECE,
    noisy: noisy ? (noise.size * MIB) / NOISE_PIECE : 0,
    reads: reads.join(','),
  };
  const text = Object.entries(words).map(([name, value]) => `${name}=${value}`);
  writeFileSync(`${directory}/plan`, text.join(' '));
}

/** The sector of a record as the guest writes it, above what was there. */
export function writeRecord(disk: Buffer, { records }: Places, number: number): void {
  disk.write(`record ${String(number).padStart(6, '0')}\n`, records * MIB + number * SECTOR, 'latin1');
}

/** What `dd` makes of a record: its bytes, and of the rest of the sector nothing changes. */
export function noiseBytes({ noise }: Places): Buffer {
  return Buffer.alloc(noise.size * MIB, 'noise\n', 'latin1');
}

/** What a guest said, in the log of its console. */
export interface Said {
  readonly isUp: boolean;
  /** One more than the last record that was flushed; 0 for none. */
  readonly told: number;
  /** How often all of the noise was flushed. */
  readonly noises: number;
  /** Digests of MiB that it read. */
  readonly reads: ReadonlyMap<number, string>;
  readonly hasReadAll: boolean;
  /** How many records of earlier starts it saw, and their digest. */
  readonly seen: { readonly count: number; readonly digest: string } | undefined;
}

/** @param log only whole lines count. */
export function readConsole(log: string): Said {
  const lines = log.slice(0, log.lastIndexOf('\n') + 1).split(/\r?\n/);
  const matches = (pattern: RegExp): RegExpExecArray[] =>
    lines.flatMap((line) => {
      const match = pattern.exec(line);
      return match === null ? [] : [match];
    });
  const seen = matches(/^seen (\d+) ([0-9a-f]{64})$/).at(-1);
  return {
    isUp: matches(/^up \d+$/).length > 0,
    told: Math.max(0, ...matches(/^told (\d+)$/).map(([, number]) => Number(number) + 1)),
    noises: matches(/^noise$/).length,
    reads: new Map(matches(/^read (\d+) ([0-9a-f]{64})$/).map(([, at, digest = '']) => [Number(at), digest])),
    hasReadAll: matches(/^read all$/).length > 0,
    seen: seen && { count: Number(seen[1]), digest: seen[2] ?? '' },
  };
}
