import { TartletError } from '../errors.ts';
import { DEFAULT_DISK_OPTIONS } from '../hypervisor/machine.ts';
import type { LocalName } from '../names/local-name.ts';
import { addressOf, type Resolver } from '../run/address.ts';
import { execInVm } from '../run/exec.ts';
import { type RunEnding, runVm } from '../run/run.ts';
import { type RunEvent, RunRequests } from '../run/run-request.ts';
import type { RunSettings } from '../run/run-settings.ts';
import type { Session } from '../session/session.ts';
import type { Arch } from '../vm/config.ts';

/** How a VM is run. What is left out is as the command has it: no window, a network of its own, no further disks. */
export interface RunVmOptions extends Partial<RunSettings> {
  /** Told what happens while the VM runs. */
  readonly onRunEvent?: ((event: RunEvent) => void) | undefined;
}

/** What a command in a guest did. */
export interface GuestResult {
  /** From 0 to 255. */
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/** How a command is run in a guest. */
export interface ExecVmOptions {
  /** All that it reads. Default: nothing. */
  readonly input?: string | Uint8Array | undefined;
}

/** How long a guest's address is looked for, and how. */
export interface VmAddressOptions {
  /** Milliseconds; default 0: one look. The VM may start within. */
  readonly waitMs?: number | undefined;
  /** Default: `dhcp`, as Tart calls what is usual. */
  readonly resolver?: Resolver | undefined;
}

/**
 * A VM that runs in this process. It ends with this process, whatever becomes of it. Another process that stops the VM
 * sends SIGINT to this one, and SIGUSR1 to suspend it: a program that wants to end well then calls {@link stop} or
 * {@link suspend}.
 */
export interface RunningVm extends AsyncDisposable {
  readonly name: LocalName;
  /** Resolves when the VM has ended, with how. */
  readonly ended: Promise<RunEnding>;
  /** The IPv4 address at which the guest answers. @throws TartletError `GUEST_UNREACHABLE` */
  ip(options?: VmAddressOptions): Promise<string>;
  /** Runs a command in the guest, by the agent in it. @throws TartletError `GUEST_UNREACHABLE` */
  exec(words: readonly [string, ...string[]], options?: ExecVmOptions): Promise<GuestResult>;
  /**
   * Presses the power button, again until the guest hears it, and ends the VM after 30 s. Called once more: at once.
   */
  stop(): Promise<RunEnding>;
  /** Writes the memory to disk and ends. The guest goes on from there when the VM is run again. */
  suspend(): Promise<RunEnding>;
}

/** What the library knows of this process. */
export interface RunProcess {
  readonly pid: number;
  readonly isRoot: boolean;
  readonly arch: Arch | undefined;
}

const DEFAULTS: RunSettings = {
  disks: [],
  shares: [],
  rootDisk: DEFAULT_DISK_OPTIONS,
  network: { kind: 'user', isolated: false, published: [] },
  mtu: undefined,
  hostDevices: [],
  console: { kind: 'none' },
  screens: [],
  clipboard: false,
  sound: undefined,
  keyboard: true,
  pointer: true,
  nested: false,
  allowEmulation: false,
};

/**
 * Starts a VM in this process.
 *
 * @returns when its machine runs; the guest in it may still be booting.
 * @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING`, `NEEDS_MACOS`, `HOST_LACKS`, `GUEST_FAILED`
 */
export async function startVm(
  session: Session,
  name: LocalName,
  own: RunProcess,
  { onRunEvent = () => undefined, ...settings }: RunVmOptions,
): Promise<RunningVm> {
  const requests = new RunRequests();
  const endAtOnce = (): void => {
    for (const request of ['stop', 'stop'] as const) requests.ask(request);
  };
  session.signal.addEventListener('abort', endAtOnce);
  let tellStarted = (): void => undefined;
  const started = new Promise<void>((resolve) => {
    tellStarted = resolve;
  });
  const ended = runVm(session, name, {
    settings: { ...DEFAULTS, ...settings },
    requests,
    hostArch: own.arch,
    pid: own.pid,
    isRoot: own.isRoot,
    openArrival: async (vm, tell) => (await import('../lazy-disk/open-arrival.ts')).openArrival(session, vm, tell),
    onEvent: (event) => {
      if (event.kind === 'started') tellStarted();
      onRunEvent(event);
    },
  }).finally(() => session.signal.removeEventListener('abort', endAtOnce));
  const early = await Promise.race([started, ended]);
  if (early !== undefined) throw endedEarly(name, early);
  const ask = async (request: 'stop' | 'suspend'): Promise<RunEnding> => {
    requests.ask(request);
    return ended;
  };
  return {
    name,
    ended,
    ip: async (options = {}) => vmAddress(session, name, options),
    exec: async (words, options = {}) => execGathered(session, name, words, options),
    stop: async () => ask('stop'),
    suspend: async () => ask('suspend'),
    [Symbol.asyncDispose]: async () => {
      await ask('stop');
    },
  };
}

/** @throws TartletError `VM_NOT_FOUND`, `GUEST_UNREACHABLE`, `BUSY` */
export async function vmAddress(session: Session, name: LocalName, options: VmAddressOptions): Promise<string> {
  return addressOf(session, name, { waitMs: options.waitMs ?? 0, resolver: options.resolver ?? 'dhcp' });
}

/** Runs a command in a guest and gathers what it writes. @throws TartletError `VM_NOT_RUNNING`, `GUEST_UNREACHABLE` */
export async function execGathered(
  session: Session,
  name: LocalName,
  words: readonly [string, ...string[]],
  { input }: ExecVmOptions,
): Promise<GuestResult> {
  const written = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const gather = async (to: Uint8Array[], data: Uint8Array): Promise<void> => {
    // The pieces are views of memory that the next one may overwrite.
    to.push(Uint8Array.from(data));
    return Promise.resolve();
  };
  const exitCode = await execInVm(
    session,
    name,
    { words, input: input === undefined ? undefined : oncePiece(input), terminal: undefined },
    {
      stdout: async (data) => gather(written.stdout, data),
      stderr: async (data) => gather(written.stderr, data),
    },
  );
  return { exitCode, stdout: Buffer.concat(written.stdout), stderr: Buffer.concat(written.stderr) };
}

async function* oncePiece(input: string | Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield typeof input === 'string' ? Buffer.from(input) : input;
}

function endedEarly(name: LocalName, ending: RunEnding): TartletError {
  const why = ending.kind === 'crashed' ? ending.reason : 'it was told to end';
  return new TartletError('GUEST_FAILED', `the VM "${name.text}" ended before it had started: ${why}`, {
    subject: name.text,
  });
}
