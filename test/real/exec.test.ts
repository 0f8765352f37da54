import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { runOnTerminal } from '../support/command-input.ts';
import { plantVm } from '../support/home.ts';
import { type Play, playAgent, type PlayedCommand } from '../support/played-agent.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

/** A VM that runs, with an agent that behaves as it is told. */
async function vmWith(play: Play, name = 'vm'): Promise<Workplace> {
  const place = await vmWithoutAgent(name);
  onTestFinished(await playAgent(`${place.vmDirectory(name)}/control.sock`, play));
  return place;
}

async function vmWithoutAgent(name = 'vm'): Promise<Workplace> {
  const place = new Workplace(cleanup);
  plantVm(place.vmDirectory(name));
  await runVm(place.vmDirectory(name));
  return place;
}

/** Gives back what it reads: on stdout as it is, on stderr turned round. */
async function echo({ next, say, exit }: PlayedCommand): Promise<void> {
  for (let said = await next(); said?.kind === 'input' && said.data.length > 0; said = await next()) {
    await say('stdout', said.data);
    await say(
      'stderr',
      said.data.map((byte) => 255 - byte),
    );
  }
  await exit(0);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe("exec, by Tart's guest agent", () => {
  it('carries bytes both ways as they are, and ends the input', async () => {
    const place = await vmWith({ exec: echo });
    const bytes = randomBytes(1_000_003);
    const child = spawn(process.execPath, [COMMAND, 'exec', '-i', 'vm', 'cat'], { env: place.environment });
    const collected: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    child.stdout.on('data', (piece: Buffer) => collected.stdout.push(piece));
    child.stderr.on('data', (piece: Buffer) => collected.stderr.push(piece));
    child.stdin.end(bytes);
    expect((await once(child, 'close'))[0]).toBe(0);
    expect(sha256(Buffer.concat(collected.stdout))).toBe(sha256(bytes));
    expect(sha256(Buffer.concat(collected.stderr))).toBe(sha256(bytes.map((byte) => 255 - byte)));
  });

  it('passes on words as they are, and no input unless it is asked to', async () => {
    let request: PlayedCommand['request'] | undefined;
    const place = await vmWith({
      exec: async (command) => {
        request = command.request;
        await command.exit(7);
      },
    });
    expect(await place.run('exec', 'vm', 'printf', '%s\\n', '--help', '', 'ä', '--')).toEqual({
      exitCode: 7,
      stdout: '',
      stderr: '',
    });
    expect(request).toEqual({
      kind: 'command',
      words: ['printf', '%s\\n', '--help', '', 'ä', '--'],
      hasInput: false,
      terminal: undefined,
    });
  });

  it('shows output as it comes, and not when the command has ended', async () => {
    let goOn: () => void = () => undefined;
    const place = await vmWith({
      exec: async ({ say, exit }) => {
        await say('stdout', 'first\n');
        await new Promise<void>((resolve) => (goOn = resolve));
        await say('stderr', 'second\n');
        await new Promise<void>((resolve) => (goOn = resolve));
        await exit(255);
      },
    });
    const running = place.start('exec', 'vm', 'slow');
    while (running.stdout !== 'first\n') await delay(10);
    goOn();
    while (running.stderr !== 'second\n') await delay(10);
    goOn();
    expect(await running.ended).toEqual({ exitCode: 255, stdout: 'first\n', stderr: 'second\n' });
  });

  it('holds little of an output that is huge, and lets the guest wait for who reads', async () => {
    const MIB = 1024 * 1024;
    const piece = randomBytes(MIB);
    let said = 0;
    const place = await vmWith({
      exec: async ({ say, exit }) => {
        for (; said < 192; said += 1) await say('stdout', piece);
        await exit(0);
      },
    });
    const child = spawn(process.execPath, [COMMAND, 'exec', 'vm', 'huge'], {
      env: place.environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let read = 0;
    let peak = 0;
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
      read += bytes.length;
      // What was said and not read is on its way: in buffers of the kernel, and one message here.
      expect(said * MIB - read).toBeLessThan(16 * MIB);
      if (read % 64 === 0) peak = Math.max(peak, peakOf(child.pid ?? 0));
    }
    expect(read).toBe(192 * MIB);
    expect(peak).toBeLessThan(192 * MIB);
  });

  it.each([
    [-1, 255],
    [256, 255],
    [2 ** 31 - 1, 255],
  ])('does not make a success of %d, which is no exit code', async (code, ours) => {
    const place = await vmWith({ exec: async ({ exit }) => exit(code) });
    expect(await place.run('exec', 'vm', 'odd')).toEqual({ exitCode: ours, stdout: '', stderr: '' });
  });

  it('M13: finds the socket of a VM with a name of 96 characters', async () => {
    const name = 'n'.repeat(96);
    const place = await vmWith({ exec: async ({ exit }) => exit(3) }, name);
    expect(await place.run('exec', name, 'true')).toMatchObject({ exitCode: 3 });
  });

  it('ends the command when it is told to end, and when its output is not read any more', async () => {
    let closed: Promise<unknown> | undefined;
    const place = await vmWith({
      exec: async (command) => {
        closed = command.closed;
        await command.say('stdout', 'begun\n');
        while (await command.say('stdout', 'y\n'.repeat(1000)));
      },
    });
    const running = place.start('exec', 'vm', 'yes');
    while (!running.stdout.startsWith('begun\n')) await delay(10);
    running.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ exitCode: 143 });
    await closed;
    const { stdout } = await place.shell('$TARTLET exec vm yes | head -n 1; echo "${PIPESTATUS[0]}"');
    expect(stdout).toBe('begun\n141\n');
    await closed;
  });
});

