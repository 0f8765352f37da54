import { TartletError } from '../../../errors.ts';
import { cloneOnDemand } from '../../../lazy-disk/clone-on-demand.ts';
import type { LazyMode } from '../../../lazy-disk/clone-lazily.ts';
import type { LocalName } from '../../../names/local-name.ts';
import { RemoteName } from '../../../names/remote-name.ts';
import type { Session } from '../../../session/session.ts';
import { wholeNote } from '../../render/on-demand.ts';
import { lazyMode } from '../../session/lazy-settings.ts';
import { planRun } from '../../session/run-plan.ts';
import type { RunFlags } from '../../session/run-settings.ts';
import { type LifeFlags, wordsFor } from '../../session/run-words.ts';
import { withSession } from '../../session/session.ts';
import { newLocalName } from '../../session/usage-error.ts';
import { printable } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/** A command line for the VM that was made. */
export interface MadeVm {
  readonly terminal: Terminal;
  readonly name: string;
}

/**
 * Makes a VM of an image whose disk has still to arrive (issue 19, item 7), for `run` to run it; it stays afterwards.
 * It takes the place of none: it is made by the way, and what stands there may be all that is left of a day's work.
 *
 * @throws TartletError `USAGE` for what is no image, `VM_EXISTS`, those of a clone.
 */
export async function makeFromImage(
  terminal: Terminal,
  text: string,
  flags: RunFlags & LifeFlags & { readonly lazy: LazyMode },
): Promise<MadeVm> {
  const lazy = lazyMode(terminal, flags.lazy);
  const image = imageOf(text);
  const name = flags.name === undefined ? nameFrom(image) : newLocalName(flags.name);
  // What cannot be understood is said before anything is fetched.
  await planRun(terminal, flags);
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    if (session.vms.find(name) !== undefined) throw taken(terminal, name);
    await cloneOnDemand(session, image.text, name, { lazy, onWhole: (why) => say(wholeNote(why)) });
    say(`note: made the VM ${printable(name.text)}`);
    return 0;
  };
  await withSession(terminal, work, { limitRate: flags.limitRate });
  const argv = wordsFor(terminal.argv, text, name.text);
  // Not copied: what it asks the process for when it is asked itself would be asked now.
  return { terminal: Object.create(terminal, { argv: { value: argv } }) as Terminal, name: name.text };
}

function imageOf(text: string): RemoteName {
  if (!text.includes('/')) {
    throw new TartletError('USAGE', `--lazy is for an image, and "${text}" is the name of a VM`, {
      next: { kind: 'in-words', words: 'run it without --lazy: a VM has its disk, or that arrives by itself' },
    });
  }
  return RemoteName.parse(text);
}

/** The last part of its repository, as `git clone` and others do. */
function nameFrom({ repository }: RemoteName): LocalName {
  return newLocalName(repository.text.slice(repository.text.lastIndexOf('/') + 1));
}

function taken({ programName }: Terminal, { text }: LocalName): TartletError {
  return new TartletError('VM_EXISTS', `the VM "${text}" exists already`, {
    subject: text,
    kept: 'it was left alone',
    next: { kind: 'in-words', words: `run it: ${programName} run ${text}; or give the new one another name by --name` },
  });
}
