import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GuestCommand } from '../../src/guest/guest-command.ts';
import type { VsockGuest } from '../../src/guest/vsock-bridge.ts';
import { findVsock } from '../../src/hypervisor/qemu/vsock.ts';
import { whileServed } from '../../src/run/agent/control-socket.ts';
import { talkToTartAgent } from '../../src/run/agent/guest-agent.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { playAgent } from '../support/played-agent.ts';
import { playQemuAgent, type QemuRequest } from '../support/played-qemu-agent.ts';

const MAC = '52:54:00:12:34:56';
const nextTurn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Served {
  readonly directory: string;
  /** Ends the run. */
  readonly end: () => Promise<void>;
}

/** A run that serves its control socket in a directory. */
async function serve(
  directory: string,
  { vsock, address }: { readonly vsock?: VsockGuest; readonly address?: string } = {},
): Promise<Served> {
  const told: string[] = [];
  let over: () => void = () => undefined;
  const lasts = new Promise<void>((resolve) => (over = resolve));
  const served = whileServed(directory, { vsock, address, mac: MAC, tell: (sentence) => told.push(sentence) }, lasts);
  const end = async (): Promise<void> => {
    over();
    await served;
    expect(told).toEqual([]);
  };
  onTestFinished(end);
  const isServed = (): boolean => statSync(`${directory}/control.sock`, { throwIfNoEntry: false })?.isSocket() === true;
  while (!isServed() || existsSync(`${directory}/control.sock.new`)) await nextTurn();
  return { directory, end };
}

/** QEMU's agent in a guest that is this machine. */
function runHere({ execute, arguments: given }: QemuRequest): unknown {
  switch (execute) {
    case 'guest-exec': {
      const { path, arg, 'input-data': input } = given as { path: string; arg: string[]; 'input-data'?: string };
      const { status, stdout, stderr } = spawnSync(path, arg, {
        input: Buffer.from(input ?? '', 'base64'),
        maxBuffer: 64 * 1024 * 1024,
      });
      runs.push({ exited: true, exitcode: status, 'out-data': base64(stdout), 'err-data': base64(stderr) });
      return { return: { pid: runs.length - 1 } };
    }
    case 'guest-exec-status':
      return { return: runs[Number(given?.['pid'])] };
    case 'guest-network-get-interfaces':
      return {
        return: [
          { 'hardware-address': MAC, 'ip-addresses': [{ 'ip-address-type': 'ipv4', 'ip-address': '10.0.2.15' }] },
        ],
      };
    default:
      return { error: { desc: `no ${execute}` } };
  }
}

const runs: object[] = [];
const base64 = (bytes: Buffer): string => bytes.toString('base64');

