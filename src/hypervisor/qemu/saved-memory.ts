import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { createFile } from '../../fs/entry.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { isJsonObject } from '../../json/foreign.ts';
import type { Qmp } from './qmp.ts';

/*
 * A guest's memory goes through a socket of ours to its file and back, and not through a program that QEMU starts: so
 * QEMU may be kept from starting any.
 */

/** A memory that a guest goes on from once, and never again. */
export interface SavedMemory {
  readonly file: string;
  /**
   * The address of the network card in it: another one than the machine's, where the VM is a copy of the one that was
   * suspended.
   */
  readonly mac: string;
  /**
   * Called when QEMU has taken in all of it, before the guest goes on: from then on its disk and this memory do not
   * belong together.
   */
  readonly beforeGoingOn: () => Promise<void>;
}

const LOOK_EVERY_MS = 50;

/**
 * Writes the memory of a guest that stands still.
 *
 * @param socket a name that is free.
 * @throws TartletError `DISK_*` when there is no room for it, `GUEST_FAILED` when QEMU cannot, e.g. because of a device
 * that cannot be saved. What was written is of no use then.
 */
export async function saveMemory(
  qmp: Qmp,
  file: string,
  socket: { readonly ours: string; readonly qemus: string },
): Promise<void> {
  const handle = await onDisk('write', file, async () => createFile(file, 'empty', 0o600));
  const server = createServer();
  /** Nothing is written when QEMU refuses, and nothing is waited for then. */
  let written = Promise.resolve();
  server.on('connection', (connection) => {
    const target = handle.createWriteStream();
    written = onDisk('write', file, async () => pipeline(connection, target));
    written.catch(() => undefined); // Seen below.
  });
  try {
    server.listen(socket.ours);
    await once(server, 'listening');
    await qmp.execute('migrate', { uri: `unix:${socket.qemus}` });
    try {
      await untilMoved(qmp);
    } finally {
      // Where the file could not be written QEMU knows only that nothing took its words: the reason is this one.
      await written;
    }
  } finally {
    server.close();
    await handle.close(); // As the stream did, if there was one.
  }
}

/**
 * Gives a waiting QEMU the memory that the guest goes on from. The guest stands still then. @throws TartletError
 * `GUEST_FAILED`
 */
export async function restoreMemory(
  qmp: Qmp,
  file: string,
  socket: { readonly ours: string; readonly qemus: string },
): Promise<void> {
  await qmp.execute('migrate-incoming', { uri: `unix:${socket.qemus}` });
  try {
    const handle = await openPlainFile(file);
    // QEMU closes its end once it has seen the last byte, which may be before we close ours.
    await pipeline(handle.createReadStream(), connect({ path: socket.ours, allowHalfOpen: true }));
  } catch (cause) {
    throw new TartletError('GUEST_FAILED', `the saved memory cannot be read: ${describeError(cause)}`, { cause });
  }
  for (;;) {
    const status = await qmp.execute('query-status');
    const state = isJsonObject(status) ? status['status'] : undefined;
    if (state !== 'inmigrate') return;
    await delay(LOOK_EVERY_MS);
  }
}

async function untilMoved(qmp: Qmp): Promise<void> {
  for (;;) {
    const answer = await qmp.execute('query-migrate');
    const { status, 'error-desc': reason } = isJsonObject(answer) ? answer : {};
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled') {
      throw new TartletError(
        'GUEST_FAILED',
        `the memory cannot be saved: ${typeof reason === 'string' ? reason : status}`,
      );
    }
    await delay(LOOK_EVERY_MS);
  }
}
