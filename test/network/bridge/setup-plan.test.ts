import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/network/bridge/network-record.ts';
import { serviceScript } from '../../../src/network/bridge/service.ts';
import { removalSteps, type SetupFacts, setupSteps, type Step } from '../../../src/network/bridge/setup-plan.ts';

const RECORD: NetworkRecord = {
  version: 1,
  bridge: 'tartlet0',
  hostAddress: '192.168.64.1',
  network: '192.168.64.0/24',
  startedBy: 'systemd',
  before: {
    bridgeConf: 'missing',
    madeDirectories: ['/var/lib/tartlet', '/etc/qemu', '/etc/tartlet'],
    helper: { path: '/usr/lib/qemu/qemu-bridge-helper', mode: '0755', isRegistered: true },
    forwarded: false,
  },
};
const FACTS: SetupFacts = {
  bridge: 'tartlet0',
  subnet: '192.168.64',
  mac: '02:68:7f:84:ad:6d',
  ip: '/usr/sbin/ip',
  dnsmasq: '/usr/sbin/dnsmasq',
  firewall: { kind: 'iptables', program: '/usr/sbin/iptables' },
  systemctl: '/usr/bin/systemctl',
  statOverride: '/usr/bin/dpkg-statoverride',
  isHelperRegistered: false,
};
/** Of another distribution, as root left it, in a container. */
const PLAIN: NetworkRecord = {
  ...RECORD,
  startedBy: 'administrator',
  before: { bridgeConf: 'with', madeDirectories: [], forwarded: true },
};

function short(step: Step): string {
  switch (step.kind) {
    case 'write':
      return `write ${step.file} ${step.mode.toString(8)}`;
    case 'run':
      return `${step.mayFail ? 'try' : 'run'} ${step.argv.join(' ')}`;
    case 'remove-directory':
      return `${step.kind} ${step.directory}`;
    case 'remove-line':
      return `${step.kind} ${step.file}: ${step.line}${step.withFile ? ', and the file' : ''}`;
    case 'add-line':
      return `${step.kind} ${step.file}: ${step.line}`;
    case 'remove-file':
      return `${step.kind} ${step.file}`;
  }
}

describe('the plan of a network', () => {
  it('writes first how things were, and starts the service last', () => {
    expect(setupSteps(RECORD, FACTS).map(short)).toEqual([
      'run /bin/mkdir -p -m 0755 /etc/tartlet /etc/qemu /var/lib/tartlet',
      'write /etc/tartlet/network.json 644',
      'write /usr/local/libexec/tartlet-network 755',
      'add-line /etc/qemu/bridge.conf: allow tartlet0',
      'run /usr/bin/dpkg-statoverride --add root root 4755 /usr/lib/qemu/qemu-bridge-helper',
      'run /bin/chmod 4755 /usr/lib/qemu/qemu-bridge-helper',
      'write /etc/systemd/system/tartlet-network.service 644',
      'run /usr/bin/systemctl daemon-reload',
      'run /usr/bin/systemctl enable tartlet-network.service',
      'run /usr/bin/systemctl restart tartlet-network.service',
    ]);
  });

  it('undoes all of it, the record last', () => {
    expect(removalSteps(RECORD, { ...FACTS, isForwardingNeeded: false }).map(short)).toEqual([
      'try /usr/bin/systemctl disable --now tartlet-network.service',
      'try /usr/local/libexec/tartlet-network stop',
      'remove-file /etc/systemd/system/tartlet-network.service',
      'try /usr/bin/systemctl daemon-reload',
      'remove-file /usr/local/libexec/tartlet-network',
      'remove-file /run/tartlet-network.pid',
      'remove-file /var/lib/tartlet/network.leases',
      'remove-line /etc/qemu/bridge.conf: allow tartlet0, and the file',
      'try /usr/bin/dpkg-statoverride --remove /usr/lib/qemu/qemu-bridge-helper',
      'try /bin/chmod 0755 /usr/lib/qemu/qemu-bridge-helper',
      'try /bin/sh -c echo 0 >/proc/sys/net/ipv4/ip_forward',
      'remove-file /etc/tartlet/network.json',
      'remove-directory /var/lib/tartlet',
      'remove-directory /etc/qemu',
      'remove-directory /etc/tartlet',
    ]);
  });

  it('leaves alone what was so before', () => {
    const container = { ...FACTS, systemctl: undefined, statOverride: undefined };
    expect(setupSteps(PLAIN, container).map(short)).toEqual([
      'write /etc/tartlet/network.json 644',
      'write /usr/local/libexec/tartlet-network 755',
      'add-line /etc/qemu/bridge.conf: allow tartlet0',
    ]);
    expect(removalSteps(PLAIN, { ...container, isForwardingNeeded: false }).map(short)).toEqual([
      'try /usr/local/libexec/tartlet-network stop',
      'remove-file /usr/local/libexec/tartlet-network',
      'remove-file /run/tartlet-network.pid',
      'remove-file /var/lib/tartlet/network.leases',
      'remove-file /etc/tartlet/network.json',
    ]);
  });

  it("does not stop passing packets on while other bridges' guests need it", () => {
    const steps = removalSteps(RECORD, { ...FACTS, isForwardingNeeded: true }).map(short);
    expect(steps.filter((step) => step.includes('ip_forward'))).toEqual([]);
  });
});

it.each(['iptables', 'nft'] as const)('the script with %s is one of any shell, and knows its words', (kind) => {
  const script = serviceScript({ ...FACTS, firewall: { kind, program: `/usr/sbin/${kind}` } });
  execFileSync('sh', ['-n'], { input: script });
  expect(script).toContain('192.168.64.0/24');
  expect(script).toContain(kind === 'nft' ? 'masquerade' : '-j MASQUERADE');
  expect(() => execFileSync('sh', ['-s', 'walk'], { input: script, stdio: 'pipe' })).toThrow(/usage: sh run\|stop/);
});
