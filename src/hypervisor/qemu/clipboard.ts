import type { Qmp } from './qmp.ts';

/** The name of what stands behind the port of the clipboard, by which `spice-vdagent` in the guest speaks. */
export const CLIPBOARD = 'clipboard';

/**
 * Gives the guest the clipboard of its viewer, by VNC or in the window. Where this QEMU was built without, it has
 * none, as it is where the guest has no agent.
 */
export async function connectClipboard(qmp: Qmp): Promise<void> {
  const backend = { type: 'qemu-vdagent', data: { clipboard: true, mouse: false } };
  await qmp.execute('chardev-change', { id: CLIPBOARD, backend }).catch(() => undefined);
}

/**
 * Before the memory is saved: what mediates cannot be saved with it, and keeps QEMU from saving any (QEMU 7.2,
 * `ui/vdagent.c`). The guest must still be running, or its port takes no other end (`hw/char/virtio-console.c`).
 */
export async function disconnectClipboard(qmp: Qmp): Promise<void> {
  const backend = { type: 'null', data: {} };
  await qmp.execute('chardev-change', { id: CLIPBOARD, backend }).catch(() => undefined);
}
