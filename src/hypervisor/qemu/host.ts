import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describeError, TartletError } from '../../errors.ts';
import { findProgram } from '../../fs/system-program.ts';
import { parseJson } from '../../json/foreign.ts';
import type { Arch } from '../../vm/config.ts';
import { DIE_WITH_US } from './bound-process.ts';
import type { QemuHost } from './command-line.ts';
import { chooseFirmware, DESCRIPTOR_DIRECTORIES } from './firmware.ts';

const PROGRAM = { amd64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' } as const satisfies Record<Arch, string>;

/** Where QEMU's helper for bridges is, by distribution. */
const BRIDGE_HELPERS = ['/usr/lib/qemu/qemu-bridge-helper', '/usr/libexec/qemu-bridge-helper'];

/**
 * Finds what runs guests of an architecture.
 *
 * @param searchPath the environment's `PATH`. Only absolute directories of it are looked into.
 * @throws TartletError `HOST_LACKS`.
 */
export async function findQemu(arch: Arch, searchPath: string): Promise<QemuHost> {
  const program = await findProgram(searchPath, PROGRAM[arch]);
  if (program === undefined) throw lacking(arch, `${PROGRAM[arch]} is not installed`);
  const firmware = chooseFirmware(await readDescriptors(), arch);
  if (firmware === undefined || !existsSync(firmware.code) || !existsSync(firmware.storeTemplate)) {
    throw lacking(arch, `there is no UEFI firmware for ${arch} guests`);
  }
  return {
    program,
    version: await versionOf(program, arch),
    firmware,
    bridgeHelper: findBridgeHelper(),
    dieWithUs: await dieWithUs(await findProgram(searchPath, 'setpriv')),
  };
}

/** QEMU's helper that connects guests to bridges. @returns undefined where it is not installed. */
export function findBridgeHelper(): string | undefined {
  return BRIDGE_HELPERS.find((helper) => existsSync(helper));
}

async function versionOf(program: string, arch: Arch): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 30_000 });
    return stdout.split('\n', 1)[0] ?? '';
  } catch (cause) {
    throw lacking(arch, `${program} does not start: ${describeError(cause)}`);
  }
}

/** Busybox has a program of the same name that cannot do this. */
async function dieWithUs(setpriv: string | undefined): Promise<string | undefined> {
  if (setpriv === undefined) return undefined;
  try {
    await promisify(execFile)(setpriv, [...DIE_WITH_US, '/bin/sh', '-c', ':'], { timeout: 30_000 });
    return setpriv;
  } catch {
    return undefined;
  }
}

function lacking(arch: Arch, what: string): TartletError {
  return new TartletError('HOST_LACKS', `this machine cannot run ${arch} guests: ${what}`, {
    next: { kind: 'install-qemu', arch },
  });
}

async function readDescriptors(): Promise<unknown[]> {
  const byName = new Map<string, string>();
  for (const directory of DESCRIPTOR_DIRECTORIES.toReversed()) {
    for (const name of await readdir(directory).catch(() => [])) {
      if (name.endsWith('.json')) byName.set(name, `${directory}/${name}`);
    }
  }
  const files = [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
  return Promise.all(files.map(readDescriptor));
}

/** One that cannot be read, or is no JSON, describes nothing. */
async function readDescriptor(file: string): Promise<unknown> {
  const bytes = await readFile(file).catch(() => undefined);
  return bytes === undefined ? undefined : parseJson(bytes);
}
