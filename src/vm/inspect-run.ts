import { readRunRecord } from '../home/vms/run-record.ts';

/** What a `run` of ours says of itself. */
export interface InspectedRun {
  /** Of the process: what signals are sent to. */
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly network: 'user' | 'bridged';
  /**
   * Where the guest's ports are reached, whether or not it answers yet; null on a bridge, where its address is asked
   * for.
   */
  readonly address: string | null;
  /** The port of that address that leads to port 22 of the guest. */
  readonly sshPort: number | null;
}

/** @returns undefined when no `run` of ours has the VM. */
export async function inspectRun(directory: string): Promise<InspectedRun | undefined> {
  const record = await readRunRecord(directory);
  if (record === undefined) return undefined;
  const { pid, startedAt, network } = record;
  return {
    pid,
    startedAt: new Date(startedAt).toISOString(),
    network: network.kind,
    address: network.kind === 'user' ? network.address : null,
    sshPort: network.kind === 'user' ? network.sshPort : null,
  };
}
