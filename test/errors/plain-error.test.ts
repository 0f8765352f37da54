import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { fromPlainError, type PlainError, TartletError, toPlainError } from '../../src/errors.ts';

/** What arrives at the other end of a port. */
async function sent(error: unknown): Promise<TartletError> {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(toPlainError(error));
  const [plain] = (await once(port2, 'message')) as [PlainError];
  port1.close();
  return fromPlainError(plain);
}

it('code, facts and the chain of causes of an error arrive in another thread', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const inner = new TartletError('DISK_FULL', 'cannot write /a: no space left', { subject: '/a', cause: full });
  const error = await sent(new TartletError('CHUNK_CORRUPT', 'chunk 3 failed', { retryable: true, cause: inner }));
  expect(error).toBeInstanceOf(TartletError);
  expect(error).toMatchObject({
    code: 'CHUNK_CORRUPT',
    message: 'chunk 3 failed',
    facts: { retryable: true },
    cause: {
      code: 'DISK_FULL',
      facts: { subject: '/a' },
      cause: { name: 'Error', code: 'ENOSPC', message: 'ENOSPC: no space left on device, write' },
    },
  });
  expect(error.cause).toBeInstanceOf(TartletError);
  expect(error.facts.cause).toBe(error.cause);
});

it('an error of a library arrives as INTERNAL, and as its cause', async () => {
  const error = await sent(new TypeError('x is not a function'));
  expect(error).toMatchObject({ code: 'INTERNAL', message: 'x is not a function', cause: { name: 'TypeError' } });
  expect((error.cause as Error).stack).toContain('plain-error.test.ts');
});

it('the parts of an aggregate keep their codes', async () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' });
  const error = await sent(new TartletError('NET_CONNECT', 'no', { cause: new AggregateError([refused], '') }));
  expect(error.cause).toMatchObject({
    name: 'AggregateError',
    message: 'connect ECONNREFUSED ::1:1',
    errors: [{ code: 'ECONNREFUSED' }],
  });
});

it('causes that form a cycle end, and what is no error is described', async () => {
  const circle = new Error('round');
  circle.cause = circle;
  expect(await sent(circle)).toMatchObject({ code: 'INTERNAL', message: 'round' });
  expect(await sent('a text')).toMatchObject({ code: 'INTERNAL', message: 'a text' });
});
