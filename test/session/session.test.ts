import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { Session } from '../../src/session/session.ts';

describe('a session that was given nothing but a home', () => {
  it('is on the platform, and has the processors, of this process', () => {
    const session = new Session({ home: new Home('/h') });
    expect(session.platform).toBe(process.platform);
    expect(session.processors).toBe(availableParallelism());
  });

  it.each([
    [{}, '/tmp'],
    [{ TMPDIR: '/var/tmp/' }, '/var/tmp'],
    [{ TMPDIR: '', TMP: '/scratch' }, '/scratch'],
    [{ TEMP: '/' }, '/'],
  ])('with the environment %o puts temporary files into %s', (environment, directory) => {
    expect(new Session({ home: new Home('/h'), environment }).temporaryDirectory).toBe(directory);
  });
});
