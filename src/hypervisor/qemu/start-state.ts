import { setTimeout as delay } from 'node:timers/promises';
import { TartletError } from '../../errors.ts';
import { isJsonObject } from '../../json/foreign.ts';
import type { Qmp } from './qmp.ts';

/**
 * A KVM that does not work ends QEMU, or its guest, within this time in milliseconds (51 and 135 were seen, vm-run.md
 * §0).
 */
const KVM_FAILS_WITHIN_MS = 2000;
const LOOK_EVERY_MS = 50;

/**
 * A KVM that cannot run this guest leaves it in a state of its own, without an end (vm-run.md §0). @throws TartletError
 * `GUEST_FAILED`
 */
export async function requireProgress(qmp: Qmp): Promise<void> {
  for (let waited = 0; waited < KVM_FAILS_WITHIN_MS; waited += LOOK_EVERY_MS) {
    const status = await qmp.execute('query-status');
    if (isJsonObject(status) && status['status'] === 'internal-error') {
      throw new TartletError('GUEST_FAILED', 'KVM reports an internal error');
    }
    await delay(LOOK_EVERY_MS);
  }
}

/** The terminal that was made for the console. */
export async function ptyOf(qmp: Qmp): Promise<string | undefined> {
  const answer = await qmp.execute('query-chardev');
  const devices: readonly unknown[] = Array.isArray(answer) ? answer : [];
  for (const device of devices) {
    if (!isJsonObject(device) || device['label'] !== 'console') continue;
    return /^pty:(.+)$/.exec(String(device['filename']))?.[1];
  }
  return undefined;
}

/** Sets the password of the viewer: until it is set, no viewer can connect. @returns the port. */
export async function openVnc(qmp: Qmp, password: string): Promise<number | undefined> {
  await qmp.execute('set_password', { protocol: 'vnc', password });
  const vnc = await qmp.execute('query-vnc');
  return isJsonObject(vnc) ? Number(vnc['service']) : undefined;
}
