import { type CredentialNote, describeNote } from '../../credentials/note.ts';
import type { CredentialStoreSettings } from '../../credentials/settings.ts';
import { lockFile } from '../../fs/lock/lock.ts';
import { writeLines } from '../terminal/message-stream.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** The world as the credentials floor sees it, with notes on stderr unless the caller prints them. */
export function credentialSettings(
  terminal: Terminal,
  say = (line: string): void => writeLines(terminal.stderr, line),
): CredentialStoreSettings {
  return {
    environment: terminal.environment,
    userDirectory: terminal.userDirectory,
    platform: terminal.platform,
    uid: terminal.uid,
    lockFile,
    onNote: (note: CredentialNote) => say(`note: ${describeNote(note)}`),
  };
}
