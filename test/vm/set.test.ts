import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import type { Session } from '../../src/session/session.ts';
import { parseDisplay } from '../../src/vm/display.ts';
import { setVm, type SetOptions } from '../../src/vm/set.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession, plantVm } from '../support/home.ts';
import { runVm } from '../support/running-vm.ts';

const GB = 1_000_000_000;
const vm = LocalName.parse('vm');

interface Planted {
  readonly session: Session;
  readonly directory: string;
}

function plant(changes: Record<string, unknown> = {}): Planted {
  const session = freshSession();
  const directory = `${session.home.vmsDirectory}/vm`;
  plantVm(directory);
  writeFileSync(`${directory}/config.json`, JSON.stringify({ ...JSON.parse(configJson()), ...changes }));
  return { session, directory };
}

function config(directory: string): Record<string, unknown> {
  return JSON.parse(readFileSync(`${directory}/config.json`, 'utf8')) as Record<string, unknown>;
}

function beginning(file: string, bytes: number): string {
  const fd = openSync(file, 'r');
  const buffer = Buffer.alloc(bytes);
  readSync(fd, buffer);
  closeSync(fd);
  return buffer.toString();
}

/** Everything that a refused command must leave as it was. */
function state(directory: string): unknown {
  const files = readdirSync(directory).filter((file) => file !== '.last-used');
  return files.map((file) => {
    const stats = statSync(`${directory}/${file}`, { bigint: true });
    return [file, stats.ino, stats.size, stats.mtimeNs, stats.blocks];
  });
}

const DARWIN = {
  os: 'darwin',
  ecid: 'YnBsaXN0MDDRAQJURUNJRBMAAAAASZYC0wgLEAAAAAAAAAEBAAAAAAAAAAMAAAAAAAAAAAAAAAAAAAAZ',
  hardwareModel: 'AAAA',
};

describe('the configuration', () => {
  it('is changed where asked and nowhere else, unknown keys included', async () => {
    const { session, directory } = plant({ future: { keep: [1, 'a/b'] }, displayRefit: true });
    const before = config(directory);
    await setVm(session, vm, {
      cpuCount: 6,
      memoryBytes: 8 * 1024 ** 3,
      display: { width: 1920, height: 1080, unit: 'px' },
    });
    expect(config(directory)).toEqual({
      ...before,
      cpuCount: 6,
      memorySize: 8_589_934_592,
      display: { width: 1920, height: 1080, unit: 'px' },
    });
  });

  it('stays the very file that a process may have locked', async () => {
    const { session, directory } = plant();
    const { ino } = statSync(`${directory}/config.json`);
    await setVm(session, vm, { cpuCount: 6 });
    await setVm(session, vm, { cpuCount: 16 });
    expect(statSync(`${directory}/config.json`).ino).toBe(ino);
    expect(readdirSync(directory).sort()).toEqual(['.last-used', 'config.json', 'disk.img', 'nvram.bin']);
  });

  it('stays byte for byte when nothing is asked (tart-cli §7 #34)', async () => {
    const { session, directory } = plant();
    const before = state(directory);
    await setVm(session, vm, {});
    await setVm(session, vm, { diskBytes: 4 });
    expect(state(directory)).toEqual(before);
  });

  it('forgets the unit of a display that is given without one', async () => {
    const { session, directory } = plant({ display: { width: 1, height: 1, unit: 'pt' } });
    await setVm(session, vm, { display: { width: 800, height: 600 } });
    expect(config(directory)['display']).toEqual({ width: 800, height: 600 });
  });

  it('takes what is said about refitting (tart-cli §7 #34)', async () => {
    const { session, directory } = plant();
    await setVm(session, vm, { displayRefit: false });
    expect(config(directory)['displayRefit']).toBe(false);
  });

  it('gets a new local MAC address', async () => {
    const { session, directory } = plant();
    expect(await setVm(session, vm, { randomMac: true })).toEqual({ staleState: 'none' });
    expect(config(directory)['macAddress']).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    expect(config(directory)['macAddress']).not.toBe('7e:12:34:56:78:9a');
  });

  it('of a suspended VM may change, and its saved state stays', async () => {
    const { session, directory } = plant();
    writeFileSync(`${directory}/state.vzvmsave`, 'memory');
    expect(await setVm(session, vm, { randomMac: true })).toEqual({ staleState: 'identity' });
    expect(readFileSync(`${directory}/state.vzvmsave`, 'utf8')).toBe('memory');
  });

  it('of a VM that QEMU suspended may change in what a guest gets when it goes on, and else the memory does not fit', async () => {
    const { session, directory } = plant();
    writeFileSync(`${directory}/state.qemu`, 'memory');
    expect(await setVm(session, vm, { randomMac: true })).toEqual({ staleState: 'none' });
    expect(await setVm(session, vm, { cpuCount: 2 })).toEqual({ staleState: 'machine' });
    await expect(setVm(session, vm, { diskBytes: 1_000_000_000 })).rejects.toMatchObject({ code: 'VM_RUNNING' });
  });

  it('of a macOS guest gets a new serial number, of a Linux guest none', async () => {
    const mac = plant(DARWIN);
    await setVm(mac.session, vm, { randomSerial: true });
    expect(config(mac.directory)['ecid']).not.toBe(DARWIN.ecid);
    expect(config(mac.directory)).toMatchObject({ hardwareModel: 'AAAA', cpuCount: 4 });
    const linux = plant();
    await setVm(linux.session, vm, { randomSerial: true });
    expect(config(linux.directory)).not.toHaveProperty('ecid');
  });

  it('loses nothing when many change it at once', async () => {
    const { session, directory } = plant();
    await Promise.all([
      setVm(session, vm, { cpuCount: 7 }),
      setVm(session, vm, { memoryBytes: 1024 ** 3 }),
      setVm(session, vm, { display: { width: 2, height: 3 } }),
      setVm(session, vm, { displayRefit: true }),
    ]);
    expect(config(directory)).toMatchObject({
      cpuCount: 7,
      memorySize: 1024 ** 3,
      display: { width: 2, height: 3 },
      displayRefit: true,
    });
  });
});

