import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError } from '../errors.ts';
import { isMissing, onDisk } from '../fs/disk-error.ts';
import { createFile, moveEntry } from '../fs/entry.ts';
import { openPlainFile } from '../fs/plain-file.ts';
import { modeIn } from '../fs/sharing.ts';
import { exactStatIfThere, lstatIfThere } from '../fs/stats.ts';
import { QemuFile } from '../hypervisor/qemu/qemu-file.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';

/** So much is read at once, in bytes. */
const PIECE_BYTES = 64 * 1024;

/** Between two looks at a log that has ended for now, in milliseconds. */
const LOOK_EVERY_MS = 200;

export interface LogOptions {
  /** Of the run before the last one. */
  readonly former: boolean;
  /** Goes on with what comes, also of later runs, until the VM is deleted or the session is told to end. */
  readonly follow: boolean;
}

/**
 * What the guest of a VM wrote to its serial console, byte for byte; of a VM that runs and of one that does not.
 *
 * @throws TartletError `VM_NOT_FOUND`, `NOT_FOUND` when there is none, `DISK_*`
 */
export async function* readSerialLog(
  session: Session,
  name: LocalName,
  { former, follow }: LogOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const vm = await session.vms.require(name);
  const file = `${vm.directory.path}/${former ? `${QemuFile.log}.1` : QemuFile.log}`;
  if (former || !follow) yield* readOnce(file, name, session.platform);
  else yield* followLog(session, name, file);
}

async function* readOnce(
  file: string,
  name: LocalName,
  platform: NodeJS.Platform,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await openIfThere(file);
  if (handle === undefined) throw noLog(name, platform);
  try {
    yield* readOn(handle, 0);
  } finally {
    await handle.close();
  }
}

function noLog(name: LocalName, platform: NodeJS.Platform): TartletError {
  if (platform === 'darwin') {
    return new TartletError('NOT_FOUND', `the VM "${name.text}" has no serial log: Tart keeps none`, {
      subject: name.text,
      next: { kind: 'read-serial-console' },
    });
  }
  return new TartletError('NOT_FOUND', `the VM "${name.text}" has no serial log: it has not run here yet`, {
    subject: name.text,
    next: { kind: 'start-vm', vm: name.text },
  });
}

/** A new run has a new file under the same name: the old one is read to its end before. */
async function* followLog(
  session: Session,
  name: LocalName,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let handle = await openIfThere(file);
  if (handle === undefined && session.platform === 'darwin') throw noLog(name, session.platform);
  let position = 0;
  try {
    for (;;) {
      const isReplaced = handle === undefined || !(await isStill(file, handle));
      if (handle !== undefined) {
        // One that was emptied begins anew.
        if ((await handle.stat()).size < position) position = 0;
        for await (const piece of readOn(handle, position)) {
          position += piece.length;
          yield piece;
        }
      }
      if (isReplaced) {
        await handle?.close();
        handle = await openIfThere(file);
        position = 0;
        if (handle !== undefined) continue;
        if (session.vms.find(name) === undefined) return;
      }
      await delay(LOOK_EVERY_MS, undefined, { signal: session.signal });
    }
  } finally {
    await handle?.close();
  }
}

async function* readOn(handle: FileHandle, from: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let position = from; ; ) {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function isStill(file: string, handle: FileHandle): Promise<boolean> {
  const [there, ours] = await Promise.all([exactStatIfThere(file), handle.stat({ bigint: true })]);
  return there?.ino === ours.ino && there.dev === ours.dev;
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  return onDisk('read', file, async () => openPlainFile(file)).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}

/**
 * So much of a log's end is looked at, in bytes: the first word of a kernel is further back in none that stopped early.
 */
const TAIL_BYTES = 256 * 1024;

/** The end of the serial log of a VM; nothing where there is none. @param directory of the VM. */
export async function readTail(directory: string): Promise<Uint8Array> {
  const handle = await openIfThere(`${directory}/${QemuFile.log}`);
  if (handle === undefined) return new Uint8Array();
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** What moves cursors and colours text (ECMA-48, "CSI"). */
// oxlint-disable-next-line no-control-regex -- it begins with one
const COMMAND = /\u001B\[[0-9;?]*[A-Za-z]/g;

/**
 * The lines at the end of a VM's serial log, those that are not empty, without what commands terminals. @returns none
 * where none can be read.
 */
export async function lastLines(directory: string): Promise<readonly string[]> {
  const bytes = await readTail(directory).catch(() => new Uint8Array());
  return Buffer.from(bytes)
    .toString('utf8')
    .replaceAll(COMMAND, '')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
}

/** What a guest says is for its user. */
const LOG_MODE = 0o600;

/** The log of one run, and the one before it: a guest says what it wants, for as long as it runs. */
export async function beginLog(directory: string): Promise<void> {
  const log = `${directory}/${QemuFile.log}`;
  await onDisk('write', log, async () => {
    // Moved and not emptied: a link in its place is not followed, and another user's file is not ours to write.
    if ((await lstatIfThere(log)) !== undefined) await moveEntry(log, `${log}.1`);
    await (await createFile(log, 'refuse', await modeIn(directory, LOG_MODE))).close();
  });
}
