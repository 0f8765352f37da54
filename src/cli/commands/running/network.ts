import { TartletError, unreachable } from '../../../errors.ts';
import { findBridgeHelper } from '../../../hypervisor/qemu/host.ts';
import { type NetworkState, networkState } from '../../../network/bridge/host-network.ts';
import { type NetworkRecord, readNetworkRecord } from '../../../network/bridge/network-record.ts';
import { SCRIPT_FILE } from '../../../network/bridge/service.ts';
import { planNetwork, planRemoval, removeNetwork, setUpNetwork } from '../../../network/bridge/set-up.ts';
import type { Step } from '../../../network/bridge/setup-plan.ts';
import { renderJson } from '../../render/json.ts';
import { printableByLine, printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export type NetworkAction = 'setup' | 'status' | 'remove';

export interface NetworkCommandOptions {
  readonly dryRun?: true;
  readonly bridge?: string;
  readonly subnet?: string;
  readonly format: 'text' | 'json';
}

/** Sets up the network of VMs, once for a machine, tells how it is, or takes it away. */
export async function runNetwork(
  terminal: Terminal,
  action: NetworkAction,
  options: NetworkCommandOptions,
): Promise<number> {
  if (terminal.platform !== 'linux') {
    throw new TartletError('USAGE', 'only Linux has networks for VMs that are set up', {
      next: { kind: 'in-words', words: 'on a Mac the network of VMs is there already' },
    });
  }
  switch (action) {
    case 'setup':
      return setUp(terminal, options);
    case 'remove':
      return remove(terminal, options);
    case 'status':
      return status(terminal, options);
    default:
      return unreachable(action);
  }
}

async function setUp(terminal: Terminal, { dryRun, bridge, subnet }: NetworkCommandOptions): Promise<number> {
  const plan = await planNetwork({ bridge, network: subnet }, findBridgeHelper());
  if (dryRun === true) return show(terminal, plan.steps);
  requireRoot(terminal);
  await setUpNetwork(plan);
  const { record } = plan;
  say(
    terminal,
    `VMs are on ${record.network}, on the bridge ${record.bridge}; this machine is ${record.hostAddress} there.`,
  );
  if (record.startedBy === 'administrator') say(terminal, startLine());
  return 0;
}

/** For systems that something else starts: a container, or Alpine's OpenRC. */
function startLine(): string {
  return (
    `There is no systemd here: let "${SCRIPT_FILE} run" be started with the system, as root; it stays in ` +
    'the foreground.'
  );
}

async function remove(terminal: Terminal, { dryRun }: NetworkCommandOptions): Promise<number> {
  const record = readNetworkRecord();
  if (record === undefined) {
    say(terminal, 'No network is set up.');
    return 0;
  }
  const steps = planRemoval(record);
  if (dryRun === true) return show(terminal, steps);
  requireRoot(terminal);
  await removeNetwork(steps);
  say(
    terminal,
    `The network ${record.network} and the bridge ${record.bridge} are gone; all else is as it was before.`,
  );
  return 0;
}

/** 0 when it is set up and runs, as `systemctl is-active`. */
function status(terminal: Terminal, { format }: NetworkCommandOptions): number {
  const record = readNetworkRecord();
  const state = record && networkState(record, terminal.now().getTime());
  const runs = state !== undefined && state.hasBridge && state.hasDhcp && state.forwards;
  if (format === 'json') terminal.stdout.write(renderJson(jsonOf(record, state, runs)));
  else for (const line of linesOf(record, state)) say(terminal, line);
  return runs ? 0 : 1;
}

function jsonOf(record: NetworkRecord | undefined, state: NetworkState | undefined, runs: boolean): object {
  if (record === undefined || state === undefined) return { SetUp: false, Running: false };
  return {
    SetUp: true,
    Running: runs,
    Bridge: record.bridge,
    Network: record.network,
    HostAddress: record.hostAddress,
    StartedBy: record.startedBy,
    Guests: state.guests,
    Leases: state.leases,
  };
}

function linesOf(record: NetworkRecord | undefined, state: NetworkState | undefined): string[] {
  if (record === undefined || state === undefined)
    return ['No network is set up: VMs are reached by addresses of this machine.'];
  const lines = [
    `network     ${record.network}, this machine is ${record.hostAddress}`,
    `bridge      ${record.bridge}${state.hasBridge ? `, ${state.guests} connected` : ' is not there'}`,
    `addresses   ${state.hasDhcp ? `given by dnsmasq, ${state.leases} now` : 'not given: dnsmasq does not run'}`,
    `to outside  ${state.forwards ? 'passed on' : 'not passed on: net.ipv4.ip_forward is 0'}`,
  ];
  if (!state.hasBridge || !state.hasDhcp) {
    lines.push(record.startedBy === 'systemd' ? 'Look why: journalctl -u tartlet-network' : startLine());
  }
  return lines;
}

function show(terminal: Terminal, steps: readonly Step[]): number {
  for (const step of steps) terminal.stdout.write(printableByLine(`${textOf(step)}\n`));
  return 0;
}

function textOf(step: Step): string {
  switch (step.kind) {
    case 'write':
      return `write ${step.file} (${step.mode.toString(8)}):\n${step.content.trimEnd().replaceAll(/^(?=.)/gm, '    ')}`;
    case 'add-line':
      return `add to ${step.file}: ${step.line}`;
    case 'remove-line':
      return `remove from ${step.file}: ${step.line}`;
    case 'remove-file':
      return `remove ${step.file}`;
    case 'remove-directory':
      return `remove ${step.directory} if it is empty`;
    case 'run':
      return `run ${step.argv.join(' ')}`;
    default:
      return unreachable(step);
  }
}

function requireRoot({ uid }: Terminal): void {
  if (uid === 0) return;
  throw new TartletError('HOST_LACKS', 'only root may change the network of this machine', {
    next: { kind: 'run-as-root' },
  });
}

function say({ stdout }: Terminal, line: string): void {
  stdout.write(printableLine(line));
}
