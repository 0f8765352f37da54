import { expect, it } from 'vitest';
import { arrivesNote, lazyNote, rateNote, wholeNote } from '../../../src/cli/render/on-demand.ts';

const estimate = {
  startBytes: 212_345_678,
  wholeBytes: 1_430_000_000,
  partBytes: 242_000_000,
  partDiskBytes: 512 * 1024 ** 2,
  bytesPerSecond: 12_100_000,
};
const unmeasured = { ...estimate, bytesPerSecond: undefined };

it('says of a VM that was made without its disk what its start needs, and how long that takes where it is known', () => {
  expect(lazyNote(estimate)).toBe(
    'note: the disk arrives when the VM runs: its start needs about 210 MB of 1.4 GB, at 12 MB/s about 18 s',
  );
  expect(lazyNote(unmeasured)).toBe('note: the disk arrives when the VM runs: its start needs about 210 MB of 1.4 GB');
  expect(lazyNote({ ...estimate, startBytes: 0, wholeBytes: 0 })).toBe('note: the disk arrives when the VM runs');
});

it('says why an image is pulled as a whole, with the numbers', () => {
  const whole = 'note: pulled as a whole, not on demand: ';
  expect(wholeNote({ kind: 'whole-is-quick', estimate: { ...estimate, bytesPerSecond: 715_000_000 } })).toBe(
    `${whole}that takes about 2 s (1.4 GB at 720 MB/s)`,
  );
  expect(wholeNote({ kind: 'whole-is-quick', estimate: { ...estimate, bytesPerSecond: 9e9 } })).toBe(
    `${whole}that takes less than 1 s (1.4 GB at 9.0 GB/s)`,
  );
  expect(wholeNote({ kind: 'whole-is-quick', estimate: { ...estimate, wholeBytes: 0, bytesPerSecond: 0 } })).toBe(
    `${whole}nothing of its disk has to be fetched`,
  );
  expect(wholeNote({ kind: 'parts-too-large', estimate })).toBe(
    `${whole}the guest would wait for parts of 242 MB for 537 MB of the disk, about 20 s each, and its start needs ` +
      'about 210 MB of 1.4 GB, at 12 MB/s about 18 s',
  );
  expect(wholeNote({ kind: 'parts-too-large', estimate: unmeasured })).toBe(
    `${whole}the guest would wait for parts of 242 MB for 537 MB of the disk, and its start needs about 210 MB of 1.4 GB`,
  );
  expect(wholeNote({ kind: 'start-needs-most', estimate: { ...estimate, bytesPerSecond: 100_000 } })).toBe(
    `${whole}the start needs about 210 MB of 1.4 GB, at 100 KB/s about 35 min`,
  );
  expect(wholeNote({ kind: 'not-for-linux' })).toBe(`${whole}the VM does not run on Linux`);
});

it('says when a guest begins what it needs, and then how fast that comes', () => {
  const needs = { startBytes: 212_345_678, wholeBytes: 1_430_000_000 };
  expect(arrivesNote({ kind: 'disk-arrives', image: 'r.example/vm@sha256:12', ...needs })).toBe(
    'note: the guest begins while its disk arrives: its start needs about 210 MB of 1.4 GB of r.example/vm@sha256:12',
  );
  expect(rateNote({ kind: 'disk-rate', bytesPerSecond: 12_100_000, ...needs })).toBe(
    'note: the disk arrives at 12 MB/s: what the start needs is here in about 18 s',
  );
});
