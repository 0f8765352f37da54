import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { ownNetwork } from '../support/own-network.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, type Ran, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const PARTS = ['unshare', 'dnsmasq', 'ip', 'iptables', 'qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'] as const;
const LONG_MS = 400_000;
/** A user who is not root, and has no name. */
const USER = '12345';

/** What a network changes, except for sizes of directories, which file systems choose. */
const SNAPSHOT = `find /etc /usr/local /usr/lib/qemu /var/lib/tartlet /run /sys/class/net -path /run/systemctl.log -prune -o \
  -type d -printf '%p %m %u\\n' -o -printf '%p %m %s %u\\n' 2>/dev/null | sort
cat /etc/qemu/bridge.conf /var/lib/dpkg/statoverride /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null
iptables-save -t nat | grep -v '^#'; iptables-save -t filter | grep -v '^#'`;

describeWithParts(
  'a network that is set up for VMs',
  ['unshare', 'dnsmasq', 'ip', 'iptables', 'qemu-system-x86_64'],
  () => {
    const cleanup = new Cleanup();
    let workplace: Workplace;
    let inside: readonly string[];

    beforeAll(async () => {
      workplace = new Workplace(cleanup);
      inside = await ownNetwork(cleanup);
      // Rules that begin to exist with the first look.
      await shell('iptables-save >/dev/null');
    }, LONG_MS);
    afterAll(async () => cleanup.run());

    async function shell(script: string): Promise<Ran> {
      return workplace.shell(script, inside);
    }

    it('is shown before it is made', async () => {
      const before = (await shell(SNAPSHOT)).stdout;
      const { exitCode, stdout } = await shell('$TARTLET network setup --dry-run');
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/^write \/usr\/local\/libexec\/tartlet-network \(755\):\n {4}#!\/bin\/sh\n/m);
      expect(stdout).toContain('\nadd to /etc/qemu/bridge.conf: allow tartlet0\n');
      expect((await shell(SNAPSHOT)).stdout).toBe(before);
    });

    it('is not for other users than root, whom everyone may ask how it is', async () => {
      const asUser = `setpriv --reuid ${USER} --regid ${USER} --clear-groups $TARTLET network`;
      expect(await shell(`${asUser} setup`)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/^error\[HOST_LACKS\]: only root may change the network of this machine\.\n/),
      });
      expect(await shell(`${asUser} status`)).toEqual({
        exitCode: 1,
        stdout: 'No network is set up: VMs are reached by addresses of this machine.\n',
        stderr: '',
      });
    });

    it.each([
      ['--bridge', 'a/b', /"a\/b" cannot be the name of a bridge/],
      ['--bridge', 'lo', /there is something else with the name lo/],
      ['--subnet', '8.8.8.0/24', /"8\.8\.8\.0\/24" is no private network of 256 addresses/],
      ['--subnet', '192.168.64.0/16', /is no private network/],
    ])('is refused with %s %s', async (option, value, reason) => {
      expect(await shell(`$TARTLET network setup ${option} ${value}`)).toMatchObject({
        exitCode: 64,
        stderr: expect.stringMatching(reason),
      });
    });

    it('takes a network that is free, is the same when it is set up twice, and leaves all as it was before', async () => {
      await shell(`ip link add v0 type veth peer name v1 && ip address add 192.168.65.7/18 dev v0 && ip link set v0 up
      mkdir -p /etc/qemu && printf 'allow br7\\nallow br8' >/etc/qemu/bridge.conf`);
      const before = (await shell(SNAPSHOT)).stdout;
      const first = await shell('umask 077; $TARTLET network setup');
      expect(first).toMatchObject({
        exitCode: 0,
        stdout: `VMs are on 172.29.0.0/24, on the bridge tartlet0; this machine is 172.29.0.1 there.
There is no systemd here: let "/usr/local/libexec/tartlet-network run" be started with the system, as root; it stays in the foreground.
`,
      });
      const once = (await shell(SNAPSHOT)).stdout;
      expect(await shell('$TARTLET network setup')).toEqual(first);
      expect((await shell(SNAPSHOT)).stdout).toBe(once);
      expect(once).toContain('/etc/tartlet/network.json 644 ');
      expect(once).toContain('/usr/local/libexec/tartlet-network 755 ');
      expect(once).toMatch(/qemu-bridge-helper 4755 /);
      expect((await shell('cat /etc/qemu/bridge.conf')).stdout).toBe('allow br7\nallow br8\nallow tartlet0\n');
      expect(await shell('$TARTLET network setup --subnet 10.1.2.0/24')).toMatchObject({ exitCode: 64 });
      expect(await shell('$TARTLET run ci')).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/the network that was set up, tartlet0, does not run[\s\S]*TARTLET_NETWORK=user/),
      });
      expect(await shell('$TARTLET network remove')).toEqual({
        exitCode: 0,
        stdout: 'The network 172.29.0.0/24 and the bridge tartlet0 are gone; all else is as it was before.\n',
        stderr: '',
      });
      // The last line has its end now, as all others.
      expect((await shell(SNAPSHOT)).stdout).toBe(
        before.replace('bridge.conf 644 19 ', 'bridge.conf 644 20 ').replace('allow br8', 'allow br8\n'),
      );
      await shell('rm -r /etc/qemu; ip link delete v0');
    });

    it('is a service of systemd where that runs the system', async () => {
      await shell(`mkdir -p /run/systemd/system && cat >/run/fake <<'END'
#!/bin/sh
echo "$@" >>/run/systemctl.log
case "$*" in
restart*) /usr/local/libexec/tartlet-network run </dev/null >/dev/null 2>&1 & ;;
disable*) /usr/local/libexec/tartlet-network stop ;;
esac
END
      chmod 755 /run/fake; there=$(command -v systemctl || echo /usr/local/bin/systemctl); touch $there; mount --bind /run/fake $there`);
      const before = (await shell(SNAPSHOT)).stdout;
      expect(await shell('$TARTLET network setup --bridge vms')).toMatchObject({
        exitCode: 0,
        stdout: 'VMs are on 192.168.64.0/24, on the bridge vms; this machine is 192.168.64.1 there.\n',
      });
      expect(await shell('$TARTLET network status')).toEqual({
        exitCode: 0,
        stdout: `network     192.168.64.0/24, this machine is 192.168.64.1
bridge      vms, 0 connected
addresses   given by dnsmasq, 0 now
to outside  passed on
`,
        stderr: '',
      });
      expect((await shell('cat /etc/systemd/system/tartlet-network.service')).stdout).toContain(
        '\nExecStart=/usr/local/libexec/tartlet-network run\n',
      );
      expect(await shell('$TARTLET network remove')).toMatchObject({ exitCode: 0 });
      expect((await shell('cat /run/systemctl.log')).stdout).toBe(`daemon-reload
enable tartlet-network.service
restart tartlet-network.service
disable --now tartlet-network.service
daemon-reload
`);
      expect((await shell(SNAPSHOT)).stdout).toBe(before);
      await shell('umount "$(command -v systemctl)"; rm -rf /run/systemd /usr/local/bin/systemctl');
    });

    it('says what to install where a program is missing', async () => {
      const { exitCode, stderr } = await shell('mv /usr/sbin/dnsmasq /run/; $TARTLET network setup');
      await shell('mv /run/dnsmasq /usr/sbin/');
      expect({ exitCode, stderr }).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/programs that are not installed: dnsmasq\.\n\s*next: install dnsmasq-base, /),
      });
    });
  },
);

