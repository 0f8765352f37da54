import { mkdirSync, readlinkSync, rmdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { Held } from './hold.ts';

const LINK_MODULE = path.resolve(import.meta.dirname, '../../dist/home/link.js');

describeWithParts('a tag that is to be removed and leads to a newer image meanwhile', ['strace'], () => {
  it('is given back, although another command takes its empty directory away (P18)', async () => {
    const home = temporaryDirectory();
    const [repository, trash] = [path.join(home, 'team/base'), path.join(home, 'trash')];
    mkdirSync(repository, { recursive: true });
    mkdirSync(trash);
    const link = path.join(repository, 'moving');
    symlinkSync('sha256:newer', link);
    const script = `import { removeLink } from ${JSON.stringify(LINK_MODULE)};
      process.exitCode = (await removeLink(${JSON.stringify(link)}, 'sha256:older', ${JSON.stringify(trash)})) ? 3 : 0;`;
    const argv = [process.execPath, '--input-type=module', '-e', script];
    const held = await Held.start(
      { argv, environment: { PATH: process.env['PATH'] ?? '' } },
      { call: 'rename', nth: 1 },
      path.join(home, 'log'),
    );
    if (!(held instanceof Held)) throw new Error(`it ended before it moved the symlink: ${held.stderr}`);
    rmdirSync(repository);
    expect(await held.release()).toMatchObject({ exitCode: 0 });
    expect(readlinkSync(link)).toBe('sha256:newer');
  });
});
