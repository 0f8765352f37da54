import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import { programsIn } from '../../fs/system-program.ts';

/** Set for the Tart that we start: should it be a script that starts us again, the second of us ends the loop. */
const MARK = 'TARTLET_HANDED_OVER';

/** Drivers look for a process that is called `tart` and has `run` as its first argument (tart-cli §5.1). */
export const TART_NAME = 'tart';

/** A Tart of this Mac, and the variables that it gets. */
export interface TartProgram {
  readonly file: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Where a Tart is looked for. */
export interface TartPlace {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of ourselves: a link to it under the name of Tart is none. */
  readonly programPath: string;
}

/**
 * Finds the Tart that runs VMs where only Apple's hypervisor can: the first `tart` in `PATH` that is not this very
 * program.
 * @returns undefined on another system, without a Tart, and when Tart started us.
 */
export async function findTart({ platform, environment, programPath }: TartPlace): Promise<TartProgram | undefined> {
  if (platform !== 'darwin' || environment[MARK] !== undefined) return undefined;
  const ourselves = await realpath(programPath).catch(() => programPath);
  for await (const file of programsIn(environment['PATH'] ?? '', TART_NAME)) {
    if ((await realpath(file)) !== ourselves) return { file, environment: { ...environment, [MARK]: '1' } };
  }
  return undefined;
}

/** What a short command of Tart answered. */
export interface TartAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of Tart that ends by itself, and keeps what it says. It has no input. */
export async function askTart(
  tart: TartProgram,
  words: readonly string[],
  signal: AbortSignal | undefined,
): Promise<TartAnswer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      tart.file,
      [...words],
      { encoding: 'utf8', env: tart.environment, signal },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        // That it could not be started, or was told to end, is no answer.
        if (error !== null && (typeof code === 'string' || systemCode(error) !== undefined)) reject(error);
        else resolve({ exitCode: typeof code === 'number' ? code : 1, stdout, stderr });
      },
    );
    child.stdin?.end();
  });
}
