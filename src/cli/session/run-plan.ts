import { findTart, type TartProgram } from '../../hypervisor/tart/tart-program.ts';
import type { LocalName } from '../../names/local-name.ts';
import { type GuestProbe, ownProbe, tartProbe } from '../../run/guest-probe.ts';
import type { RunEvent } from '../../run/run-request.ts';
import type { RunSettings } from '../../run/run-settings.ts';
import type { WaitCondition } from '../../run/wait-for.ts';
import type { Session } from '../../session/session.ts';
import { dialectOf } from '../terminal/dialect.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { remarks } from './own-run.ts';
import { parseRunFlags, type RunFlags } from './run-settings.ts';
import { DEFAULT_TIMEOUT, type LifeFlags, parseCondition, requireWay } from './run-words.ts';

/** What runs a VM: Tart, which reads its options itself, or we. */
export type RunBy =
  | { readonly kind: 'tart'; readonly tart: TartProgram }
  | { readonly kind: 'us'; readonly settings: RunSettings; readonly remarked: readonly RunEvent[] };

/** A `run` that is waited for. */
export interface RunPlan {
  readonly by: RunBy;
  readonly condition: WaitCondition | undefined;
  readonly seconds: number;
}

/** @throws TartletError `USAGE` for all that can be known before anything is done. */
export async function planRun(terminal: Terminal, flags: RunFlags & LifeFlags): Promise<RunPlan> {
  const tart = dialectOf(terminal) === 'tart' ? await findTart(terminal) : undefined;
  const by: RunBy =
    tart === undefined
      ? { kind: 'us', settings: parseRunFlags(terminal, flags), remarked: remarks(terminal, flags) }
      : { kind: 'tart', tart };
  const condition = flags.waitFor === undefined ? undefined : parseCondition(flags.waitFor);
  if (condition !== undefined) requireWay(condition, publishedBy(by));
  return { by, condition, seconds: flags.timeout ?? DEFAULT_TIMEOUT };
}

/** Undefined where every port of the guest is reached. */
function publishedBy(by: RunBy): RunSettingsForwards | undefined {
  return by.kind === 'us' && by.settings.network.kind === 'user' ? by.settings.network.published : undefined;
}

type RunSettingsForwards = Extract<RunSettings['network'], { kind: 'user' }>['published'];

export function probeOf(session: Session, { by }: RunPlan, name: LocalName): GuestProbe {
  return by.kind === 'tart' ? tartProbe(session, by.tart, name) : ownProbe(session, name);
}
