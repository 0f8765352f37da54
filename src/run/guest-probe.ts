import { isTartletError } from '../errors.ts';
import { readRunRecord } from '../home/vms/run-record.ts';
import { askTart, type TartProgram } from '../hypervisor/tart/tart-program.ts';
import type { LocalName } from '../names/local-name.ts';
import type { SshDoor } from '../network/own-address.ts';
import type { Session } from '../session/session.ts';
import { addressOf } from './address.ts';

/** The port of SSH. */
export const SSH_PORT = 22;

/** Looks at a guest that may not be up yet, whatever runs it. No look throws because the guest does not answer. */
export interface GuestProbe {
  /** Where the guest answers: `any` as `ip` finds it, `agent` when an agent in it answers. */
  address(by: 'any' | 'agent'): Promise<string | undefined>;
  /** Where a port of the guest at this address is reached. @returns undefined when nothing leads to it. */
  door(address: string, port: number): Promise<SshDoor | undefined>;
}

/** A guest of ours. */
export function ownProbe(session: Session, name: LocalName): GuestProbe {
  return {
    address: async (by) =>
      addressOf(session, name, { resolver: by === 'agent' ? 'agent' : 'dhcp', waitMs: 0 }).catch(noAnswer),
    door: async (address, port) => {
      const network = (await readRunRecord(session.vms.pathOf(name)))?.network;
      if (network?.kind !== 'user') return { address, port };
      if (port === SSH_PORT) return { address, port: network.sshPort };
      const forward = network.published.find(({ guestPort }) => guestPort === port);
      return forward && { address: ownSide(forward.hostAddress), port: forward.hostPort };
    },
  };
}

/** One that listens on all addresses is asked at this machine's own. */
function ownSide(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address;
}

/** A VM that has just been started may not say yet that it is ours. */
function noAnswer(error: unknown): undefined {
  if (!isTartletError(error, 'GUEST_UNREACHABLE', 'BUSY')) throw error;
}

/** A guest of Tart, whose every port is reached. */
export function tartProbe(session: Session, tart: TartProgram, name: LocalName): GuestProbe {
  return {
    address: async (by) => {
      const resolver = by === 'agent' ? ['--resolver', 'agent'] : [];
      const { exitCode, stdout } = await askTart(tart, ['ip', name.text, ...resolver], session.signal);
      const address = stdout.trim();
      return exitCode === 0 && address !== '' ? address : undefined;
    },
    door: async (address, port) => ({ address, port }),
  };
}
