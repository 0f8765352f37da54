import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { sealDisk } from '../../src/home/disk-seal.ts';
import { OurFile } from '../../src/home/home-entry.ts';
import { lookAtVmFolder } from '../../src/home/vm-folder.ts';
import { Digest } from '../../src/names/digest.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { cloneVm } from '../../src/vm/clone.ts';
import { copyVm } from '../../src/vm/clone-copy.ts';
import { parseVmConfig } from '../../src/vm/config-file.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { needsSeals } from '../support/seal.ts';
import { sha256 } from '../support/tart-image.ts';

const MANIFEST = 'the manifest';

describe('the copy of a sealed disk', () => {
  beforeEach(needsSeals);

  /** Whether the copy is sealed. @param happens when it was found sealed, before it is copied. */
  async function isSealed(kind: 'image' | 'vm', happens: (disk: string) => void = () => undefined): Promise<boolean> {
    const [from, to] = [`${temporaryFolder()}/from`, `${temporaryFolder()}/to`];
    plantVm(from);
    writeFileSync(`${from}/manifest.json`, MANIFEST);
    await sealDisk(from, Digest.parse(sha256(Buffer.from(MANIFEST))), 'linux');
    mkdirSync(to);
    const folder = lookAtVmFolder(from);
    if (folder === undefined) throw new Error('a VM was planted');
    await copyVm(
      freshSession(),
      {
        kind,
        text: 'source',
        folder,
        digest: undefined,
        manifest: `${from}/manifest.json`,
        unproven: [],
        holder: () => {
          happens(`${from}/disk.img`);
          return Promise.resolve('none');
        },
        whileThere: async (work) => work(),
        release: () => Promise.resolve(),
      },
      to,
    );
    return existsSync(`${to}/${OurFile.seal}`);
  }

  it('of an image is sealed', async () => {
    expect(await isSealed('image')).toBe(true);
  });

  it('of a VM is not: nobody holds it meanwhile', async () => {
    expect(await isSealed('vm')).toBe(false);
  });

  it('of an image that somebody writes to meanwhile is not', async () => {
    expect(await isSealed('image', (disk) => writeFileSync(disk, 'else'))).toBe(false);
  });
});

describe('a clone of a VM that QEMU suspended', () => {
  it('begins anew with an address of its own, and has the boot entries that QEMU keeps', async () => {
    const session = freshSession();
    const source = `${session.home.vmsFolder}/source`;
    plantVm(source);
    writeFileSync(`${source}/state.qemu`, 'memory');
    writeFileSync(`${source}/run.json`, '{}');
    writeFileSync(`${source}/nvram.qemu.fd`, 'boot entries');
    await cloneVm(session, 'source', LocalName.parse('copy'));
    const copy = `${session.home.vmsFolder}/copy`;
    const macOf = (folder: string): unknown =>
      parseVmConfig(readFileSync(`${folder}/config.json`), 'vm').mac.toString();
    expect(macOf(copy)).not.toBe(macOf(source));
    expect(readFileSync(`${copy}/nvram.qemu.fd`, 'utf8')).toBe('boot entries');
    expect([existsSync(`${copy}/state.qemu`), existsSync(`${copy}/run.json`)]).toEqual([false, false]);
  });
});
