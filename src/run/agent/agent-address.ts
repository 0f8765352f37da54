import { describeError, systemCode, TartletError } from '../../errors.ts';
import { RpcFailure, RpcStatus } from '../../grpc/status.ts';
import { isSilence } from '../../guest/qemu-agent.ts';
import type { RunNetwork } from '../../home/vms/run-record.ts';
import { talkToQemuAgent, talkToTartAgent } from './guest-agent.ts';

/** How a call ends where no agent answers yet, or not any more. */
const NOT_YET: ReadonlySet<number> = new Set([RpcStatus.unavailable, RpcStatus.aborted]);

/** How long the agent may take, in milliseconds, as in Tart (tart-cli §1.9). */
const ANSWER_WITHIN_MS = 1000;

/**
 * The address at which a guest is reached, if the agent in it answers: on a bridge what the agent says, else the
 * address of this host that leads to it. The guest's own is the same for all guests then, and leads nowhere
 * (run-fleet-demand §8, 15).
 *
 * @param directory of the VM.
 * @returns undefined when no agent answers yet.
 * @throws TartletError `GUEST_UNREACHABLE` when one refuses, or answers what is no address
 */
export async function addressByAgent(directory: string, network: RunNetwork): Promise<string | undefined> {
  const mac = network.kind === 'bridged' ? network.mac : undefined;
  try {
    const served = await talkToTartAgent(directory, ANSWER_WITHIN_MS, async (agent) => agent.address(ANSWER_WITHIN_MS));
    const address =
      served === 'silent'
        ? (await talkToQemuAgent(directory, ANSWER_WITHIN_MS, async (agent) => agent.addresses(mac)))[0]
        : served;
    return address === undefined || network.kind === 'bridged' ? address : network.address;
  } catch (error) {
    if (isSilence(error) || (error instanceof RpcFailure && NOT_YET.has(error.rpcStatus))) return undefined;
    if (!(error instanceof RpcFailure) && systemCode(error) !== 'EACCES') throw error;
    throw new TartletError('GUEST_UNREACHABLE', `the guest's agent tells no address: ${describeError(error)}`, {
      cause: error,
    });
  }
}
