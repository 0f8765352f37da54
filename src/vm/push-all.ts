import { isTartletError, TartletError } from '../errors.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { whyItEnded } from '../transfer/kept-blobs.ts';
import type { PushOutcome } from '../transfer/push/push.ts';
import type { Session } from '../session/session.ts';

/** Names of one repository. */
export type Group = readonly [RemoteName, ...RemoteName[]];

interface Failure {
  readonly group: Group;
  readonly error: TartletError;
}

/**
 * Pushes to one repository after the other. One that fails does not keep the others from being served.
 *
 * @throws TartletError of the first failure, with which repositories failed in its sentence and which are done in
 * `kept`.
 */
export async function pushToAll(
  session: Session,
  names: Group,
  onPushed: ((outcome: PushOutcome) => void) | undefined,
  push: (group: Group) => Promise<PushOutcome>,
): Promise<PushOutcome[]> {
  const groups = byRepository(names);
  const outcomes: PushOutcome[] = [];
  const failures: Failure[] = [];
  for (const group of groups) {
    try {
      const outcome = await push(group);
      outcomes.push(outcome);
      onPushed?.(outcome);
    } catch (error) {
      if (session.signal.aborted) throw interrupted(whyItEnded(session.signal, error), outcomes);
      if (!(error instanceof TartletError) || groups.length === 1) throw error;
      failures.push({ group, error });
    }
  }
  const [first] = failures;
  if (first !== undefined) throw summary(first, failures, outcomes);
  return outcomes;
}

/** An interruption, with the repositories that have everything already. */
function interrupted(error: unknown, outcomes: readonly PushOutcome[]): unknown {
  if (!isTartletError(error) || outcomes.length === 0) return error;
  const done = `done: ${outcomes.flatMap((outcome) => outcome.names).join(', ')}`;
  const { kept, ...facts } = error.facts;
  return new TartletError(error.code, error.message, {
    ...facts,
    kept: kept === undefined ? done : `${done}; ${kept}`,
  });
}

function summary({ error }: Failure, failures: readonly Failure[], outcomes: readonly PushOutcome[]): TartletError {
  const what = failures.map((each) => `${each.group.join(', ')}: ${each.error.message}`).join('; ');
  const done = outcomes.flatMap((outcome) => outcome.names);
  const { kept, ...facts } = error.facts;
  return new TartletError(error.code, what, {
    ...facts,
    kept: done.length === 0 ? (kept ?? 'no tag was moved') : `done: ${done.join(', ')}`,
    cause: error,
  });
}

function byRepository(names: Group): Group[] {
  const groups = new Map<string, [RemoteName, ...RemoteName[]]>();
  for (const name of names) {
    const group = groups.get(name.repositoryName);
    if (group === undefined) groups.set(name.repositoryName, [name]);
    else group.push(name);
  }
  return [...groups.values()];
}
