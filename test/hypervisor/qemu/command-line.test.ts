import { describe, expect, it } from 'vitest';
import { DEFAULT_DISK_OPTIONS, type Machine } from '../../../src/hypervisor/machine.ts';
import { qemuArguments, type QemuHost, type StartFacts } from '../../../src/hypervisor/qemu/command-line.ts';

const MACHINE: Machine = {
  name: 'ci',
  directory: '/home/.tart/vms/ci',
  arch: 'amd64',
  cpuCount: 2,
  memoryBytes: 4096 * 1024 * 1024,
  mac: '52:55:0a:00:02:01',
  display: { width: 1024, height: 768 },
  disks: [{ kind: 'file', path: 'disk.img', ...DEFAULT_DISK_OPTIONS }],
  shares: [],
  network: {
    kind: 'user',
    isolated: false,
    forwards: [{ protocol: 'tcp', hostAddress: '127.64.1.2', hostPort: 22, guestPort: 22 }],
  },
  console: { kind: 'none' },
  screens: [],
  clipboard: true,
  sound: undefined,
  keyboard: true,
  pointer: true,
  nested: false,
  vsock: undefined,
  generation: '00000000-0000-4000-8000-000000000001',
};
const HOST: QemuHost = {
  program: '/usr/bin/qemu-system-x86_64',
  version: 'QEMU emulator version 7.2.22',
  firmware: { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', storeTemplate: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  bridgeHelper: '/usr/lib/qemu/qemu-bridge-helper',
  dieWithUs: '/usr/bin/setpriv',
};
const START: StartFacts = {
  accelerator: 'tcg',
  store: 'nvram.bin',
  sockets: { monitor: 'qmp.sock', requests: 'requests.sock', agent: 'qga.sock' },
  log: 'serial.log',
  isResumed: false,
};

/** The values of an option, in order. */
function valuesOf(argv: readonly string[], option: string): string[] {
  return argv.filter((_, at) => argv[at - 1] === option);
}

describe('arguments for QEMU', () => {
  it('a plain machine', () => {
    expect(qemuArguments(MACHINE, HOST, START)).toEqual([
      '-nodefaults',
      '-no-user-config',
      '-name',
      'guest=ci',
      '-machine',
      'pc-q35-7.2,accel=tcg',
      '-cpu',
      'Nehalem',
      '-device',
      'vmgenid,guid=00000000-0000-4000-8000-000000000001',
      '-smp',
      '2,sockets=1,cores=2',
      '-m',
      '4096M',
      '-rtc',
      'base=utc,clock=host,driftfix=slew',
      '-drive',
      'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd',
      '-drive',
      'if=pflash,unit=1,format=raw,file=nvram.bin',
      '-device',
      'virtio-rng-pci',
      '-device',
      'virtio-balloon-pci,free-page-reporting=on',
      '-device',
      'pvpanic-pci',
      '-blockdev',
      '{"driver":"raw","node-name":"disk0","detect-zeroes":"unmap","read-only":false,"cache":{"direct":false,"no-flush":false},' +
        '"discard":"unmap","file":{"driver":"file","filename":"disk.img","locking":"on","read-only":false,' +
        '"cache":{"direct":false,"no-flush":false},"discard":"unmap"}}',
      '-device',
      'virtio-blk-pci,drive=disk0,id=disk0-device,rerror=stop,werror=stop,bootindex=0',
      '-netdev',
      '{"type":"user","hostfwd":[{"str":"tcp:127.64.1.2:22-:22"}],"id":"net0"}',
      '-device',
      '{"driver":"pcie-root-port","id":"net0-port","chassis":1}',
      '-device',
      '{"driver":"virtio-net-pci","netdev":"net0","id":"net0-card","bus":"net0-port","mac":"52:55:0a:00:02:01"}',
      '-device',
      'virtio-serial-pci,id=ports',
      '-chardev',
      'socket,id=agent,path=qga.sock,server=on,wait=off',
      '-device',
      'virtserialport,bus=ports.0,chardev=agent,name=org.qemu.guest_agent.0',
      '-chardev',
      'null,id=tart-version',
      '-device',
      'virtserialport,bus=ports.0,chardev=tart-version,name=tart-version-2.35.0',
      '-chardev',
      'null,id=clipboard',
      '-device',
      'virtserialport,bus=ports.0,chardev=clipboard,name=com.redhat.spice.0',
      '-chardev',
      'file,id=log,path=serial.log,append=on',
      '-serial',
      'chardev:log',
      '-device',
      'virtio-vga,xres=1024,yres=768',
      '-device',
      'qemu-xhci,id=usb',
      '-device',
      'usb-kbd,bus=usb.0',
      '-device',
      'usb-tablet,bus=usb.0',
      '-display',
      'none',
      '-qmp',
      'unix:qmp.sock,server=on,wait=off',
      '-qmp',
      'unix:requests.sock,server=on,wait=off',
      '-sandbox',
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ]);
  });

  it('arm64 by KVM, which has no generation id', () => {
    const argv = qemuArguments({ ...MACHINE, arch: 'arm64' }, HOST, { ...START, accelerator: 'kvm' });
    expect(valuesOf(argv, '-machine')).toEqual(['virt-7.2,accel=kvm,gic-version=max']);
    expect(valuesOf(argv, '-cpu')).toEqual(['host']);
    expect(valuesOf(argv, '-device')).toContain('virtio-gpu-pci,xres=1024,yres=768');
    expect(argv.join(' ')).not.toContain('vmgenid');
  });

  it.each([
    [{ sync: 'none' } as const, '"no-flush":true'],
    [{ caching: 'uncached' } as const, '"direct":true'],
    [{ readOnly: true } as const, '"detect-zeroes":"off","read-only":true'],
  ])('the root disk with %j', (options, text) => {
    const disks = [{ kind: 'file', path: 'disk.img', ...DEFAULT_DISK_OPTIONS, ...options }] as const;
    expect(valuesOf(qemuArguments({ ...MACHINE, disks }, HOST, START), '-blockdev')[0]).toContain(text);
  });

  it('more disks come behind, block devices and NBD among them', () => {
    const [root] = MACHINE.disks;
    const disks = [
      root,
      { kind: 'block-device', path: '/dev/sdb', ...DEFAULT_DISK_OPTIONS },
      { kind: 'nbd', url: new URL('nbd://build.example:10810/export'), ...DEFAULT_DISK_OPTIONS },
      { kind: 'nbd', url: new URL('nbd+unix:///export?socket=/run/nbd'), ...DEFAULT_DISK_OPTIONS },
      { kind: 'nbd', url: new URL('nbd://[::1]/'), ...DEFAULT_DISK_OPTIONS },
    ] as const;
    const nodes = valuesOf(qemuArguments({ ...MACHINE, disks }, HOST, START), '-blockdev');
    expect(nodes).toHaveLength(5);
    expect(nodes[1]).toContain('"driver":"host_device","filename":"/dev/sdb"');
    expect(nodes[2]).toContain(
      '"reconnect-delay":30,"server":{"type":"inet","host":"build.example","port":"10810"},"export":"export"',
    );
    expect(nodes[3]).toContain('"server":{"type":"unix","path":"/run/nbd"},"export":"export"');
    expect(nodes[4]).toContain('"server":{"type":"inet","host":"::1","port":"10809"}');
  });

  it('two bridges are two cards with one address, and the helper is given its rights', () => {
    const argv = qemuArguments({ ...MACHINE, network: { kind: 'bridged', bridges: ['br0', 'br1'] } }, HOST, START);
    expect(valuesOf(argv, '-netdev')).toEqual([
      '{"type":"bridge","br":"br0","helper":"/usr/lib/qemu/qemu-bridge-helper","id":"net0"}',
      '{"type":"bridge","br":"br1","helper":"/usr/lib/qemu/qemu-bridge-helper","id":"net1"}',
    ]);
    // A seccomp filter takes away what its setuid bit gives the helper.
    expect(argv).not.toContain('-sandbox');
  });

  it('a guest that reaches this host only', () => {
    const network = { kind: 'user', isolated: true, forwards: [] } as const;
    expect(valuesOf(qemuArguments({ ...MACHINE, network }, HOST, START), '-netdev')).toEqual([
      '{"type":"user","restrict":true,"hostfwd":[],"id":"net0"}',
    ]);
  });

  it('a terminal as console, VNC, and no keyboard', () => {
    const argv = qemuArguments(
      { ...MACHINE, console: { kind: 'pty' }, screens: [{ kind: 'vnc', password: 'secret' }], keyboard: false },
      HOST,
      START,
    );
    expect(valuesOf(argv, '-chardev')).toContain('pty,id=console');
    expect(valuesOf(argv, '-vnc')).toEqual(['127.0.0.1:0,to=99,password=on']);
    expect(argv.join(' ')).not.toContain('usb-kbd');
    expect(argv.join(' ')).not.toContain('secret');
  });

  it("a device of this machine and a packet size, as Vetu's command line asks for them", () => {
    const argv = qemuArguments(
      { ...MACHINE, mtu: 1450, hostDevices: ['/sys/bus/pci/devices/0000:01:00.0'] },
      HOST,
      START,
    );
    expect(valuesOf(argv, '-device')).toContain(
      '{"driver":"virtio-net-pci","netdev":"net0","id":"net0-card","bus":"net0-port","mac":"52:55:0a:00:02:01","host_mtu":1450}',
    );
    expect(valuesOf(argv, '-device')).toContain('vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0');
  });

  it.each([
    [false, 'gtk'],
    [true, 'gtk,grab-on-hover=on'],
  ])('a window, which starts helpers of its own, beside VNC (it grabs keys: %s)', (grabsKeys, display) => {
    const screens = [{ kind: 'window', grabsKeys } as const, { kind: 'vnc', password: 'secret' } as const];
    const argv = qemuArguments({ ...MACHINE, screens }, HOST, START);
    expect(valuesOf(argv, '-display')).toEqual([display]);
    expect(valuesOf(argv, '-vnc')).toEqual(['127.0.0.1:0,to=99,password=on']);
    expect(valuesOf(argv, '-sandbox')).toEqual([
      'on,obsolete=deny,elevateprivileges=deny,spawn=allow,resourcecontrol=deny',
    ]);
  });

  it('neither pointer nor keyboard, and sound', () => {
    const argv = qemuArguments({ ...MACHINE, keyboard: false, pointer: false, sound: 'pa' }, HOST, START);
    expect(argv.join(' ')).not.toContain('usb');
    expect(valuesOf(argv, '-audiodev')).toEqual(['pa,id=sound']);
    expect(valuesOf(argv, '-device').slice(-2)).toEqual(['ich9-intel-hda', 'hda-output,audiodev=sound']);
  });

  it('commas of names and paths are no separators', () => {
    const argv = qemuArguments({ ...MACHINE, name: 'a,b' }, HOST, { ...START, store: 'x,y', isResumed: true });
    expect(valuesOf(argv, '-name')).toEqual(['guest=a,,b']);
    expect(valuesOf(argv, '-drive')[1]).toBe('if=pflash,unit=1,format=raw,file=x,,y');
    expect(valuesOf(argv, '-incoming')).toEqual(['defer']);
  });

  it('directories that are shared, in memory that their servers see', () => {
    const directories = [{ name: undefined, path: '/src', readOnly: false }];
    const argv = qemuArguments(
      {
        ...MACHINE,
        shares: [
          { tag: 'one', directories },
          { tag: 'a,b', directories },
        ],
      },
      HOST,
      START,
    );
    expect(valuesOf(argv, '-machine')).toEqual(['pc-q35-7.2,accel=tcg,memory-backend=memory']);
    expect(valuesOf(argv, '-object')).toEqual(['memory-backend-memfd,id=memory,size=4096M,share=on']);
    expect(valuesOf(argv, '-chardev')).toEqual(
      expect.arrayContaining(['socket,id=share0,path=share0.sock', 'socket,id=share1,path=share1.sock']),
    );
    expect(valuesOf(argv, '-device')).toEqual(
      expect.arrayContaining(['vhost-user-fs-pci,chardev=share0,tag=one', 'vhost-user-fs-pci,chardev=share1,tag=a,,b']),
    );
  });
});
