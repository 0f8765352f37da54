import type { Home } from '../home/home.ts';
import { quarantinedItems } from '../home/quarantine.ts';
import { finding, type Finding } from './finding.ts';

/** What was set aside earlier, for people to decide about. */
export function checkQuarantine(home: Home): Finding[] {
  return quarantinedItems(home).map(({ path: at, record }) => {
    const next = `${record === undefined ? '' : `read ${record}; `}delete it when nobody needs it`;
    return finding('quarantined', at, 'it was set aside', { next });
  });
}
