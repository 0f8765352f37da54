import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { markUnmodified } from '../../src/home/unmodified-marker.ts';
import { OurFile } from '../../src/home/home-entry.ts';
import { lookAtVmDirectory } from '../../src/home/vm-directory.ts';
import { readSavedFacts, savedDisk, writeSavedFacts } from '../../src/home/vms/saved-facts.ts';
import { Digest } from '../../src/names/digest.ts';
import { LocalName } from '../../src/names/local-name.ts';
import type { Session } from '../../src/session/session.ts';
import { cloneVm } from '../../src/vm/clone.ts';
import { copyVm } from '../../src/vm/clone-copy.ts';
import { parseVmConfig } from '../../src/vm/config-file.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { needsSeals } from '../support/unmodified-marker.ts';
import { sha256 } from '../support/tart-image.ts';

const MANIFEST = 'the manifest';

describe('the copy of a marked as unmodified disk', () => {
  beforeEach(needsSeals);

  /**
   * Whether the copy is marked as unmodified. @param happens when it was found marked as unmodified, before it is
   * copied.
   */
  async function isSealed(kind: 'image' | 'vm', happens: (disk: string) => void = () => undefined): Promise<boolean> {
    const [from, to] = [`${temporaryDirectory()}/from`, `${temporaryDirectory()}/to`];
    plantVm(from);
    writeFileSync(`${from}/manifest.json`, MANIFEST);
    await markUnmodified(from, Digest.parse(sha256(Buffer.from(MANIFEST))), 'linux');
    mkdirSync(to);
    const directory = lookAtVmDirectory(from);
    if (directory === undefined) throw new Error('a VM was planted');
    await copyVm(
      freshSession(),
      {
        kind,
        hasMemory: false,
        text: 'source',
        directory,
        digest: undefined,
        manifest: `${from}/manifest.json`,
        unverified: [],
        holder: () => {
          happens(`${from}/disk.img`);
          return Promise.resolve('none');
        },
        whileThere: async (work) => work(),
        release: () => Promise.resolve(),
      },
      to,
    );
    return existsSync(`${to}/${OurFile.marker}`);
  }

  it('of an image is marked as unmodified', async () => {
    expect(await isSealed('image')).toBe(true);
  });

  it('of a VM is not: it is not locked meanwhile', async () => {
    expect(await isSealed('vm')).toBe(false);
  });

  it('of an image that a process writes to meanwhile is not', async () => {
    expect(await isSealed('image', (disk) => writeFileSync(disk, 'else'))).toBe(false);
  });
});

describe('a clone of a VM that QEMU suspended', () => {
  const FACTS = { version: 1, machine: 'identity', accelerator: 'tcg', mac: '7e:12:34:56:78:9a' } as const;
  const SECOND = { size: '7', mtime: '8' };

  /** A suspended VM, and the directory that its clone will have. */
  async function plantSuspended(): Promise<{ session: Session; source: string; copy: string; told: string[] }> {
    const told: string[] = [];
    const session = freshSession({
      onEvent: (event) => {
        if (event.kind === 'note') told.push(event.text);
      },
    });
    const source = `${session.home.vmsDirectory}/source`;
    plantVm(source);
    writeFileSync(`${source}/run.json`, '{}');
    writeFileSync(`${source}/nvram.qemu.fd`, 'boot entries');
    await writeSavedFacts(source, { ...FACTS, disks: [await savedDisk(`${source}/disk.img`), SECOND] });
    writeFileSync(`${source}/state.qemu`, 'memory', { mode: 0o600 });
    return { session, source, copy: `${session.home.vmsDirectory}/copy`, told };
  }

  const macOf = (directory: string): unknown =>
    parseVmConfig(readFileSync(`${directory}/config.json`), 'vm').mac.toString();

  it('is suspended as well: it has the memory, an address of its own, and the boot entries that QEMU keeps', async () => {
    const { session, source, copy } = await plantSuspended();
    await cloneVm(session, 'source', LocalName.parse('copy'));
    expect(macOf(copy)).not.toBe(macOf(source));
    expect(readFileSync(`${copy}/nvram.qemu.fd`, 'utf8')).toBe('boot entries');
    expect(readFileSync(`${copy}/state.qemu`, 'utf8')).toBe('memory');
    // What the guest knows its card by is in its memory, and the disk is the copy's.
    expect(await readSavedFacts(copy)).toEqual({ ...FACTS, disks: [await savedDisk(`${copy}/disk.img`), SECOND] });
    expect(['state.qemu', 'state.json'].map((name) => statSync(`${copy}/${name}`).mode & 0o777)).toEqual([
      0o600, 0o600,
    ]);
    expect(existsSync(`${copy}/run.json`)).toBe(false);
    // And the VM that it was cloned from goes on as before.
    expect(await readSavedFacts(source)).toMatchObject({ disks: [await savedDisk(`${source}/disk.img`), SECOND] });
  });

  it('begins anew, and says so, where the disk was written since', async () => {
    const { session, source, copy, told } = await plantSuspended();
    writeFileSync(`${source}/disk.img`, 'written since');
    await cloneVm(session, 'source', LocalName.parse('copy'));
    expect(existsSync(`${copy}/state.qemu`)).toBe(false);
    expect(told).toContain(
      'source is suspended, and its memory does not belong to its disk any more: the clone begins anew',
    );
  });

  it('cannot be made of one disk and another memory: while it is made, the VM does not go on', async () => {
    const { session, source, copy } = await plantSuspended();
    const lock = await session.vms.hold(await session.vms.require(LocalName.parse('source')));
    try {
      // It goes on just now. Where the disk could be cloned in one moment, it is one of a power cut.
      await cloneVm(session, 'source', LocalName.parse('copy')).catch(() => undefined);
      expect(existsSync(`${copy}/state.qemu`)).toBe(false);
    } finally {
      await lock.release();
    }
    expect(existsSync(`${source}/state.qemu`)).toBe(true);
  });
});
