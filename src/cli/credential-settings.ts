import { type CredentialNote, describeNote } from '../credentials/note.ts';
import type { CredentialSettings } from '../credentials/settings.ts';
import type { Terminal } from './terminal.ts';

/** The world as the credentials floor sees it, with notes on stderr. */
export function credentialSettings(terminal: Terminal): CredentialSettings {
  return {
    environment: terminal.environment,
    userFolder: terminal.userFolder,
    platform: terminal.platform,
    uid: terminal.uid,
    onNote: (note: CredentialNote) => terminal.stderr.write(`note: ${describeNote(note)}\n`),
  };
}
