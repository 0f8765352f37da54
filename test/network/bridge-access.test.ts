import { expect, it } from 'vitest';
import { allowsBridge, parseBridgeRules } from '../../src/network/bridge-access.ts';

it.each([
  ['what is allowed', 'allow br0', true],
  ['what is allowed among others', '# ours\nallow br1\n  allow   br0  # this one\n', true],
  ['all', 'allow all\n', true],
  ['nothing', '', false],
  ['another one', 'allow br1', false],
  ['one that is denied as well, before or behind', 'deny br0\nallow br0', false],
  ['what a comment says', '# allow br0', false],
])("QEMU's helper may connect to %s", (_, text, expected) => {
  expect(allowsBridge([parseBridgeRules(text)], 'br0')).toBe(expected);
});

it('denies what one file denies and another allows, and knows which others are included', () => {
  expect(allowsBridge([parseBridgeRules('allow all'), parseBridgeRules('deny br0')], 'br0')).toBe(false);
  expect(parseBridgeRules('include /etc/qemu/alice.conf\ninclude bob.conf').included).toEqual([
    '/etc/qemu/alice.conf',
    'bob.conf',
  ]);
});
