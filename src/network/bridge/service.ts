import { LEASE_MS, OWN_LEASES } from '../host-bridges.ts';
import type { Subnet } from './subnet.ts';

/*
 * What runs the network: a script of the shell that makes the bridge and becomes dnsmasq, and a unit of systemd that
 * starts it. Nothing of Tartlet has to be there when the system starts.
 */

/** Where the script lies: where SELinux lets services start programs. */
export const SCRIPT_FILE = '/usr/local/libexec/tartlet-network';
export const UNIT = 'tartlet-network.service';
export const UNIT_FILE = `/etc/systemd/system/${UNIT}`;
/** The number of dnsmasq's process. */
export const PID_FILE = '/run/tartlet-network.pid';

/**
 * A program that filters and translates packets. iptables goes before: Docker and ufw refuse by its rules what no rule
 * of it lets pass.
 */
export interface Firewall {
  readonly kind: 'iptables' | 'nft';
  readonly program: string;
}

/** What the script needs to know, all of it checked: it becomes text of a shell. */
export interface ServiceFacts {
  readonly bridge: string;
  readonly subnet: Subnet;
  /** Of the bridge: without one of its own it would change with each guest. */
  readonly mac: string;
  /** Absolute paths. */
  readonly ip: string;
  readonly dnsmasq: string;
  readonly firewall: Firewall;
}

/**
 * The script: `run` makes the network and stays until it is ended, `stop` takes it away unless guests are connected.
 */
export function serviceScript({ bridge, subnet, mac, ip, dnsmasq, firewall }: ServiceFacts): string {
  // firewalld lets nothing in from a card that it does not know.
  const firewalld = words('firewall-cmd', '--quiet', '--state');
  const trust = words('firewall-cmd', '--quiet', '--zone=trusted', `--change-interface=${bridge}`);
  return `#!/bin/sh
# The network of Tartlet's VMs. It was written when that was set up, and goes when that is removed.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
${firewall.kind === 'iptables' ? iptablesRules(bridge, subnet, firewall.program) : nftRules(subnet, firewall.program)}
start() {
  [ -e /sys/class/net/${bridge} ] || ${ip} link add name ${bridge} type bridge
  ${ip} link set dev ${bridge} address ${mac}
  ${ip} address replace ${subnet}.1/24 dev ${bridge}
  ${ip} link set dev ${bridge} up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  clear_rules
  add_rules
  if ${firewalld} 2>/dev/null; then ${trust} || :; fi
  mkdir -p ${directoryOf(OWN_LEASES)}
}

stop() {
  pid=$(cat ${PID_FILE} 2>/dev/null || :)
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null || :)" = dnsmasq ]; then kill "$pid" || :; fi
  rm -f ${PID_FILE}
  clear_rules
  # Guests that are connected would lose their network for good.
  if [ -z "$(ls /sys/class/net/${bridge}/brif 2>/dev/null)" ]; then ${ip} link delete dev ${bridge} 2>/dev/null || :; fi
}

case "\${1:-}" in
run)
  start
  exec ${words(dnsmasq, ...dnsmasqOptions(bridge, subnet))}
  ;;
stop) stop ;;
*)
  echo "usage: $0 run|stop" >&2
  exit 64
  ;;
esac
`;
}

/** A command of a shell. */
function words(...each: readonly string[]): string {
  return each.join(' ');
}

function dnsmasqOptions(bridge: string, subnet: Subnet): string[] {
  return [
    '--keep-in-foreground',
    // Of what is on this host: neither settings nor names.
    '--conf-file=/dev/null',
    '--no-hosts',
    `--pid-file=${PID_FILE}`,
    `--interface=${bridge}`,
    '--except-interface=lo',
    '--bind-dynamic',
    `--dhcp-range=${subnet}.2,${subnet}.254,255.255.255.0,${LEASE_MS / 1000}`,
    '--dhcp-authoritative',
    // Clones tell the same id, and would get one address together.
    '--dhcp-ignore-clid',
    // Each new guest would wait three seconds for it; all addresses of this network are given here.
    '--no-ping',
    `--dhcp-leasefile=${OWN_LEASES}`,
  ];
}

function directoryOf(file: string): string {
  return file.slice(0, file.lastIndexOf('/'));
}

/**
 * Rules that go before all others, so that a policy of Docker's or ufw's does not stop the guests; taken away as often
 * as they are there.
 */
function iptablesRules(bridge: string, subnet: Subnet, program: string): string {
  const to = (protocol: string, port: number): string => words('-p', protocol, '--dport', String(port));
  return `
each_rule() {
  "$1" nat POSTROUTING -s ${subnet}.0/24 ! -d ${subnet}.0/24 -j MASQUERADE
  "$1" filter FORWARD -i ${bridge} -j ACCEPT
  "$1" filter FORWARD -o ${bridge} ${words('-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED')} -j ACCEPT
  "$1" filter INPUT -i ${bridge} ${to('udp', 53)} -j ACCEPT
  "$1" filter INPUT -i ${bridge} ${to('tcp', 53)} -j ACCEPT
  "$1" filter INPUT -i ${bridge} ${to('udp', 67)} -j ACCEPT
}
insert() { table=$1 chain=$2 && shift 2 && ${program} -w -t "$table" -I "$chain" "$@"; }
delete() { table=$1 chain=$2 && shift 2 && while ${program} -w -t "$table" -D "$chain" "$@" 2>/dev/null; do :; done; }
add_rules() { each_rule insert; }
clear_rules() { each_rule delete; }
`;
}

function nftRules(subnet: Subnet, program: string): string {
  return `
add_rules() {
  ${program} -f - <<END
table ip tartlet_network {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr ${subnet}.0/24 ip daddr != ${subnet}.0/24 masquerade
  }
}
END
}
clear_rules() { ${program} delete table ip tartlet_network 2>/dev/null || :; }
`;
}

/** The unit: after what else writes rules, and again when dnsmasq ends by an accident. */
export function serviceUnit(bridge: string): string {
  return `[Unit]
Description=Network of Tartlet's VMs (${bridge})
Wants=network-pre.target
After=network-pre.target firewalld.service ufw.service nftables.service

[Service]
Type=exec
ExecStart=${SCRIPT_FILE} run
ExecStopPost=${SCRIPT_FILE} stop
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
`;
}
