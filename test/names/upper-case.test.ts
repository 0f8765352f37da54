import { expect, it } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { refuseUpperCase } from '../../src/names/upper-case.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;

it.each([
  ['ghcr.io/Org/vm', 9, 'ghcr.io/org/vm:latest'],
  ['127.0.0.1:5000/org/VM:V1', 20, '127.0.0.1:5000/org/vm:V1'],
  [`ghcr.io/org/Vm@${DIGEST}`, 13, `ghcr.io/org/vm@${DIGEST}`],
])('%s: the next step is the lower-case spelling, and a tag stays as it is', (text, position, lower) => {
  expect(() => refuseUpperCase(RemoteName.parse(text))).toThrowError(
    expect.objectContaining({
      code: 'NAME_MALFORMED',
      facts: expect.objectContaining({ position, next: { kind: 'write-lower-case', name: lower } }) as object,
    }),
  );
});

it('upper case in a host or a tag is allowed', () => {
  refuseUpperCase(RemoteName.parse('Registry.Example/org/vm:Latest'));
});
