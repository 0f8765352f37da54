import type { MessagePort } from 'node:worker_threads';
import { fromPlainError, type PlainError, TartletError, toPlainError, unreachable } from '../../errors.ts';
import type { Authenticator, Refusal } from './authenticator.ts';
import type { Access } from '../request/request.ts';

/** What a worker asks. */
type Question = { readonly id: number } & (
  | { readonly ask: 'authorization'; readonly access: Access }
  | { readonly ask: 'challenged'; readonly refusal: Refusal }
  | { readonly ask: 'forget'; readonly access: Access }
  | { readonly ask: 'identity'; readonly repository: string | undefined }
);

type Answer = { readonly id: number } & ({ readonly value: string | undefined } | { readonly failure: PlainError });

/**
 * Lets a worker use an authenticator of this thread, over one end of a `MessageChannel`. Tokens are then fetched once
 * for all workers, and passwords are sent by this thread alone. The port does not keep the process alive. Returns what
 * ends the service and closes the port.
 */
export function serveAuthenticator(authenticator: Authenticator, port: MessagePort): () => void {
  port.on('message', (question: Question) => {
    void respond(authenticator, question).then((answer) => port.postMessage(answer));
  });
  port.unref();
  return () => port.close();
}

async function respond(authenticator: Authenticator, question: Question): Promise<Answer> {
  try {
    return { id: question.id, value: await answerOf(authenticator, question) };
  } catch (error) {
    return { id: question.id, failure: toPlainError(error) };
  }
}

async function answerOf(authenticator: Authenticator, question: Question): Promise<string | undefined> {
  switch (question.ask) {
    case 'authorization':
      return authenticator.authorization(question.access);
    case 'challenged':
      await authenticator.challenged(question.refusal);
      return undefined;
    case 'forget':
      await authenticator.forget?.(question.access);
      return undefined;
    case 'identity':
      return authenticator.identity(question.repository);
    default:
      return unreachable(question);
  }
}

/**
 * The other end: an authenticator that asks the thread behind `port`. It keeps its thread alive only while a question
 * is open. Errors arrive with code, message, facts and causes. When the port closes, open questions fail with
 * `INTERRUPTED`.
 */
export function remoteAuthenticator(port: MessagePort): Authenticator {
  const open = new Map<number, { resolve: (value: string | undefined) => void; reject: (error: unknown) => void }>();
  let lastId = 0;
  port.on('message', (answer: Answer) => {
    const question = open.get(answer.id);
    open.delete(answer.id);
    if (open.size === 0) port.unref();
    if ('failure' in answer) question?.reject(fromPlainError(answer.failure));
    else question?.resolve(answer.value);
  });
  port.on('close', () => {
    for (const { reject } of open.values()) {
      reject(new TartletError('INTERRUPTED', 'the thread that knows the credentials is gone'));
    }
    open.clear();
  });
  port.unref();

  type Unnumbered = Question extends infer Q ? (Q extends Question ? Omit<Q, 'id'> : never) : never;
  function ask(question: Unnumbered, signal?: AbortSignal): Promise<string | undefined> {
    signal?.throwIfAborted();
    lastId += 1;
    const id = lastId;
    return new Promise((resolve, reject) => {
      const stop = () => {
        open.delete(id);
        if (open.size === 0) port.unref();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', stop, { once: true });
      const settle =
        <T>(next: (value: T) => void) =>
        (value: T) => {
          signal?.removeEventListener('abort', stop);
          next(value);
        };
      open.set(id, { resolve: settle(resolve), reject: settle(reject) });
      port.ref();
      port.postMessage({ id, ...question });
    });
  }
  return {
    authorization: (access) => ask({ ask: 'authorization', access }),
    challenged: async (refusal, signal) => void (await ask({ ask: 'challenged', refusal }, signal)),
    forget: async (access) => void (await ask({ ask: 'forget', access })),
    identity: async (repository) => (await ask({ ask: 'identity', repository })) ?? 'anonymously',
  };
}
