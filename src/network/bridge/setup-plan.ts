import type { NetworkRecord } from './network-record.ts';
import { RECORD_FILE } from './network-record.ts';
import { PID_FILE, SCRIPT_FILE, type ServiceFacts, serviceScript, serviceUnit, UNIT, UNIT_FILE } from './service.ts';
import { BRIDGE_CONF } from '../bridge-access.ts';
import { OWN_LEASES } from '../host-bridges.ts';

/** One thing that is done to the host. */
export type Step =
  | { readonly kind: 'write'; readonly file: string; readonly mode: number; readonly content: string }
  /** Adds a line at the end, unless it is there. */
  | { readonly kind: 'add-line'; readonly file: string; readonly line: string }
  /** @property withFile: a file in which nothing else is goes as well. */
  | { readonly kind: 'remove-line'; readonly file: string; readonly line: string; readonly withFile: boolean }
  | { readonly kind: 'remove-file'; readonly file: string }
  /** If nothing is in it. */
  | { readonly kind: 'remove-directory'; readonly directory: string }
  /** @property mayFail: what it takes away may be gone. */
  | { readonly kind: 'run'; readonly argv: readonly string[]; readonly mayFail: boolean };

/** What setting up depends on, beside the record. */
export interface SetupFacts extends ServiceFacts {
  /** Absolute paths of what is there. */
  readonly systemctl: string | undefined;
  /**
   * The program for Debian's list of files that have other permissions than their packages say, and whether the helper
   * is in it.
   */
  readonly statOverride: string | undefined;
  readonly isHelperRegistered: boolean;
}

/** For everyone, as root, as Fedora ships it: the list says to which bridges. */
const HELPER_MODE = '4755';

/**
 * All that is done to set a network up. What was before is in the record, which is written first: whatever fails can be
 * removed.
 */
export function setupSteps(record: NetworkRecord, facts: SetupFacts): Step[] {
  const { before, bridge } = record;
  const missing = before.madeDirectories.toReversed();
  return [
    ...(missing.length === 0 ? [] : [run('/bin/mkdir', '-p', '-m', '0755', ...missing)]),
    { kind: 'write', file: RECORD_FILE, mode: 0o644, content: `${JSON.stringify(record, undefined, 2)}\n` },
    { kind: 'write', file: SCRIPT_FILE, mode: 0o755, content: serviceScript(facts) },
    { kind: 'add-line', file: BRIDGE_CONF, line: `allow ${bridge}` },
    ...helperSteps(record, facts),
    ...(facts.systemctl === undefined ? [] : unitSteps(bridge, facts.systemctl)),
  ];
}

function unitSteps(bridge: string, systemctl: string): Step[] {
  return [
    { kind: 'write', file: UNIT_FILE, mode: 0o644, content: serviceUnit(bridge) },
    run(systemctl, 'daemon-reload'),
    run(systemctl, 'enable', UNIT),
    run(systemctl, 'restart', UNIT),
  ];
}

function helperSteps({ before: { helper } }: NetworkRecord, facts: SetupFacts): Step[] {
  if (helper === undefined) return [];
  const { statOverride, isHelperRegistered } = facts;
  // An update of the package would take the bit away again.
  const register =
    helper.isRegistered && !isHelperRegistered && statOverride !== undefined
      ? [run(statOverride, '--add', 'root', 'root', HELPER_MODE, helper.path)]
      : [];
  return [...register, run('/bin/chmod', HELPER_MODE, helper.path)];
}

/**
 * All that is done to take a network away, and to have things as they were before. Each step may find its work done.
 */
export function removalSteps(
  { bridge, startedBy, before }: NetworkRecord,
  { systemctl, statOverride, isForwardingNeeded }: RemovalFacts,
): Step[] {
  const { helper } = before;
  const hasUnit = startedBy === 'systemd';
  const remove = (file: string): Step => ({ kind: 'remove-file', file });
  return [
    ...(hasUnit && systemctl !== undefined ? [mayFail(systemctl, 'disable', '--now', UNIT)] : []),
    mayFail(SCRIPT_FILE, 'stop'),
    ...(hasUnit ? [remove(UNIT_FILE)] : []),
    ...(hasUnit && systemctl !== undefined ? [mayFail(systemctl, 'daemon-reload')] : []),
    ...[SCRIPT_FILE, PID_FILE, OWN_LEASES].map(remove),
    ...(before.bridgeConf === 'with' ? [] : [removeLine(before, bridge)]),
    ...(helper?.isRegistered === true && statOverride !== undefined
      ? [mayFail(statOverride, '--remove', helper.path)]
      : []),
    ...(helper === undefined ? [] : [mayFail('/bin/chmod', helper.mode, helper.path)]),
    ...(before.forwarded || isForwardingNeeded ? [] : [mayFail('/bin/sh', '-c', `echo 0 >${FORWARDING}`)]),
    // Last: until then the rest can be removed again.
    remove(RECORD_FILE),
    ...before.madeDirectories.map((directory) => ({ kind: 'remove-directory', directory }) as const),
  ];
}

/** What taking away depends on, beside the record. */
export interface RemovalFacts {
  readonly systemctl: string | undefined;
  readonly statOverride: string | undefined;
  /** Others have bridges, whose guests need it as well. */
  readonly isForwardingNeeded: boolean;
}

/** Whether the kernel passes packets on from one network to another. */
export const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

function removeLine({ bridgeConf }: NetworkRecord['before'], bridge: string): Step {
  return { kind: 'remove-line', file: BRIDGE_CONF, line: `allow ${bridge}`, withFile: bridgeConf === 'missing' };
}

function run(...argv: readonly string[]): Step {
  return { kind: 'run', argv, mayFail: false };
}

function mayFail(...argv: readonly string[]): Step {
  return { kind: 'run', argv, mayFail: true };
}
