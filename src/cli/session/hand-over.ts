import { findTart, TART_NAME } from '../../hypervisor/tart/tart-program.ts';
import { dialectOf } from '../terminal/dialect.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { runAttached } from './attached-program.ts';

/**
 * Lets Tart do what needs Apple's hypervisor: on a Mac, with another `tart` in `PATH` than ourselves. It gets the very
 * same arguments and our streams, and every signal.
 *
 * @returns Tart's exit code, or undefined where there is no Tart to hand over to.
 */
export async function handOver(terminal: Terminal): Promise<number | undefined> {
  // The same words mean other things in Vetu's dialect.
  if (dialectOf(terminal) !== 'tart') return undefined;
  const tart = await findTart(terminal);
  if (tart === undefined) return undefined;
  return runAttached(terminal, {
    file: tart.file,
    argv: terminal.argv,
    environment: tart.environment,
    name: TART_NAME,
  });
}
