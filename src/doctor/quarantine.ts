import type { Home } from '../home/home.ts';
import type { Hint } from '../hint.ts';
import { quarantinedItems } from '../home/quarantine.ts';
import { finding, type Finding } from './finding.ts';

/** What was quarantined earlier, for people to decide about. */
export function checkQuarantine(home: Home): Finding[] {
  return quarantinedItems(home).map(({ path: at, record }) => {
    const next: Hint = { kind: 'delete-when-useless', record };
    return finding('quarantined', at, 'it was quarantined', { next });
  });
}
