import { TartletError } from '../errors.ts';
import type { JsonObject } from '../json/foreign.ts';
import { DEFAULT_DISPLAY, type Display } from './display.ts';
import type { MacAddress } from './mac-address.ts';

/** The processor of a guest, as OCI platforms call it. */
export type Arch = 'arm64' | 'amd64';
export type DiskFormat = 'raw' | 'asif';

interface CommonConfig {
  /** Always 1 so far; Tart does not look at it. */
  readonly version: number;
  readonly arch: Arch;
  readonly cpuCountMin: number;
  readonly cpuCount: number;
  /** Bytes. */
  readonly memorySizeMin: number;
  /** Bytes. */
  readonly memorySize: number;
  readonly mac: MacAddress;
  readonly display: Display;
  /** Whether the guest's screen follows the window; undefined when never said. */
  readonly displayRefit: boolean | undefined;
  readonly diskFormat: DiskFormat;
  /**
   * The object this was read from, empty for a new VM. Keys that we do not know are written back from here. Tart drops
   * them, and with them what a newer Tart meant. Numbers in them beyond 2^53 lose digits, as everywhere in JavaScript.
   */
  readonly document: JsonObject;
}

export interface LinuxConfig extends CommonConfig {
  readonly os: 'linux';
}

export interface DarwinConfig extends CommonConfig {
  readonly os: 'darwin';
  /** The machine identifier, in base64. Opaque: never decoded, never written in another way. */
  readonly ecid: string;
  /** The hardware model, in base64. Opaque. */
  readonly hardwareModel: string;
}

/** A VM's `config.json` (tart-formats §3). Immutable: the functions below give changed copies. */
export type VmConfig = DarwinConfig | LinuxConfig;

const MIB = 1024 * 1024;

/** A new Linux VM as Tart makes it: 4 processors, 4096 MiB, 1024x768 and a raw disk. */
export function newLinuxConfig(options: { readonly arch: Arch; readonly mac: MacAddress }): LinuxConfig {
  return {
    version: 1,
    os: 'linux',
    arch: options.arch,
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 4096 * MIB,
    memorySize: 4096 * MIB,
    mac: options.mac,
    display: DEFAULT_DISPLAY,
    displayRefit: undefined,
    diskFormat: 'raw',
    document: {},
  };
}

export function withMac<T extends VmConfig>(config: T, mac: MacAddress): T {
  return { ...config, mac };
}

/**
 * A macOS guest keeps the minimum that its restore image named; Linux has none (tart-cli §1.4).
 *
 * @throws TartletError `CONFIG_INVALID` for less than that, and for less than one.
 */
export function withCpu<T extends VmConfig>(config: T, cpuCount: number): T {
  const least = config.os === 'darwin' ? Math.max(1, config.cpuCountMin) : 1;
  requireAtLeast(cpuCount, least, (count) => `${count} CPU${count === 1 ? '' : 's'}`);
  return { ...config, cpuCount };
}

/**
 * The same rule as for {@link withCpu}.
 *
 * @param memorySize bytes.
 * @throws TartletError `CONFIG_INVALID`
 */
export function withMemory<T extends VmConfig>(config: T, memorySize: number): T {
  const least = config.os === 'darwin' ? Math.max(MIB, config.memorySizeMin) : MIB;
  requireAtLeast(memorySize, least, (bytes) => `${bytes / MIB} MiB of memory`);
  return { ...config, memorySize };
}

/** Replaces the unit too: a display without one forgets the old (tart-cli §1.4). */
export function withDisplay<T extends VmConfig>(config: T, display: Display): T {
  return { ...config, display };
}

/** @param displayRefit undefined forgets what was said before. */
export function withDisplayRefit<T extends VmConfig>(config: T, displayRefit: boolean | undefined): T {
  return { ...config, displayRefit };
}

function requireAtLeast(value: number, least: number, text: (value: number) => string): void {
  if (!Number.isSafeInteger(value)) throw new TartletError('CONFIG_INVALID', `${value} is not a whole number`);
  if (value >= least) return;
  throw new TartletError('CONFIG_INVALID', `this VM cannot have ${text(value)}: it needs at least ${text(least)}`, {
    expected: String(least),
    found: String(value),
  });
}
