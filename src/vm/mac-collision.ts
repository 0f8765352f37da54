import { randomBytes } from 'node:crypto';
import { isTartletError } from '../errors.ts';
import { writeNewFile } from '../fs/fsync.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { type VmConfig, withMac } from './config.ts';
import { parseVmConfig, serializeVmConfig } from './config-file.ts';
import { MacAddress } from './mac-address.ts';

/**
 * Whether a local VM has this address already: two with one would get one IP address (tart-cli §4.10). A VM whose
 * configuration cannot be read has no say (tart-cli §7 #30).
 *
 * @param except the VM that is about to be replaced, or to run. @param among which VMs are asked. Default: all.
 */
export async function isMacTaken(
  session: Session,
  mac: MacAddress,
  except: LocalName,
  among: 'all' | 'running' = 'all',
): Promise<boolean> {
  for (const vm of session.vms.list()) {
    if (vm.name.equals(except)) continue;
    const file = `${vm.directory.path}/${VmFile.config}`;
    try {
      const config = parseVmConfig(await readSmallFile(file), vm.name.text);
      if (!config.mac.equals(mac)) continue;
      if (among === 'all' || (await session.vms.state(vm)) === 'running') return true;
    } catch (error) {
      if (!isTartletError(error) || isTartletError(error, 'INTERNAL')) throw error;
    }
  }
  return false;
}

/** A VM that is being made of another thing. */
export interface NewVm {
  /** Not published yet. */
  readonly directory: string;
  /** What it is made of, for messages. */
  readonly source: string;
  /** That it gets. */
  readonly name: LocalName;
}

/**
 * Whether a new VM has the MAC address of another: both would get one IP address.
 */
export async function hasTakenMac(session: Session, vm: NewVm): Promise<boolean> {
  return isMacTaken(session, (await configIn(vm)).mac, vm.name);
}

/** Gives a new VM another MAC address. */
export async function changeMac(vm: NewVm): Promise<void> {
  const changed = withMac(await configIn(vm), MacAddress.random(randomBytes));
  await writeNewFile(`${vm.directory}/${VmFile.config}`, serializeVmConfig(changed, 'file'));
}

async function configIn({ directory, source }: NewVm): Promise<VmConfig> {
  return parseVmConfig(await readSmallFile(`${directory}/${VmFile.config}`), source);
}
