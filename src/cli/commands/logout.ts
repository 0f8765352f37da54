import { describePlace, eraseCredential, type SecretPlace } from '../../credentials/credential-store.ts';
import { credentialSettings } from '../session/credential-settings.ts';
import { writeLines } from '../terminal/message-stream.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { parseHost } from './login.ts';

/** Having nothing to forget is success, as in Tart (tart-cli §1.8). */
export async function runLogout(terminal: Terminal, host: string): Promise<number> {
  const registry = parseHost(host);
  const { erased, remaining } = await eraseCredential(registry, credentialSettings(terminal), terminal.signal);
  const lines = [
    ...(erased.length === 0 ? [`nothing was stored for ${registry.toString()}`] : []),
    ...erased.map((place) => `removed from ${describePlace(place)}`),
    ...remaining.map((place) => `note: still there: ${describeRemaining(place)}`),
  ];
  writeLines(terminal.stderr, ...lines);
  return 0;
}

function describeRemaining(place: SecretPlace): string {
  return place.kind === 'file' ? `${describePlace(place)}, for some of its images only` : describePlace(place);
}