/** The most memory that a process had, in bytes. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has ended.
  }
}

describe('exec -t', () => {
  it('gives the guest each key, the size of the terminal and each new one, and the terminal back', async () => {
    const heard: string[] = [];
    let request: PlayedCommand['request'] | undefined;
    const place = await vmWith({
      exec: async ({ request: first, next, say, exit }) => {
        request = first;
        await say('stdout', 'guest$ ');
        for (let said = await next(); said !== undefined; said = await next()) {
          if (said.kind === 'resize') heard.push(`${said.size.columns}x${said.size.rows}`);
          if (said.kind === 'input') heard.push(Buffer.from(said.data).toString('hex'));
          await say('stdout', `heard ${heard.length}; `);
          if (heard.at(-1) === '04') return exit(9);
        }
      },
    });
    const where = `${place.directory}/tty`;
    const script = `tty >${where}; stty rows 31 cols 117; $TARTLET exec -it vm bash; echo "code $?"; stty -a`;
    const { screen } = await runOnTerminal(place, script, [
      ['guest$ ', '\u0003'],
      ['heard 1; ', () => void execFileSync('stty', ['-F', readFileSync(where, 'utf8').trim(), 'cols', '90'])],
      ['heard 2; ', '\u0004'],
    ]);
    expect(request?.terminal).toEqual({ columns: 117, rows: 31 });
    expect(heard).toEqual(['03', '90x31', '04']);
    expect(screen).toContain('code 9');
    expect(screen).toMatch(/ icanon .* echo /s);
  });

  it('gives the terminal back when the agent dies', async () => {
    const place = await vmWith({
      exec: async ({ say, stream }) => {
        await say('stdout', 'guest$ ');
        stream.destroy();
      },
    });
    const { screen } = await runOnTerminal(place, '$TARTLET exec -it vm bash; echo "code $?"; stty -a', []);
    expect(screen).toContain('cannot run the command in the VM "vm": the guest\'s agent ended before the command did');
    expect(screen).toContain('code 1');
    expect(screen).toMatch(/ icanon .* echo /s);
  });
});

/** What listens where the agent would, and answers each connection with these bytes. */
async function vmWithListener(greet: (socket: Socket) => void): Promise<Workplace> {
  const place = await vmWithoutAgent();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    greet(socket);
  });
  server.listen(`${place.vmDirectory('vm')}/control.sock`);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return place;
}

const HEAD = Buffer.from([0, 0, 0, 0]);

