import { execFileSync } from 'node:child_process';

/** Worker threads and the command itself run from `dist`: build it once, so that tests never see an older program. */
export default function build(): void {
  if (process.env['TARTLET_SKIP_BUILD'] === undefined) {
    execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}
