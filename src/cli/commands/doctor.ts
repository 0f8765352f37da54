import { TartletError } from '../../errors.ts';
import { isRegistryCached } from '../../migration/migrate.ts';
import type { Session } from '../../session/session.ts';
import { type Assignment, runDoctor as doctor, type DoctorReport } from '../../doctor/run-doctor.ts';
import type { RegistryAddress } from '../../names/registry-address.ts';
import { credentialSettings } from '../session/credential-settings.ts';
import { doctorReportJson, doctorReportText, isClean } from '../render/doctor-report.ts';
import { foldText } from '../terminal/fold.ts';
import { renderJson } from '../render/json.ts';
import { printable } from '../terminal/printable.ts';
import { humanBytes } from '../render/quantity.ts';
import { type MirrorOptions, mirrorsBy, type ReportOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface DoctorCommandOptions extends ReportOptions, MirrorOptions {
  readonly fix?: true;
  readonly deep?: true;
  /** Another command: about this machine and not the home. */
  readonly host?: true;
  readonly insecure?: true;
  readonly assign?: readonly Assignment[];
  readonly format: 'text' | 'json';
}

/** Prints what it found on stdout, and ends with 0 only when there is nothing but notes: one line in a cron job. */
export async function runDoctor(terminal: Terminal, options: DoctorCommandOptions): Promise<number> {
  const { fix = false, deep = false, insecure = false } = options;
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    for (const { from } of options.assign ?? []) {
      // Not a failure: the same line may run every night. But it may be a slip.
      if (!isRegistryCached(session.home, from)) say(`note: nothing in the cache lies under ${printable(from)}`);
    }
    const knownPorts = async (host: string): Promise<RegistryAddress[]> => {
      const credentials = await import('../../credentials/known-registry.ts');
      return credentials.knownPorts(host, credentialSettings(terminal));
    };
    const doctorReport = await doctor(session, { fix, deep, insecure, assign: options.assign ?? [], knownPorts });
    const { stdout, environment } = terminal;
    if (options.format === 'json') stdout.write(renderJson(doctorReportJson(doctorReport)));
    else
      stdout.write(
        foldText(
          doctorReportText(doctorReport, { stream: stdout, environment, programName: terminal.programName, fix }),
          stdout,
        ),
      );
    if (doctorReport.deep?.isComplete === false) throw interrupted(session.signal, doctorReport.deep);
    return isClean(doctorReport) ? 0 : 1;
  };
  // A report must show the cache as it is, so nothing is migrated before it.
  return withSession(terminal, work, {
    cache: 'untouched',
    report: options,
    mirrors: mirrorsBy(options),
    stdout: options.format === 'json' ? 'result' : 'both',
  });
}

/** What was found is printed already; the reason of the end gets how far it came. */
function interrupted(signal: AbortSignal, deep: NonNullable<DoctorReport['deep']>): unknown {
  if (!(signal.reason instanceof TartletError)) return signal.reason;
  const { imagesChecked, images, bytesChecked } = deep;
  return new TartletError(signal.reason.code, signal.reason.message, {
    ...signal.reason.facts,
    kept: `${imagesChecked} of ${images} images were checked, ${humanBytes(bytesChecked, 1)}; nothing was changed`,
    next: { kind: 'in-words', words: 'run the same command again: a deep check starts from the beginning' },
  });
}