interface Result {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

async function exec(
  directory: string,
  words: GuestCommand['words'],
  { input, terminal }: { readonly input?: Uint8Array; readonly terminal?: GuestCommand['terminal'] } = {},
  signal = new AbortController().signal,
): Promise<Result | 'silent'> {
  const output = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const pieces = input === undefined ? undefined : [input];
  const exitCode = await talkToTartAgent(directory, 5000, async (agent) =>
    agent.exec(
      {
        words,
        input:
          pieces &&
          (async function* () {
            yield* pieces;
          })(),
        terminal,
      },
      {
        stdout: async (data) => void output.stdout.push(data),
        stderr: async (data) => void output.stderr.push(data),
      },
      signal,
    ),
  );
  if (exitCode === 'silent') return exitCode;
  return { exitCode, stdout: Buffer.concat(output.stdout), stderr: Buffer.concat(output.stderr) };
}

describe("control.sock of a guest that has QEMU's agent only", () => {
  it('takes bytes both ways as they are', async () => {
    const { directory } = await serve(temporaryDirectory());
    await playQemuAgent(`${directory}/qga.sock`, runHere);
    const input = randomBytes(3_000_001);
    const result = await exec(directory, ['sh', '-c', 'all=$(mktemp); tee "$all"; cat "$all" >&2; rm "$all"'], {
      input,
    });
    expect(result).toMatchObject({ exitCode: 0 });
    if (result === 'silent') return;
    expect(result.stdout.equals(input)).toBe(true);
    expect(result.stderr.equals(input)).toBe(true);
  });

  it('tells each exit code from 0 to 255', async () => {
    const { directory } = await serve(temporaryDirectory());
    await playQemuAgent(`${directory}/qga.sock`, ({ execute, arguments: given }) =>
      execute === 'guest-exec'
        ? { return: { pid: Number(String(given?.['arg'])) } }
        : { return: { exited: true, exitcode: given?.['pid'] } },
    );
    const codes = Array.from({ length: 256 }, (_, code) => code);
    const ended: number[] = [];
    for (const code of codes) {
      const result = await exec(directory, ['exit', String(code)]);
      if (result !== 'silent') ended.push(result.exitCode);
    }
    expect(ended).toEqual(codes);
  });

  it('lets many talk to an agent that talks to one at a time', async () => {
    const { directory } = await serve(temporaryDirectory());
    const looks = new Map<unknown, number>();
    await playQemuAgent(
      `${directory}/qga.sock`,
      ({ execute, arguments: given }) => {
        if (execute === 'guest-exec') return { return: { pid: Number(String(given?.['arg'])) } };
        const looked = (looks.get(given?.['pid']) ?? 0) + 1;
        looks.set(given?.['pid'], looked);
        return { return: looked < 6 ? { exited: false } : { exited: true, exitcode: given?.['pid'] } };
      },
      { atATime: 1 },
    );
    const codes = Array.from({ length: 16 }, (_, code) => code);
    const results = await Promise.all(codes.map(async (code) => exec(directory, ['exit', String(code)])));
    expect(results.map((result) => (result === 'silent' ? result : result.exitCode))).toEqual(codes);
  });

  it('refuses a terminal, and input that is too much, in words; and says that no agent is there', async () => {
    const { directory } = await serve(temporaryDirectory());
    const terminal = { size: { columns: 80, rows: 24 }, onResize: () => () => undefined };
    await expect(exec(directory, ['sh'], { terminal })).rejects.toMatchObject({
      rpcStatus: 9,
      message: "QEMU's guest agent gives commands no terminal",
    });
    await expect(exec(directory, ['sh'], { input: Buffer.alloc(16 * 1024 * 1024 + 1) })).rejects.toMatchObject({
      rpcStatus: 8,
      message: "QEMU's guest agent takes input of 16 MiB at most",
    });
    await expect(exec(directory, ['true'])).rejects.toMatchObject({
      rpcStatus: 14,
      message: 'no agent answers in the guest',
    });
  });

  it('ends the command when who asked for it has gone', async () => {
    const { directory } = await serve(temporaryDirectory());
    const asked: unknown[] = [];
    await playQemuAgent(`${directory}/qga.sock`, ({ execute, arguments: given }) => {
      if (execute === 'guest-exec') asked.push(given);
      return { return: execute === 'guest-exec' ? { pid: 4711 } : { exited: false } };
    });
    const stop = new AbortController();
    const running = exec(directory, ['sleep', '1000'], {}, stop.signal);
    running.catch(() => undefined);
    while (asked.length === 0) await nextTurn();
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    while (asked.length === 1) await nextTurn();
    expect(asked[1]).toEqual({ path: 'kill', arg: ['-TERM', '4711'] });
  });

  it.each([
    [{ address: '127.99.1.2' }, '127.99.1.2'],
    [{}, '10.0.2.15'],
  ])('M15: tells the address at which the guest is reached from here: %o', async (options, address) => {
    const { directory } = await serve(temporaryDirectory(), options);
    await playQemuAgent(`${directory}/qga.sock`, runHere);
    expect(await talkToTartAgent(directory, 5000, async (agent) => agent.address(5000))).toBe(address);
  });
});

describe('the socket itself', () => {
  it('M13: works in a directory with a path of any length', async () => {
    const directory = `${temporaryDirectory()}/${'n'.repeat(96)}`;
    mkdirSync(directory);
    await serve(directory);
    await expect(exec(directory, ['true'])).rejects.toMatchObject({ message: 'no agent answers in the guest' });
  });

  it('takes the place of one that was left behind, is for this user alone, and leaves nothing', async () => {
    const directory = temporaryDirectory();
    mkdirSync(`${directory}/control.sock.new`);
    writeFileSync(`${directory}/control.sock.new/socket`, '');
    writeFileSync(`${directory}/control.sock`, 'left behind');
    const served = await serve(directory);
    expect(statSync(`${directory}/control.sock`).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['control.sock']);
    await served.end();
    expect(readdirSync(directory)).toEqual([]);
    expect(await exec(directory, ['true'])).toBe('silent');
  });

  it('is for the group where one shares the home', async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o2770);
    await serve(directory);
    expect(statSync(`${directory}/control.sock`).mode & 0o777).toBe(0o660);
  });
});

