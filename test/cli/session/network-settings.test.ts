import { describe, expect, it } from 'vitest';
import { parseNetwork } from '../../../src/cli/session/network-settings.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import { terminalHere } from '../../support/here.ts';
import { Workplace } from '../../support/real-command.ts';

const terminal = terminalHere(new Workplace(new Cleanup()), []);
const forward = { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, guestPort: 80 };

describe('the network of a VM, on a machine on which none was set up', () => {
  it.each([
    ['nothing', undefined, {}, { kind: 'user', isolated: false, published: [] }],
    ['an empty variable', '', {}, { kind: 'user', isolated: false, published: [] }],
    ['the variable', 'host', {}, { kind: 'user', isolated: true, published: [] }],
    ['an option before the variable', 'host', { netUser: true }, { kind: 'user', isolated: false, published: [] }],
    ['an option', undefined, { netHost: true }, { kind: 'user', isolated: true, published: [] }],
    ['ports', undefined, { publish: ['8080:80'] }, { kind: 'user', isolated: false, published: [forward] }],
    [
      'ports of a kind and an address',
      'user',
      { publish: ['0.0.0.0:0:53/udp'] },
      {
        kind: 'user',
        isolated: false,
        published: [{ protocol: 'udp', hostAddress: '0.0.0.0', hostPort: 0, guestPort: 53 }],
      },
    ],
  ] as const)('M1: by %s', (_, variable, flags, expected) => {
    const environment = { ...terminal.environment, TARTLET_NETWORK: variable };
    expect(parseNetwork({ ...terminal, environment }, flags)).toEqual(expected);
  });

  it.each([
    ['a word that is no network', 'nat', {}, 'TARTLET_NETWORK is "nat", which is no network'],
    ['a bridge that is not there', 'bridge:nowhere0', {}, 'there is no bridge "nowhere0"'],
    ['two options', undefined, { netHost: true, netUser: true }, '--net-host and --net-user exclude each other'],
    ['ports on a bridge', 'bridge:br0', { publish: ['1:2'] }, 'on a bridge every port of the guest is reached'],
    ['isolation that is not there', 'user', { netSoftnetAllow: '10.0.0.0/8' }, 'Softnet isolates guests on macOS only'],
  ] as const)('%s is refused', (_, variable, flags, message) => {
    const environment = { ...terminal.environment, TARTLET_NETWORK: variable };
    expect(() => parseNetwork({ ...terminal, environment }, flags)).toThrow(message);
  });
});
