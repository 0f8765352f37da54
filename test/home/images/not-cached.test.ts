import { expect, it } from 'vitest';
import type { TartletError } from '../../../src/errors.ts';
import type { Hint } from '../../../src/hint.ts';
import { openExportSource } from '../../../src/archive/export-source.ts';
import { pinImage } from '../../../src/home/images/pin.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { Session } from '../../../src/session/session.ts';
import { inspect } from '../../../src/vm/inspect.ts';
import { pushVm } from '../../../src/vm/push.ts';
import { freshSession } from '../../support/home.ts';

const NAME = RemoteName.parse('registry.corp:8221/macos/base:15');
const TEXT = NAME.toString();
const PULL_IT: Hint = { kind: 'pull-first', image: TEXT };

const WAYS: readonly (readonly [string, (session: Session) => Promise<unknown>, string, Hint])[] = [
  ['exporting', (session) => openExportSource(session, TEXT), 'VM_NOT_FOUND', PULL_IT],
  ['pinning', (session) => pinImage(session, NAME, true), 'VM_NOT_FOUND', PULL_IT],
  [
    'pushing',
    (session) => pushVm(session, TEXT, [RemoteName.parse('registry.corp:8221/macos/copy:15')]),
    'VM_NOT_FOUND',
    { kind: 'pull-or-copy' },
  ],
  [
    'inspecting',
    (session) => inspect(session, TEXT, { where: 'here', insecure: false }),
    'VM_NOT_FOUND',
    { kind: 'pull-or-ask-registry' },
  ],
  ['deleting', (session) => session.images.delete(NAME), 'VM_NOT_FOUND', { kind: 'list-images' }],
  // Tart's `fqn` exits with 1 where all others exit with 2 (tart-cli §1.19).
  ['showing the digest of', (session) => session.images.require(NAME, 'show'), 'NOT_FOUND', PULL_IT],
];

it.each(WAYS)(
  '%s an image that is not cached says so in the one sentence, and what helps',
  async (_, use, code, next) => {
    const error = await use(freshSession()).catch((thrown: unknown) => thrown as TartletError);
    expect(error).toMatchObject({
      code,
      message: `the image ${TEXT} is not in the cache`,
      facts: { subject: TEXT, next },
    });
  },
);