/**
 * A program that stands for `socat`: it notes its arguments, and connects to a socket of this machine instead of a
 * guest's.
 */
function playSocat(way: 'connects' | 'fails' | 'hangs', socket = ''): { program: string; calls: () => string } {
  const program = `${temporaryDirectory()}/socat`;
  const work = {
    connects: `const socket = require('net').connect(${JSON.stringify(socket)});
      process.stdin.pipe(socket).pipe(process.stdout); socket.on('close', () => process.exit());`,
    fails: 'process.exit(1);',
    hangs: 'process.stdin.resume();',
  };
  writeFileSync(
    program,
    `#!${process.execPath}\nrequire('fs').appendFileSync(__filename + '.calls', process.argv.slice(2).join(' ') + '\\n');\n${work[way]}`,
    { mode: 0o755 },
  );
  return { program, calls: () => readFileSync(`${program}.calls`, 'utf8') };
}

describe('control.sock of a guest with a vsock', () => {
  it("leads to Tart's agent in the guest", async () => {
    const guest = `${temporaryDirectory()}/agent.sock`;
    onTestFinished(
      await playAgent(guest, {
        exec: async ({ request, say, exit }) => {
          await say('stdout', `${request.words.join(' ')} on ${request.terminal?.columns ?? 'no'} columns`);
          await exit(5);
        },
        address: '192.0.2.9',
      }),
    );
    const { program, calls } = playSocat('connects', guest);
    const { directory } = await serve(temporaryDirectory(), { vsock: { socat: program, cid: 4242 } });
    const terminal = { size: { columns: 132, rows: 24 }, onResize: () => () => undefined };
    expect(await exec(directory, ['top'], { terminal })).toEqual({
      exitCode: 5,
      stdout: Buffer.from('top on 132 columns'),
      stderr: Buffer.alloc(0),
    });
    expect(await talkToTartAgent(directory, 5000, async (agent) => agent.address(5000))).toBe('192.0.2.9');
    expect(calls()).toBe('- VSOCK-CONNECT:4242:8080\n- VSOCK-CONNECT:4242:8080\n');
  });

  it.each(['fails', 'hangs'] as const)("falls back to QEMU's agent where connecting %s", async (way) => {
    const { directory } = await serve(temporaryDirectory(), { vsock: { socat: playSocat(way).program, cid: 4242 } });
    await playQemuAgent(`${directory}/qga.sock`, runHere);
    expect(await exec(directory, ['sh', '-c', 'echo out; exit 3'])).toMatchObject({
      exitCode: 3,
      stdout: Buffer.from('out\n'),
    });
  });

  it('is planned only where the device opens and there is a program for it', async () => {
    const device = `${temporaryDirectory()}/vhost-vsock`;
    const { program } = playSocat('fails');
    const searchPath = program.slice(0, -'/socat'.length);
    expect(await findVsock(searchPath, device)).toBeUndefined();
    writeFileSync(device, '');
    expect(await findVsock('/nowhere', device)).toBeUndefined();
    const [one, other] = [await findVsock(searchPath, device), await findVsock(searchPath, device)];
    expect(one?.socat).toBe(program);
    expect(one?.cid).toBeGreaterThan(2);
    expect(one?.cid).not.toBe(other?.cid);
  });
});
