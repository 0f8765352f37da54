import { existsSync } from 'node:fs';
import { TartletError } from '../../errors.ts';

/** How the kernel shows PCI devices, by domain, bus, slot and function. */
const PCI_DEVICE = /^\/sys\/bus\/pci\/devices\/[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/**
 * A device as Vetu's `--device` takes it: `path=/sys/bus/pci/devices/0000:01:00.0`, perhaps with a slash and `iommu=on`
 * or `off`, which QEMU decides by itself (run-fleet-demand §2).
 *
 * @returns the device's directory below /sys.
 * @throws TartletError `USAGE`, `NOT_FOUND`
 */
export function parseHostDevice(text: string): string {
  const parameters = new Map(
    text.split(',').map((each) => {
      const at = each.indexOf('=');
      return at === -1 ? [each, ''] : [each.slice(0, at), each.slice(at + 1)];
    }),
  );
  const path = (parameters.get('path') ?? '').replace(/\/$/, '');
  const unknown = [...parameters.keys()].find((name) => name !== 'path' && name !== 'iommu');
  if (unknown !== undefined || !PCI_DEVICE.test(path)) {
    throw new TartletError('USAGE', `"${text}" does not say which device`, {
      next: { kind: 'in-words', words: 'write it like path=/sys/bus/pci/devices/0000:01:00.0' },
    });
  }
  if (!existsSync(path)) {
    throw new TartletError('NOT_FOUND', `this machine has no device at ${path}`, {
      subject: path,
      next: { kind: 'in-words', words: 'look for it by: lspci -D' },
    });
  }
  return path;
}
