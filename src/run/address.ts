import { setTimeout as delay } from 'node:timers/promises';
import { isTartletError, TartletError, unreachable } from '../errors.ts';
import type { LocalName } from '../names/local-name.ts';
import { bridgedAddress } from '../network/bridged-address.ts';
import { answersBySsh } from '../network/guest-answer.ts';
import { hostView } from '../network/host-bridges.ts';
import type { Session } from '../session/session.ts';
import type { VmState } from '../home/vms/local-vms.ts';
import { readRunRecord, type RunRecord } from '../home/vms/run-record.ts';
import { talkToQemuAgent } from './agent/guest-agent.ts';

/** Where an address is looked for: `dhcp` everywhere, which is what users mean by it; `arp` and `agent` there alone. */
export type Resolver = 'dhcp' | 'arp' | 'agent';

export interface AddressOptions {
  readonly resolver: Resolver;
  /** How long to look, in milliseconds. The VM may start within. */
  readonly waitMs: number;
}

/** Pause between two looks, in milliseconds, as in Tart. */
const LOOK_EVERY_MS = 1000;
/** How long a guest may take for its first word, in milliseconds. */
const ANSWER_WITHIN_MS = 1000;

/**
 * Finds the IPv4 address at which a guest answers. It answers only when the guest does: where ports are forwarded, a
 * connection says nothing.
 *
 * @throws TartletError `VM_NOT_FOUND`, `GUEST_UNREACHABLE` when there is none in time, `BUSY` when another program runs
 * the VM.
 */
export async function addressOf(session: Session, name: LocalName, options: AddressOptions): Promise<string> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  const deadline = session.now().getTime() + options.waitMs;
  for (;;) {
    const record = await readRunRecord(vm.directory.path);
    const address = record === undefined ? undefined : await look(session, vm.directory.path, record, options.resolver);
    if (address !== undefined) return address;
    // One look at least, and a second before it fails, as in Tart (tart-cli §1.9).
    await delay(LOOK_EVERY_MS, undefined, { signal: session.signal });
    if (session.now().getTime() >= deadline)
      throw noAddress(name.text, record === undefined ? await session.vms.state(vm) : 'here');
  }
}

/** @param state what the VM does; `here`: a `run` of ours has it. */
function noAddress(name: string, state: VmState | 'here'): TartletError {
  switch (state) {
    case 'here':
      return new TartletError('GUEST_UNREACHABLE', `the guest of the VM "${name}" does not answer yet`, {
        subject: name,
        retryable: true,
      });
    case 'running':
      return new TartletError('BUSY', `the VM "${name}" is run by another program, which tells no address`, {
        subject: name,
        next: { kind: 'ask-other-program' },
      });
    case 'suspended':
    case 'stopped':
      return new TartletError('GUEST_UNREACHABLE', `the VM "${name}" has no address: it does not run`, {
        subject: name,
        next: { kind: 'start-vm', vm: name },
      });
    default:
      return unreachable(state);
  }
}

async function look(
  session: Session,
  directory: string,
  record: RunRecord,
  resolver: Resolver,
): Promise<string | undefined> {
  const { network, startedAt } = record;
  // Loaded only when it is asked for.
  if (resolver === 'agent') return (await import('./agent/agent-address.ts')).addressByAgent(directory, network);
  if (network.kind === 'bridged') {
    const view = hostView(() => session.now().getTime());
    const guest = { mac: network.mac, startedAt };
    const found = await bridgedAddress(view, guest, resolver === 'arp' ? 'neighbours' : 'leases');
    if (found !== undefined || resolver === 'arp') return found;
    return (await agentAddresses(directory, network.mac))[0];
  }
  // The guest knows only an address that is the same for all guests: it says that the guest is up, and no more.
  const isUp =
    (await answersBySsh(network.address, network.sshPort, ANSWER_WITHIN_MS)) ||
    (await agentAddresses(directory)).length > 0;
  return isUp ? network.address : undefined;
}

/** @param mac of the card that is meant: a guest may have networks of its own inside. */
async function agentAddresses(directory: string, mac?: string): Promise<readonly string[]> {
  try {
    return await talkToQemuAgent(directory, ANSWER_WITHIN_MS, async (agent) => agent.addresses(mac));
  } catch (error) {
    if (isTartletError(error, 'GUEST_UNREACHABLE')) return [];
    throw error;
  }
}
