import { parentPort } from 'node:worker_threads';
import { keepCompiled, load } from './code-cache.ts';

/*
 * Where a worker thread of the command starts. Threads are stopped without a word: what they compiled is kept after
 * their first result.
 */

if (parentPort !== null) {
  const port = parentPort;
  const say = port.postMessage.bind(port);
  port.postMessage = (message: { readonly kind: string }, ...rest: []) => {
    say(message, ...rest);
    // By then the functions that most jobs need were called.
    if (message.kind === 'result') setImmediate(keepCompiled);
  };
}

load('chunk-work.js');
