import { VERSION } from './version.ts';

/*
 * Where the command starts. Loads nothing that the most frequent call of scripts does without.
 */

if (process.argv.length === 3 && process.argv[2] === '--version') {
  process.stdout.on('error', (cause: Error) => {
    void import('./process.ts').then(({ outputFailed }) => outputFailed(cause));
  });
  process.stdout.write(`${VERSION}\n`);
} else {
  void import('./process.ts').then(async ({ runProcess }) => runProcess());
}
