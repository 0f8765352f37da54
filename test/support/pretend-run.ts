import { createServer, type Server } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { runVm } from './running-vm.ts';

/** A VM that counts as running, with the record of a `run` of ours, and an SSH server in the place of its guest's. */
export interface PretendedRun {
  /** Of the process that holds the lock. */
  readonly pid: number;
  /** Where port 22 of the guest is reached. */
  readonly sshPort: number;
}

/** @param greeting what the server says first. None: it takes connections, and says nothing. */
export async function pretendRun(directory: string, greeting?: string): Promise<PretendedRun> {
  const { pid } = await runVm(directory);
  const server = await greetingServer(greeting);
  const { port } = server.address() as AddressInfo;
  const network = { kind: 'user', address: '127.0.0.1', sshPort: port };
  writeFileSync(
    `${directory}/run.json`,
    JSON.stringify({ version: 1, pid, began: beginningOf(pid), network, startedAt: 1 }),
  );
  return { pid, sshPort: port };
}

async function greetingServer(greeting: string | undefined): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (greeting !== undefined) socket.end(greeting);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return server;
}

function beginningOf(pid: number): string {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