describe('exec, with an agent that is none', () => {
  it.each<[string, (command: PlayedCommand) => unknown, RegExp]>([
    ['dies in the middle', async ({ stream }) => stream.destroy(), /the guest's agent ended before the command did/],
    ['ends without an exit code', ({ stream }) => stream.end(), /the guest's agent ended before the command did/],
    ['answers garbage', ({ stream }) => stream.end(framedGarbage()), /no message of Protocol Buffers/],
    ['compresses', ({ stream }) => stream.end(Buffer.from([1, 0, 0, 0, 0])), /came compressed/],
    [
      'says that 4 GiB follow',
      ({ stream }) => stream.end(Buffer.from([0, 255, 255, 255, 255])),
      /a message of 4294967295 bytes is longer than is allowed/,
    ],
    [
      'stops within a message',
      ({ stream }) => stream.end(Buffer.concat([HEAD, Buffer.from([9, 1])])),
      /ended within a message/,
    ],
  ])('one that %s ends the command with 1 and says why', async (_, exec, reason) => {
    const place = await vmWith({
      exec: async (command) => {
        await command.say('stdout', 'so far\n');
        await exec(command);
      },
    });
    expect(await place.run('exec', 'vm', 'true')).toEqual({
      exitCode: 1,
      stdout: 'so far\n',
      stderr: expect.stringMatching(reason),
    });
  });

  it('shows what a guest says of errors as text: it moves no cursor and begins no line', async () => {
    const message = encodeURIComponent('no such\u001b[2J\u001b]0;owned\u0007 \r\nerror: all is lost \u202e');
    const place = await vmWith({ exec: ({ stream }) => void stream.end(), ending: { status: '5', message } });
    const { exitCode, stderr } = await place.run('exec', 'vm', 'true');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[GUEST_UNREACHABLE\]: cannot run the command in the VM "vm": no such/);
    expect(['\u001b', '\u0007', '\r', '\u202e'].filter((character) => stderr.includes(character))).toEqual([]);
    expect(stderr.split('\n').filter((line) => line.startsWith('error'))).toHaveLength(1);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    ['hangs up', (socket) => socket.destroy()],
    ['speaks another protocol', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['talks without end', drown],
  ])('one that %s is none, which is told within two seconds, with both packages', async (_, greet) => {
    const place = await vmWithListener(greet);
    const began = Date.now();
    const { exitCode, stdout, stderr } = await place.run('exec', 'vm', 'true');
    // What starts the command, and a machine that is busy, take their time besides.
    expect(Date.now() - began).toBeLessThan(2000 + 4000);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain('no agent answers in the guest of the VM "vm"');
    expect(stderr).toContain('install tart-guest-agent or qemu-guest-agent in the guest');
  });

  it('says at once that there is no agent where no program serves one', async () => {
    const place = await vmWithoutAgent();
    expect(await place.run('exec', 'vm', 'true')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no agent answers in the guest of the VM "vm"'),
    });
    // Left behind by a run that was killed.
    writeFileSync(`${place.vmDirectory('vm')}/control.sock`, '');
    expect(await place.run('exec', 'vm', 'true')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no agent answers in the guest of the VM "vm"'),
    });
  });
});

function framedGarbage(): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from([0x12, 0xff])]);
}

function drown(socket: Socket): void {
  const bytes = randomBytes(64 * 1024);
  const pour = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on('drain', pour);
  pour();
}

describe('ip --resolver agent', () => {
  it("M15: asks the agent, and never tells the address that all guests of QEMU's own network have", async () => {
    const place = await vmWith({ address: '10.0.2.15' });
    record(place, { kind: 'user', address: '127.99.1.2', sshPort: 22 });
    expect(await place.run('ip', '--resolver', 'agent', 'vm')).toEqual({
      exitCode: 0,
      stdout: '127.99.1.2\n',
      stderr: '',
    });
    record(place, { kind: 'bridged', mac: '52:54:00:00:00:01' });
    expect(await place.run('ip', '--resolver', 'agent', 'vm')).toEqual({
      exitCode: 0,
      stdout: '10.0.2.15\n',
      stderr: '',
    });
  });

  it('waits for an agent that is not there yet, and believes no address that is none', async () => {
    const place = await vmWithoutAgent();
    record(place, { kind: 'bridged', mac: '52:54:00:00:00:01' });
    const waiting = place.start('ip', '--resolver', 'agent', '--wait', '60', 'vm');
    await delay(0);
    onTestFinished(await playAgent(`${place.vmDirectory('vm')}/control.sock`, { address: '192.0.2.7' }));
    expect(await waiting.ended).toEqual({ exitCode: 0, stdout: '192.0.2.7\n', stderr: '' });
    const liar = await vmWith({ address: '$(reboot)' });
    record(liar, { kind: 'bridged', mac: '52:54:00:00:00:01' });
    expect(await liar.run('ip', '--resolver', 'agent', 'vm')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringContaining('tells no IPv4 address, but "$(reboot)"'),
    });
  });
});

/** What a `run` would have said of itself: here, this process. */
function record(place: Workplace, network: object): void {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const began = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  writeFileSync(
    `${place.vmDirectory('vm')}/run.json`,
    JSON.stringify({ version: 1, pid: process.pid, began, network, startedAt: Date.now() }),
  );
}

it.each([
  ['--version', ['--version'], false],
  ['list', ['list'], false],
  ['ip', ['ip', 'vm'], false],
  ['exec', ['exec', 'vm', 'true'], true],
])('%s loads what speaks to agents only when it is needed', async (_, args, isLoaded) => {
  const place = await vmWith({ exec: async ({ exit }) => exit(0) });
  const listing = `${place.directory}/loaded`;
  writeFileSync(
    `${place.directory}/hook.cjs`,
    `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(listing)}, process.moduleLoadList.join('\\n')))`,
  );
  await new Running(process.execPath, ['--require', `${place.directory}/hook.cjs`, COMMAND, ...args], place.environment)
    .ended;
  expect(readFileSync(listing, 'utf8').split('\n').includes('NativeModule http2')).toBe(isLoaded);
});
