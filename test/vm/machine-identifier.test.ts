import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { newMachineIdentifier } from '../../src/vm/machine-identifier.ts';

/** What an independent reader of property lists finds. */
function read(base64: string): unknown {
  const script = 'import base64,json,plistlib,sys\nprint(json.dumps(plistlib.loads(base64.b64decode(sys.argv[1]))))';
  return JSON.parse(execFileSync('python3', ['-c', script, base64], { encoding: 'utf8' }));
}

describe('a machine identifier', () => {
  it('is a binary property list with the ECID and nothing else', () => {
    const identifier = newMachineIdentifier(() => Buffer.from([0, 0, 0, 0, 0x49, 0x96, 0x02, 0xd3]));
    expect(identifier).toBe('YnBsaXN0MDDRAQJURUNJRBMAAAAASZYC0wgLEAAAAAAAAAEBAAAAAAAAAAMAAAAAAAAAAAAAAAAAAAAZ');
    expect(read(identifier)).toEqual({ ECID: 1_234_567_891 });
  });

  it.each([
    ['all ones', Buffer.alloc(8, 0xff), 2n ** 63n - 1n],
    ['all zeros', Buffer.alloc(8), 1n],
  ])('is a positive number from %s', (_, random, expected) => {
    const bytes = Buffer.from(
      newMachineIdentifier(() => random),
      'base64',
    );
    expect(bytes.readBigInt64BE(17)).toBe(expected);
  });

  it('is another one each time', () => {
    expect(newMachineIdentifier(randomBytes)).not.toBe(newMachineIdentifier(randomBytes));
  });
});
