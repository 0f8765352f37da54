import { expect, it } from 'vitest';
import { parseDiskOptions, parseDiskText } from '../../src/hypervisor/disk-options.ts';

it.each([
  ['disk.img', 'disk.img', { readOnly: false, sync: 'full', caching: 'automatic' }],
  ['disk.img:ro', 'disk.img', { readOnly: true, sync: 'full', caching: 'automatic' }],
  ['a:b.img:sync=none,caching=cached', 'a:b.img', { readOnly: false, sync: 'none', caching: 'cached' }],
  ['a:b.img', 'a:b.img', { readOnly: false, sync: 'full', caching: 'automatic' }],
  ['disk.img:ro,unknown=1', 'disk.img', { readOnly: true, sync: 'full', caching: 'automatic' }],
  ['disk.img:unknown', 'disk.img:unknown', { readOnly: false, sync: 'full', caching: 'automatic' }],
  ['disk.img:sync=sometimes', 'disk.img:sync=sometimes', { readOnly: false, sync: 'full', caching: 'automatic' }],
])('%s is the disk %s (tart-cli §1.3)', (text, path, options) => {
  expect(parseDiskText(text)).toEqual({ path, options });
});

it('options of which none is known are none', () => {
  expect(parseDiskOptions('fast')).toBeUndefined();
});