describeWithParts('a guest on the network that was set up', PARTS, () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let inside: readonly string[];
  let run: Running;

  const root = async (script: string): Promise<Ran> => workplace.shell(script, inside);
  /** As a user who is not root: QEMU's helper has to have rights of its own. */
  const asUser = ['setpriv', '--reuid', USER, '--regid', USER, '--clear-groups'];
  const start = (...words: readonly string[]): Running => {
    const [program = '', ...rest] = [...inside, ...asUser, process.execPath, COMMAND, ...words];
    return new Running(program, rest, workplace.environment);
  };
  const user = async (...words: readonly string[]): Promise<Ran> => start(...words).ended;
  const inGuest = async (script: string): Promise<Ran> => user('exec', 'ci', 'sh', '-c', script);

  beforeAll(async () => {
    workplace = new Workplace(cleanup);
    plantGuest(workplace.vmDirectory('ci'));
    execFileSync('chown', ['-R', `${USER}:${USER}`, workplace.directory]);
    inside = await ownNetwork(cleanup);
    await root('$TARTLET network setup; /usr/local/libexec/tartlet-network run </dev/null >/dev/null 2>&1 &');
    while ((await root('$TARTLET network status')).exitCode !== 0) await delay(50);
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  it(
    'M14: has an address that is told when the guest answers, also to a command that asked before it was started',
    async () => {
      const waiting = start('ip', 'ci', '--wait', '300');
      run = start('run', 'ci');
      const found = await waiting.ended;
      expect(found, run.stderr).toMatchObject({ exitCode: 0, stderr: '' });
      expect(found.stdout).toMatch(/^192\.168\.64\.\d{1,3}\n$/);
    },
    LONG_MS,
  );

  it('M1: is on that network without any option', async () => {
    expect(readFileSync(`${workplace.vmDirectory('ci')}/run.json`, 'utf8')).toContain('"kind":"bridged"');
    expect((await root('$TARTLET network status --format json')).stdout).toContain('"Guests": 1,\n  "Leases": 1\n');
  });

  it('M15: has one address by each resolver, the one that it has itself, and nothing is said besides', async () => {
    const { stdout } = await inGuest("ifconfig eth0 | sed -n 's/.*inet addr:\\([0-9.]*\\).*/\\1/p'");
    for (const resolver of ['dhcp', 'arp', 'agent']) {
      expect(await user('ip', 'ci', '--resolver', resolver)).toEqual({ exitCode: 0, stdout, stderr: '' });
    }
  });

  it('M16: is reached at any of its ports, by an address that it has alone', async () => {
    const address = (await user('ip', 'ci')).stdout.trim();
    await inGuest('echo reached | nc -l -p 7777 >/dev/null 2>&1 &');
    const greeting = await root(`for i in 1 2 3 4 5 6 7 8 9; do
      { exec 3<>/dev/tcp/${address}/7777; } 2>/dev/null && { cat <&3; exit; }; sleep 0.2; done; exit 1`);
    expect(greeting).toMatchObject({ exitCode: 0, stdout: 'reached\n' });
    const ssh = await root(`exec 3<>/dev/tcp/${address}/22; head -c 4 <&3`);
    expect(ssh.stdout).toBe('SSH-');
  });

  it(
    'M17: finds the host at the first address of its network, and asks it for names',
    async () => {
      expect((await inGuest('route -n | grep ^0.0.0.0')).stdout).toMatch(/^0\.0\.0\.0 +192\.168\.64\.1 /);
      expect((await inGuest('cat /etc/resolv.conf')).stdout).toBe('nameserver 192.168.64.1\n');
      const server = root(`${process.execPath} -e "
      require('node:http').createServer((_, answer) => answer.end('from the host', () => process.exit())).listen(8099, '192.168.64.1');
      setTimeout(() => process.exit(), 10000)"`);
      let fetched = await inGuest('wget -q -O - http://192.168.64.1:8099/');
      for (let at = 0; at < 20 && fetched.exitCode !== 0; at += 1) {
        fetched = await inGuest('wget -q -O - http://192.168.64.1:8099/');
      }
      expect(fetched.stdout).toBe('from the host');
      await server;
    },
    LONG_MS,
  );

  it(
    'reaches other networks through this machine',
    async () => {
      // Another machine: a network namespace that knows the way to this machine alone, and not to its guests.
      await root(`unshare --net sleep 60 </dev/null >/dev/null 2>&1 &
      until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
      ip link add out type veth peer name eth0 netns $!
      ip address add 198.51.100.1/24 dev out; ip link set out up
      nsenter --target $! --net ip address add 198.51.100.2/24 dev eth0
      nsenter --target $! --net ip link set eth0 up`);
      expect(await inGuest('ping -c 1 -W 5 198.51.100.2')).toMatchObject({ exitCode: 0 });
    },
    LONG_MS,
  );

  it('leaves IPv6 as it is: guest and host reach each other by their own addresses, and nothing is passed on', async () => {
    const { stdout } = await root(`cat /proc/sys/net/ipv6/conf/all/forwarding
      ip -6 address show dev tartlet0 scope link | sed -n 's/.*inet6 \\(fe80[^/]*\\).*/\\1/p'`);
    const [forwarding, host = ''] = stdout.split('\n');
    expect(forwarding).toBe('0');
    expect(host).toMatch(/^fe80::/);
    expect(await inGuest(`ping6 -c 1 -W 5 ${host}%eth0`)).toMatchObject({ exitCode: 0 });
  });

  it(
    'keeps the network from being taken away, and not from being started again',
    async () => {
      expect(await root('$TARTLET network remove')).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/^error\[BUSY\]: 1 guest is connected to tartlet0/),
      });
      await root(`/usr/local/libexec/tartlet-network stop
      /usr/local/libexec/tartlet-network run </dev/null >/dev/null 2>&1 &`);
      while ((await root('$TARTLET network status')).exitCode !== 0) await delay(50);
      expect(await user('ip', 'ci', '--wait', '20')).toMatchObject({ exitCode: 0, stderr: '' });
    },
    LONG_MS,
  );

  it(
    'is not told by the address of its last run before it answers in this one',
    async () => {
      expect(await user('stop', 'ci')).toMatchObject({ exitCode: 0 });
      expect(await run.ended).toMatchObject({ exitCode: 0 });
      const leases = await root('cat /var/lib/tartlet/network.leases');
      expect(leases.stdout).toContain('192.168.64.');
      expect(await user('ip', 'ci')).toMatchObject({ exitCode: 1, stdout: '' });
      run = start('run', 'ci');
      while (!(await user('list')).stdout.includes('running')) await delay(50);
      expect(await user('ip', 'ci')).toMatchObject({
        exitCode: 1,
        stdout: '',
        stderr: expect.stringMatching(/does not answer yet/),
      });
      await user('stop', 'ci', '--timeout', '2');
      await run.ended;
    },
    LONG_MS,
  );

  it(
    'is not there in user mode, which is chosen by an option, a variable, or by publishing a port',
    async () => {
      for (const words of [['--net-user'], ['--publish', '0:80']]) {
        run = start('run', 'ci', ...words);
        while (!(await user('list')).stdout.includes('running')) await delay(50);
        expect((await root('$TARTLET network status --format json')).stdout).toContain('"Guests": 0');
        expect(readFileSync(`${workplace.vmDirectory('ci')}/run.json`, 'utf8')).toContain('"kind":"user"');
        await user('stop', 'ci', '--timeout', '2');
        await run.ended;
      }
      expect(run.stdout).toMatch(/^Published 127\.0\.0\.1:\d+ -> 80\/tcp\n/);
    },
    LONG_MS,
  );
});
