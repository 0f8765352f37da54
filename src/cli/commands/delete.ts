import { isTartletError, TartletError } from '../../errors.ts';
import { deleteMeasured } from '../../home/prune/measured-delete.ts';
import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { writeError } from '../terminal/message-stream.ts';
import { renderDeleted } from '../render/deletion.ts';
import { renderError } from '../render/error.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/**
 * Every name is parsed before anything is deleted. One that cannot be deleted does not keep the others, where Tart
 * stops at it (tart-cli §7 #48): each failure is said, and the last one decides the exit code.
 */
export async function runDelete(terminal: Terminal, texts: readonly string[]): Promise<number> {
  return withSession(terminal, async (session, say) => {
    const names = texts.map((text) =>
      RemoteName.looksRemote(text) ? RemoteName.parse(text) : LocalName.ofExisting(text),
    );
    const deleted: string[] = [];
    const failures: TartletError[] = [];
    for (const name of names) {
      terminal.signal.throwIfAborted();
      try {
        say(renderDeleted(name.toString(), await deleteMeasured(session, name)));
        deleted.push(name.toString());
      } catch (error) {
        if (!isTartletError(error)) throw error;
        failures.push(error);
      }
    }
    const last = failures.pop();
    if (last === undefined) return 0;
    for (const error of failures) {
      writeError(terminal.stderr, renderError(error, terminal.stderr, terminal.environment, terminal.programName));
    }
    throw deleted.length === 0 ? last : withDeleted(last, deleted);
  });
}

function withDeleted({ code, message, facts }: TartletError, deleted: readonly string[]): TartletError {
  const kept = [...(facts.kept === undefined ? [] : [facts.kept]), `the rest was done: ${deleted.join(', ')} deleted`];
  return new TartletError(code, message, { ...facts, kept: kept.join('; ') });
}
