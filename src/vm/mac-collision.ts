import { isTartletError } from '../errors.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { parseVmConfig } from './config-file.ts';
import type { MacAddress } from './mac-address.ts';

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
