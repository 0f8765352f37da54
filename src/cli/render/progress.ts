// Placeholder until the display lands (minutes): tells nothing.
import type { TransferEvent } from '../../transfer/progress.ts';
export function createProgress(
  _stream: unknown,
  _options: unknown,
): { handle(event: TransferEvent): void; close(): void } {
  return { handle: () => undefined, close: () => undefined };
}
