import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { HOST_FINDINGS } from '../../src/host/host-finding-kind.ts';
import { checkHost, type HostCheck } from '../../src/host/check-host.ts';
import { parseDistribution } from '../../src/host/distribution.ts';
import { Home } from '../../src/home/home.ts';
import { Session } from '../../src/session/session.ts';
import { hintText } from '../../src/cli/render/hint/text.ts';
import { type hostJson, isHostClean } from '../../src/cli/render/host-report.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

/** A machine that has nothing but what is written below `root` and in its `PATH`. */
async function checkFake(
  release: string,
  {
    programs = {},
    platform = 'linux',
  }: { programs?: Readonly<Record<string, string>>; platform?: NodeJS.Platform } = {},
): Promise<readonly HostCheck[]> {
  const root = cleanup.directory();
  for (const name of ['etc', 'bin', 'home']) mkdirSync(`${root}/${name}`);
  writeFileSync(`${root}/etc/os-release`, release);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(`${root}/bin/${name}`, `#!/bin/sh\n${script}\n`);
    chmodSync(`${root}/bin/${name}`, 0o755);
  }
  const environment = { PATH: `${root}/bin`, TART_HOME: `${root}/home` };
  const home = Home.locate({ environment, userDirectory: root, workingDirectory: root });
  const session = new Session({ home, environment, platform });
  return checkHost(session, { arch: 'amd64', pid: process.pid, isRoot: true, user: 'me', tart: undefined, root });
}

function nextOf(checks: readonly HostCheck[], id: string): string | undefined {
  const next = checks.find((each) => each.id === id)?.next;
  return next && hintText(next);
}

it.each([
  ['ID=debian\nVERSION_ID="12"\n', 'sudo apt install qemu-system-x86 ovmf', 'sudo apt install dnsmasq-base'],
  ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'sudo apt install qemu-system-x86 ovmf', 'sudo apt install dnsmasq-base'],
  ['ID="fedora"\n', 'sudo dnf install qemu-system-x86-core edk2-ovmf', 'sudo dnf install dnsmasq'],
  ['ID=arch\n', 'sudo pacman -S qemu-base edk2-ovmf', 'sudo pacman -S dnsmasq'],
  ['ID=alpine\n', 'doas apk add qemu-system-x86_64 ovmf', 'doas apk add dnsmasq'],
])('a machine with nothing is told what to install, each by one command (%j)', async (release, qemu, dnsmasq) => {
  const checks = await checkFake(release);
  expect(checks.find(({ id }) => id === 'qemu')).toMatchObject({
    severity: 'damage',
    message: 'this machine cannot run amd64 guests: qemu-system-x86_64 is not installed',
  });
  expect(nextOf(checks, 'qemu')).toBe(qemu);
  expect(nextOf(checks, 'dnsmasq')).toBe(dnsmasq);
  for (const id of ['qemu-foreign', 'dies-with-run', 'virtiofsd', 'bridge', 'openssh', 'vsock'])
    expect({ id, check: checks.find((each) => each.id === id) }).toMatchObject({ check: { severity: 'note' } });
  expect(isHostClean(checks)).toBe(false);
});

it('a distribution that we do not know is told the commands of all', async () => {
  const checks = await checkFake('ID=plan9\n');
  expect(nextOf(checks, 'openssh')).toBe(
    'sudo apt install openssh-client (Debian), sudo dnf install openssh-clients (Fedora), sudo pacman -S openssh (Arch) or ' +
      'doas apk add openssh-client (Alpine)',
  );
});

it('programs are found in PATH, and a QEMU that is too old or does not start is said so', async () => {
  const programs = {
    ssh: '',
    dnsmasq: '',
    'qemu-system-x86_64': 'echo "QEMU emulator version 6.2.0 (Debian 1:6.2)"',
    'qemu-system-aarch64': 'exit 127',
  };
  const checks = await checkFake('ID=debian\n', { programs });
  expect(checks.filter(({ severity }) => severity === 'ok').map(({ id }) => id)).toEqual(
    expect.arrayContaining(['openssh', 'dnsmasq']),
  );
  const messages = checks.map(({ message }) => message).join('\n');
  expect(messages).toMatch(/QEMU 6\.2\.0 of .*qemu-system-x86_64 is older than 7\.2|no UEFI firmware for amd64/);
  expect(messages).toMatch(/qemu-system-aarch64 does not start|no UEFI firmware for arm64/);
});

it('on a Mac only Tart and room are asked for', async () => {
  const checks = await checkFake('', { platform: 'darwin' });
  expect(checks.map(({ id }) => id)).toEqual(['tart', 'space']);
  expect(checks[0]).toMatchObject({ severity: 'damage' });
  expect(nextOf(checks, 'tart')).toBe('brew install cirruslabs/cli/tart');
});

it.each([
  ['', undefined],
  ['NAME="Debian"\n', undefined],
  ["ID='rocky'\nID_LIKE='rhel centos fedora'\n", 'fedora'],
] as const)('os-release %j is of %s', (text, distribution) => {
  expect(parseDistribution(text)).toBe(distribution);
});

it.each(Object.entries(HOST_FINDINGS))('%s: a clause that fits into the table', (_id, { meaning }) => {
  expect(meaning).toMatch(/^[^|\n]+[^.|\n]$/);
});

describeWithParts('this machine', ['qemu-system-x86_64', 'ovmf'], () => {
  it('starts an empty VM, says whether KVM works, and ends as the doctor does', async () => {
    const workplace = new Workplace(cleanup);
    const ran = await workplace.run('doctor', '--host', '--format', 'json');
    const { schema, clean, checks } = JSON.parse(ran.stdout) as ReturnType<typeof hostJson> & {
      readonly schema: string;
      readonly clean: boolean;
      readonly checks: readonly HostCheck[];
    };
    expect({ schema, stderr: ran.stderr }).toEqual({ schema: 'tartlet.doctor-host/v1', stderr: '' });
    expect(ran.exitCode).toBe(clean ? 0 : 1);
    expect(checks.find(({ id }) => id === 'start')).toMatchObject({ severity: 'ok' });
    expect(checks.find(({ id }) => id === 'kvm')?.message).toMatch(/^guests (?:run on the processor|are emulated)/);
    expect((await workplace.run('doctor', '--host')).stdout).toMatch(/\nthis machine: .*ok \d+\n$/);
    expect(await workplace.run('doctor', '--host', '--fix')).toMatchObject({ exitCode: 64 });
  }, 120_000);
});
