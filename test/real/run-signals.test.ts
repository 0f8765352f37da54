import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configJson } from '../support/home.ts';
import { type HeldPhase, plantPretendQemu } from '../support/pretend-qemu.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

type Phase = Exclude<HeldPhase, 'hanging'> | 'stopping';
type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | 'SIGKILL';

/** What becomes of a run. */
interface Cell {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  /** Whether it went on, and was told twice to stop then. */
  readonly wentOn?: true;
  /** What \`list\` says afterwards. */
  readonly state: 'stopped' | 'suspended';
}

const STOPPED = 'Stopping VM...\nguest has stopped the virtual machine\n';
const ENDS: Cell = { exitCode: 0, stdout: STOPPED, state: 'stopped' };
const GOES_ON: Cell = { ...ENDS, wentOn: true };
const DIES: Cell = { exitCode: undefined, stdout: '', state: 'stopped' };
const SUSPENDS: Cell = { exitCode: 0, stdout: 'Suspending VM...\n', state: 'suspended' };
const SAVING = `Suspending VM...\n${STOPPED}`;
const KEEPS_MEMORY: Cell = { ...ENDS, state: 'suspended' };

/** The table of docs/guide/running.md. */
const TABLE: Readonly<Record<Phase, Readonly<Record<Signal, Cell>>>> = {
  starting: {
    SIGINT: ENDS,
    SIGTERM: ENDS,
    SIGHUP: GOES_ON,
    SIGUSR1: GOES_ON,
    SIGUSR2: GOES_ON,
    SIGKILL: DIES,
  },
  firmware: {
    SIGINT: GOES_ON,
    SIGTERM: GOES_ON,
    SIGHUP: GOES_ON,
    SIGUSR1: SUSPENDS,
    SIGUSR2: GOES_ON,
    SIGKILL: DIES,
  },
  up: {
    SIGINT: ENDS,
    SIGTERM: ENDS,
    SIGHUP: GOES_ON,
    SIGUSR1: SUSPENDS,
    SIGUSR2: { ...ENDS, stdout: 'guest has stopped the virtual machine\n' },
    SIGKILL: DIES,
  },
  stopping: {
    SIGINT: ENDS,
    SIGTERM: ENDS,
    SIGHUP: GOES_ON,
    SIGUSR1: GOES_ON,
    SIGUSR2: GOES_ON,
    SIGKILL: { ...DIES, stdout: 'Stopping VM...\n' },
  },
  suspending: {
    SIGINT: { ...GOES_ON, stdout: SAVING },
    SIGTERM: { ...GOES_ON, stdout: SAVING },
    SIGHUP: { ...GOES_ON, stdout: SAVING },
    SIGUSR1: { ...GOES_ON, stdout: SAVING },
    SIGUSR2: { ...GOES_ON, stdout: SAVING },
    SIGKILL: { ...DIES, stdout: 'Suspending VM...\n' },
  },
  resuming: {
    SIGINT: KEEPS_MEMORY,
    SIGTERM: KEEPS_MEMORY,
    SIGHUP: { ...KEEPS_MEMORY, wentOn: true },
    SIGUSR1: { ...KEEPS_MEMORY, wentOn: true },
    SIGUSR2: { ...KEEPS_MEMORY, wentOn: true },
    SIGKILL: { ...DIES, state: 'suspended' },
  },
};

const CELLS = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([signal, cell]) => [phase as Phase, signal as Signal, cell] as const),
);

describeWithParts('a run that gets a signal', ['ovmf'], () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let vm: string;
  let mark: string;

  beforeAll(() => {
    workplace = new Workplace(cleanup);
    vm = workplace.vmDirectory('ci');
    mark = `${workplace.directory}/mark`;
    plantPretendQemu(`${workplace.directory}/programs`);
  });
  afterAll(async () => cleanup.run());

  /** A VM as it is before it has run for the first time. */
  function plant(): void {
    rmSync(vm, { recursive: true, force: true });
    mkdirSync(vm, { recursive: true });
    writeFileSync(`${vm}/config.json`, configJson().replace('"arm64"', '"amd64"'));
    writeFileSync(`${vm}/nvram.bin`, 'of Apple');
    writeFileSync(`${vm}/disk.img`, '');
    truncateSync(`${vm}/disk.img`, 1024 * 1024);
  }

  /** Starts it, and waits until it is in a phase that it stays in. */
  async function hold(phase: HeldPhase): Promise<Running> {
    rmSync(mark, { force: true });
    const running = new Running(process.execPath, [COMMAND, 'run', 'ci', '--no-graphics'], {
      ...workplace.environment,
      PATH: `${workplace.directory}/programs:${workplace.environment['PATH'] ?? ''}`,
      PRETENDED_PHASE: phase,
      PRETENDED_MARK: mark,
    });
    cleanup.add(() => running.kill('SIGKILL'));
    const until = async (file: string): Promise<void> => {
      while (!existsSync(file)) {
        if (running.child.exitCode !== null) throw new Error(`run ended: ${running.stdout}${running.stderr}`);
        await delay(10);
      }
    };
    if (phase === 'suspending') {
      // From then on it can be sent signals.
      await until(`${vm}/run.json`);
      running.kill('SIGUSR1');
    }
    await until(mark);
    return running;
  }

  async function reach(phase: Phase): Promise<Running> {
    if (phase === 'resuming') {
      const before = await hold('up');
      before.kill('SIGUSR1');
      await before.ended;
    }
    const running = await hold(phase === 'stopping' ? 'firmware' : phase);
    if (phase === 'stopping') {
      running.kill('SIGTERM');
      while (!running.stdout.includes('Stopping VM...\n')) await delay(10);
    }
    return running;
  }

  it.each(CELLS)('R3: while %s, %s', async (phase, signal, cell) => {
    plant();
    const running = await reach(phase);
    running.kill(signal);
    if (cell.wentOn === true) {
      running.kill('SIGINT');
      // The second one is another only when the first has been taken.
      while (!running.stdout.includes('Stopping VM...\n') && running.child.exitCode === null) await delay(10);
      running.kill('SIGINT');
    }
    const { exitCode, stdout } = await running.ended;
    expect({ exitCode, stdout }).toEqual({ exitCode: cell.exitCode, stdout: cell.stdout });
    // What QEMU holds is free when it has gone, too.
    while ((await workplace.run('list')).stdout.includes('running')) await delay(10);
    expect((await workplace.run('list')).stdout).toContain(cell.state);
    const left = readdirSync(vm)
      .filter((name) => /\.sock$|^run\.json$|\.new$|^state\./.test(name))
      .toSorted();
    const memory = cell.state === 'suspended' ? ['state.json', 'state.qemu'] : [];
    // Of a process that was killed there are names left, which say nothing: the next start takes them away.
    expect(signal === 'SIGKILL' ? left.filter((name) => memory.includes(name)) : left).toEqual(memory);
  });

  it('a QEMU that hangs and does not end when it is told to is killed', async () => {
    plant();
    const running = await hold('hanging');
    running.kill('SIGINT');
    while (!running.stdout.includes('Stopping VM...\n')) await delay(10);
    running.kill('SIGINT');
    const { exitCode, stderr } = await running.ended;
    expect({ exitCode, stderr: stderr.split('\n')[0] }).toEqual({
      exitCode: 1,
      stderr: 'error: the VM ended by an accident: QEMU did not end within 10 s, and was killed',
    });
    expect((await workplace.run('list')).stdout).toContain('stopped');
  });
});
