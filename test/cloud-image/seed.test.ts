import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { readIso, writeIso } from '../../src/cloud-image/iso.ts';
import { isHeeded, seedFor, writeSeed } from '../../src/cloud-image/seed.ts';
import { temporaryDirectory } from '../support/directory.ts';

const CONFIG = Buffer.from('#cloud-config\nusers: []\n');

function texts(image: Uint8Array): Record<string, string> {
  return Object.fromEntries((readIso(image) ?? []).map(({ name, content }) => [name, Buffer.from(content).toString()]));
}

describe('a seed for cloud-init', () => {
  it('has the label that cloud-init looks for, by the word of the system, and one name for each guest', () => {
    const file = `${temporaryDirectory()}/seed.iso`;
    const seed = writeSeed(
      { userData: CONFIG, networkConfig: Buffer.from('version: 2\n') },
      { instanceId: 'i-1', vmName: 'ci' },
    );
    writeFileSync(file, seed);
    expect(
      execFileSync('blkid', ['-p', '-s', 'LABEL', '-s', 'TYPE', '-o', 'export', file], { encoding: 'utf8' }),
    ).toMatch(/LABEL=cidata\nTYPE=iso9660/);
    expect(texts(seed)).toEqual({
      'meta-data': 'instance-id: "i-1"\nlocal-hostname: "ci"\n',
      'network-config': 'version: 2\n',
      'user-data': '#cloud-config\nusers: []\n',
    });
  });

  it('is the same for a clone but for its id and its host name', () => {
    const seed = writeSeed({ userData: CONFIG }, { instanceId: 'i-1', vmName: 'ci' });
    expect(texts(seedFor(seed, { instanceId: 'i-2', vmName: 'Job 7_a.b' }) ?? Buffer.alloc(0))).toEqual({
      'meta-data': 'instance-id: "i-2"\nlocal-hostname: "job-7-a-b"\n',
      'user-data': '#cloud-config\nusers: []\n',
    });
  });

  it('of another tool is left as it is where more is in it than we know', () => {
    const other = writeIso('cidata', [
      { name: 'user-data', content: CONFIG },
      { name: 'vendor-data', content: CONFIG },
    ]);
    expect(seedFor(other, { instanceId: 'i-2', vmName: 'ci' })).toBeUndefined();
    expect(seedFor(Buffer.from('no image'), { instanceId: 'i-2', vmName: 'ci' })).toBeUndefined();
  });

  it.each([
    ['ci', 'ci'],
    ['--', 'guest'],
    ['Ünder', 'nder'],
    ['a'.repeat(96), 'a'.repeat(63)],
  ])('gives the VM %s a host name that can be one', (vmName, expected) => {
    const meta = texts(writeSeed({ userData: CONFIG }, { instanceId: 'i', vmName }))['meta-data'];
    expect(meta).toContain(`local-hostname: "${expected}"`);
  });

  it.each([
    ['#cloud-config\n', true],
    ['#!/bin/sh\n', true],
    ['#include\nhttps://host/file\n', true],
    ['## template: jinja\n#cloud-config\n', true],
    ['MIME-Version: 1.0\n', true],
    ['Content-Type: multipart/mixed\n', true],
    ['users:\n  - name: admin\n', false],
    ['', false],
  ])('tells whether cloud-init heeds user data that begins with %j', (text, expected) => {
    expect(isHeeded(Buffer.from(text))).toBe(expected);
  });

  it.prop([fc.uint8Array({ maxLength: 9000 }), fc.uint8Array({ maxLength: 3000 })])(
    'gives back every byte that went in',
    (userData, networkConfig) => {
      const files = readIso(writeSeed({ userData, networkConfig }, { instanceId: 'i', vmName: 'vm' })) ?? [];
      expect(files.find(({ name }) => name === 'user-data')?.content).toEqual(Buffer.from(userData));
      expect(files.find(({ name }) => name === 'network-config')?.content).toEqual(Buffer.from(networkConfig));
    },
  );
});
