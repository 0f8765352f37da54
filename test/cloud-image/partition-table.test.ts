import { execFileSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readPartitionTable } from '../../src/cloud-image/partition-table.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { describeWithParts } from '../support/real-parts.ts';

const MIB = 1024 * 1024;

function reader(disk: Buffer) {
  return async (at: number, length: number) => disk.subarray(at, at + length);
}

describeWithParts('the table of a disk', ['sfdisk'], () => {
  function divided(script: string): Buffer {
    const file = `${temporaryDirectory()}/disk`;
    writeFileSync(file, '');
    truncateSync(file, 16 * MIB);
    execFileSync('sfdisk', ['-q', file], { input: script });
    return readFileSync(file);
  }

  it('is read as sfdisk wrote it: a GPT, with gaps', async () => {
    const script = [
      'label: gpt',
      '1: start=2048, size=4096, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI"',
      '3: start=8192, size=2048, type=7C3457EF-0000-11AA-AA11-00306543ECAC, name="Grün"',
      '15: start=12288, size=1024, type=11111111-2222-3333-4444-555555555555',
    ];
    expect(await readPartitionTable(reader(divided(`${script.join('\n')}\n`)))).toEqual({
      kind: 'gpt',
      partitions: [
        {
          number: 1,
          type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
          typeName: 'EFI system',
          label: 'EFI',
          offset: MIB,
          size: 2 * MIB,
        },
        {
          number: 3,
          type: '7c3457ef-0000-11aa-aa11-00306543ecac',
          typeName: 'APFS',
          label: 'Grün',
          offset: 4 * MIB,
          size: MIB,
        },
        {
          number: 15,
          type: '11111111-2222-3333-4444-555555555555',
          typeName: null,
          label: '',
          offset: 6 * MIB,
          size: MIB / 2,
        },
      ],
    });
  });

  it('is read as sfdisk wrote it: an old one', async () => {
    const disk = divided('label: dos\nstart=2048, size=2048, type=83\nstart=4096, size=4096, type=ef\n');
    expect(await readPartitionTable(reader(disk))).toEqual({
      kind: 'mbr',
      partitions: [
        { number: 1, type: '83', typeName: null, label: null, offset: MIB, size: MIB },
        { number: 2, type: 'ef', typeName: null, label: null, offset: 2 * MIB, size: 2 * MIB },
      ],
    });
  });

  it('is none where there is none, or one that cannot be true', async () => {
    expect(await readPartitionTable(reader(Buffer.alloc(MIB)))).toEqual({ kind: 'none', partitions: [] });
    expect(await readPartitionTable(reader(Buffer.alloc(0)))).toEqual({ kind: 'none', partitions: [] });
    const disk = divided('label: gpt\nstart=2048, size=4096\n');
    // It ends before it begins.
    disk.writeBigUInt64LE(5n, 1024 + 40);
    expect(await readPartitionTable(reader(disk))).toEqual({ kind: 'gpt', partitions: [] });
    disk.writeUInt32LE(3, 512 + 84);
    expect(await readPartitionTable(reader(disk))).toEqual({ kind: 'gpt', partitions: [] });
  });
});
