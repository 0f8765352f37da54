import type { Arch } from '../../vm/config.ts';
import type { SharedDirectory } from '../machine.ts';

/*
 * Where the program that serves a guest's directories runs: in a user, a mount and a network namespace of its own. It
 * needs no root, and has no right that its user has not. Whatever user of the guest works there, the host does it as
 * the user who started us: calls that would change the user are answered with success and not carried out, as rootless
 * containers do it. All files look to the guest as if they were its first user's ({@link GUEST_OWNER}), whose work in
 * them root of the guest may do as well.
 */

/** Whose the files are in the guest: the first user of nearly every Linux image, whom images for Tart call admin. */
const GUEST_OWNER = 1000;

/** Numbers of system calls, which differ by architecture of this machine. */
const CALLS = {
  amd64: { audit: 0xc000003e, mount: 165, prctl: 157, pretended: [92, 93, 94, 260, 116, 117, 119] },
  arm64: { audit: 0xc00000b7, mount: 40, prctl: 167, pretended: [54, 55, 159, 147, 149] },
} as const satisfies Record<Arch, object>;

/**
 * In perl, which every distribution has and which can make any system call: mounts the directories, makes those that
 * are to be read-only so with all that is mounted below them (`mount_setattr`, 442 on every architecture), and installs
 * the filter.
 */
const SCRIPT = String.raw`
use strict;
my ($mount, $prctl, $filter, $root, $count) = splice @ARGV, 0, 5;
sub check { my ($result, $what) = @_; $result != -1 or die "cannot share directories: $what: $!\n" }
sub cover { my ($at, $type, $mode) = ($_[0], "tmpfs", "mode=755");
  check(syscall($mount + 0, $type, $at, $type, 0, $mode), $at) }
cover($root);
for (1 .. $count) {
  my ($name, $mode, $path) = splice @ARGV, 0, 3;
  my $at = "$root/$name";
  mkdir $at or die "cannot share directories: $name: $!\n";
  check(syscall($mount + 0, $path, $at, 0, 0x5000, 0), $path);
  read_only($at, 0x8000) if $mode eq "ro";
}
sub read_only { my ($at, $flags) = @_; my $attributes = pack "Q4", 1, 0, 0, 0;
  check(syscall(442, -100, $at, $flags, $attributes, 32), "$at read-only") }
read_only($root, 0);
cover("/run");
my $code = pack "H*", $filter;
my $program = pack "Sx![Q]P", length($code) / 8, $code;
check(syscall($prctl + 0, 38, 1, 0, 0, 0), "no new privileges");
check(syscall($prctl + 0, 22, 2, $program), "filter");
exec @ARGV or die "cannot share directories: $ARGV[0]: $!\n";
`;

/** The programs that it takes, as absolute paths. */
export interface JailPrograms {
  /** Of util-linux: that of busybox cannot choose users. */
  readonly unshare: string;
  readonly perl: string;
}

/** The directory of one that has no name in what the guest mounts. */
const NAMELESS = 'directory';

/**
 * The command that serves directories from inside of such a place.
 *
 * @param root an absolute path that is covered there by what is served: it is neither in the way of a directory, nor to
 * be seen.
 * @param command that serves, given the directory that the guest is to mount.
 */
export function jailedCommand(
  programs: JailPrograms,
  { root, hostArch, directories }: JailPlan,
  command: (served: string) => readonly string[],
): string[] {
  const calls = CALLS[hostArch];
  const isOne = directories.every(({ name }) => name === undefined);
  return [
    programs.unshare,
    '--user',
    '--map-root-user',
    '--mount',
    '--net',
    '--',
    programs.perl,
    '-e',
    SCRIPT,
    String(calls.mount),
    String(calls.prctl),
    pretendingFilter(hostArch).toString('hex'),
    root,
    String(directories.length),
    ...directories.flatMap(({ name, readOnly, path }) => [name ?? NAMELESS, readOnly ? 'ro' : 'rw', path]),
    programs.unshare,
    '--user',
    `--map-user=${GUEST_OWNER}`,
    `--map-group=${GUEST_OWNER}`,
    '--keep-caps',
    '--',
    ...command(isOne ? `${root}/${NAMELESS}` : root),
  ];
}

export interface JailPlan {
  readonly root: string;
  readonly hostArch: Arch;
  readonly directories: readonly SharedDirectory[];
}

/** Instructions of the kernel's filters (seccomp(2), `linux/bpf_common.h`). */
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
/** With error number 0, which is success. */
const PRETEND = 0x00050000;

/** Answers what would change users or owners with success, and lets all else pass. */
function pretendingFilter(hostArch: Arch): Buffer {
  const { audit, pretended } = CALLS[hostArch];
  const count = pretended.length;
  return Buffer.concat([
    instruction(LOAD, 0, 0, 4),
    instruction(JUMP_IF_EQUAL, 0, count + 1, audit),
    instruction(LOAD, 0, 0, 0),
    ...pretended.map((call, at) => instruction(JUMP_IF_EQUAL, count - at, 0, call)),
    instruction(RETURN, 0, 0, ALLOW),
    instruction(RETURN, 0, 0, PRETEND),
  ]);
}

function instruction(code: number, ifTrue: number, ifFalse: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(ifTrue, 2);
  bytes.writeUInt8(ifFalse, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}
