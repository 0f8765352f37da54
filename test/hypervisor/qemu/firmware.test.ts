import { describe, expect, it } from 'vitest';
import { chooseFirmware } from '../../../src/hypervisor/qemu/firmware.ts';
import { keptBytes, useOfStore } from '../../../src/hypervisor/qemu/firmware-store.ts';
import { emptyEfiStore } from '../../../src/vm/efi-store.ts';

/** What Debian's package `ovmf` brings, in short. */
function descriptor(code: string, changes: object = {}): object {
  return {
    'interface-types': ['uefi'],
    mapping: {
      device: 'flash',
      executable: { filename: code, format: 'raw' },
      'nvram-template': { filename: `${code}.vars`, format: 'raw' },
    },
    targets: [{ architecture: 'x86_64', machines: ['pc-i440fx-*', 'pc-q35-*'] }],
    features: ['acpi-s3', 'amd-sev', 'verbose-dynamic'],
    ...changes,
  };
}

describe('the firmware of the host', () => {
  it('is the first that needs no Secure Boot and fits the architecture', () => {
    const found = chooseFirmware(
      [
        'no object',
        descriptor('/secure', { features: ['requires-smm', 'secure-boot', 'enrolled-keys'] }),
        descriptor('/bios', { 'interface-types': ['bios'] }),
        descriptor('/arm', { targets: [{ architecture: 'aarch64', machines: ['virt-*'] }] }),
        descriptor('/memory', { mapping: { device: 'memory', filename: '/memory' } }),
        descriptor('/plain'),
        descriptor('/later'),
      ],
      'amd64',
    );
    expect(found).toEqual({ code: '/plain', storeTemplate: '/plain.vars' });
  });

  it('is none where no descriptor fits', () => {
    expect(chooseFirmware([descriptor('/plain')], 'arm64')).toBeUndefined();
  });
});

describe('what an nvram.bin is (vm-run.md §5)', () => {
  const amd64 = emptyEfiStore('amd64');
  const arm64 = emptyEfiStore('arm64');

  it.each([
    ['a store of this firmware', amd64, amd64.length, 'amd64', { kind: 'own', padTo: undefined }],
    ['one of another size, which QEMU would hang on', amd64, 128 * 1024, 'amd64', { kind: 'foreign' }],
    ["what Tart's macOS writes", Buffer.alloc(64), 131_072, 'amd64', { kind: 'foreign' }],
    ['too short to tell', amd64.subarray(0, 10), amd64.length, 'amd64', { kind: 'foreign' }],
    ['768 KiB of arm64', arm64, 768 * 1024, 'arm64', { kind: 'own', padTo: 64 * 1024 * 1024 }],
    ['64 MiB of arm64', arm64, 64 * 1024 * 1024, 'arm64', { kind: 'own', padTo: undefined }],
    ['another size of arm64', arm64, 1024 * 1024, 'arm64', { kind: 'foreign' }],
  ] as const)('%s', (_, bytes, size, arch, use) => {
    expect(useOfStore(bytes.subarray(0, 64), size, { arch, templateSize: amd64.length })).toEqual(use);
  });

  it('of a padded flash only what carries anything is kept', () => {
    expect(keptBytes('arm64', 64 * 1024 * 1024)).toBe(786_432);
    expect(keptBytes('amd64', 540_672)).toBe(540_672);
  });
});
