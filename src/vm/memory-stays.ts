import type { Session } from '../session/session.ts';

/**
 * Tells of a suspended VM that only its disk goes elsewhere: a memory is of use on this machine alone.
 * @param done what is done with the VM.
 */
export function tellMemoryStays(session: Session, name: string, done: 'exported' | 'pushed'): void {
  const text = `${name} is suspended: its memory is not ${done}, the copy will start from its disk`;
  session.emit({ kind: 'note', subject: name, text });
}