describe('the disk', () => {
  it('grows to the size asked for, as a hole', async () => {
    const { session, directory } = plant();
    const { blocks } = statSync(`${directory}/disk.img`);
    await setVm(session, vm, { diskBytes: 3 * GB });
    expect(statSync(`${directory}/disk.img`)).toMatchObject({ size: 3 * GB, blocks });
    expect(beginning(`${directory}/disk.img`, 4)).toBe('disk');
  });

  it('is replaced by a sparse copy, grown if asked, and the source is left alone', async () => {
    const { session, directory } = plant();
    const source = `${temporaryDirectory()}/other.img`;
    writeFileSync(source, 'other', { mode: 0o444 });
    truncateSync(source, 64 * 1024 * 1024);
    await setVm(session, vm, { disk: source, diskBytes: GB, cpuCount: 5 });
    const disk = statSync(`${directory}/disk.img`);
    expect(disk).toMatchObject({ size: GB, mode: 0o100644 });
    expect(disk.blocks * 512).toBeLessThan(64 * 1024);
    expect(beginning(`${directory}/disk.img`, 6)).toBe('other\0');
    expect(config(directory)['cpuCount']).toBe(5);
    expect(statSync(source).size).toBe(64 * 1024 * 1024);
    expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
  });
});

describe('whatever is wrong, nothing is changed', () => {
  const cases: [string, Record<string, unknown>, SetOptions, string][] = [
    ['a smaller disk', {}, { cpuCount: 5, diskBytes: 3 }, 'CONFIG_INVALID'],
    ['a disk image that is missing', {}, { cpuCount: 5, disk: '/nowhere/disk.img' }, 'NOT_FOUND'],
    ['a directory as disk image', {}, { cpuCount: 5, disk: '/' }, 'DISK_UNSUPPORTED'],
    ['an ASIF disk to grow', { diskFormat: 'asif' }, { cpuCount: 5, diskBytes: GB }, 'NEEDS_MACOS'],
    ['an ASIF disk to replace', { diskFormat: 'asif' }, { disk: '/etc/hostname' }, 'NEEDS_MACOS'],
    ['no processor at all', {}, { cpuCount: 0, diskBytes: GB }, 'CONFIG_INVALID'],
    ['less than a macOS guest needs', { ...DARWIN, cpuCountMin: 4 }, { cpuCount: 3, diskBytes: GB }, 'CONFIG_INVALID'],
    ['too little memory', { ...DARWIN }, { memoryBytes: 4_294_967_295, diskBytes: GB }, 'CONFIG_INVALID'],
    ['a broken configuration', { cpuCount: 'four' }, { cpuCount: 4 }, 'CONFIG_INVALID'],
  ];
  it.each(cases)('%s', async (_, changes, options, code) => {
    const { session, directory } = plant(changes);
    const before = state(directory);
    await expect(setVm(session, vm, options)).rejects.toMatchObject({ code });
    expect(state(directory)).toEqual(before);
  });

  it('a disk smaller than the image that shall replace it', async () => {
    const { session, directory } = plant();
    const source = `${temporaryDirectory()}/other.img`;
    writeFileSync(source, 'x'.repeat(100));
    const before = state(directory);
    await expect(setVm(session, vm, { disk: source, diskBytes: 99 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(state(directory)).toEqual(before);
  });

  it('a stacked VM', async () => {
    const session = freshSession();
    const directory = `${session.home.vmsDirectory}/vm`;
    mkdirSync(directory, { recursive: true });
    for (const [file, text] of [
      ['config.json', configJson()],
      ['nvram.bin', ''],
      ['manifest.json', '{}'],
      ['overlay.asif', 'x'],
    ] as const)
      writeFileSync(`${directory}/${file}`, text);
    const before = state(directory);
    await expect(setVm(session, vm, { cpuCount: 4, diskBytes: GB })).rejects.toMatchObject({ code: 'NEEDS_MACOS' });
    expect(state(directory)).toEqual(before);
  });

  it('the disk of a suspended VM, which its memory still uses', async () => {
    const { session, directory } = plant();
    writeFileSync(`${directory}/state.vzvmsave`, 'memory');
    const before = state(directory);
    await expect(setVm(session, vm, { diskBytes: GB })).rejects.toMatchObject({ code: 'VM_RUNNING' });
    expect(state(directory)).toEqual(before);
  });

  it('a VM that is not there', async () => {
    await expect(setVm(freshSession(), vm, { cpuCount: 4 })).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
  });
});

describe.runIf(process.platform === 'linux')('a running VM', () => {
  it('keeps its disk and its lock, and takes a new configuration (tart-cli §7 #11)', async () => {
    const { session, directory } = plant();
    await runVm(directory);
    const disk = statSync(`${directory}/disk.img`).ino;
    for (const options of [{ diskBytes: GB }, { disk: '/etc/hostname' }, { diskBytes: GB, cpuCount: 9 }]) {
      await expect(setVm(session, vm, options)).rejects.toMatchObject({ code: 'VM_RUNNING' });
    }
    expect(config(directory)['cpuCount']).toBe(4);
    await setVm(session, vm, { cpuCount: 5 });
    expect(config(directory)['cpuCount']).toBe(5);
    expect(statSync(`${directory}/disk.img`)).toMatchObject({ ino: disk, size: 4 });
    expect(await session.vms.state(await session.vms.require(vm))).toBe('running');
  });
});

describe('a display', () => {
  it.each([
    ['1920x1080', { width: 1920, height: 1080 }],
    ['960x540pt', { width: 960, height: 540, unit: 'pt' }],
    ['1x1px', { width: 1, height: 1, unit: 'px' }],
  ])('is read from %s', (text, display) => {
    expect(parseDisplay(text)).toEqual(display);
  });

  it.each([
    '',
    'x',
    '1920',
    '1920x',
    'x1080',
    '0x1080',
    '1920x0',
    '1920X1080',
    '1920x1080em',
    ' 1x1',
    '1x1 ',
    '-1x1',
    '1x1x1',
    '1.5x2',
    '100000x1',
  ])('is not read from "%s"', (text) => {
    expect(parseDisplay(text)).toBeUndefined();
  });
});
