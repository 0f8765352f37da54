import type * as CommandProcess from './process.ts';
import { VERSION } from './terminal/version.ts';

/*
 * Where the command starts. Loads nothing that the most frequent call of scripts does without.
 */

async function start(): Promise<typeof CommandProcess> {
  const { load, keepCompiled } = await import('./code-cache.ts');
  process.once('exit', (code) => {
    if (code === 0) keepCompiled();
  });
  return load('process.js') as typeof CommandProcess;
}

if (process.argv.length === 3 && process.argv[2] === '--version') {
  process.stdout.on('error', (cause: Error) => {
    void start().then(({ outputFailed }) => outputFailed(cause));
  });
  process.stdout.write(`${VERSION}\n`);
} else {
  void start().then(async ({ runProcess }) => runProcess());
}
