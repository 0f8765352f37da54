import { checkHost } from '../../../host/check-host.ts';
import { findTart } from '../../../hypervisor/tart/tart-program.ts';
import { hostJson, hostText, isHostClean } from '../../render/host-report.ts';
import { renderJson } from '../../render/json.ts';
import { archOfMachine } from '../../../vm/arch.ts';
import { type ReportOptions, withSession } from '../../session/session.ts';
import { foldText } from '../../terminal/fold.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/** Ends as the doctor does: with 0 when there are at most notes. */
export async function runDoctorHost(
  terminal: Terminal,
  options: ReportOptions & { readonly format: 'text' | 'json' },
): Promise<number> {
  const { stdout, environment, programName } = terminal;
  return withSession(
    terminal,
    async (session) => {
      const checks = await checkHost(session, {
        arch: archOfMachine(terminal.machine),
        pid: process.pid,
        isRoot: terminal.uid === 0,
        user: environment['USER'] ?? environment['LOGNAME'] ?? 'USER',
        tart: terminal.platform === 'darwin' ? (await findTart(terminal))?.file : undefined,
      });
      if (options.format === 'json') stdout.write(renderJson(hostJson(checks, programName)));
      else stdout.write(foldText(hostText(checks, { stream: stdout, environment, programName }), stdout));
      return isHostClean(checks) ? 0 : 1;
    },
    { cache: 'untouched', report: options },
  );
}
