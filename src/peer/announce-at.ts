import { describeError } from '../errors.ts';
import { systemClock } from '../registry/request/clock.ts';
import { redactUrl } from '../registry/request/redact.ts';
import type { Session } from '../session/session.ts';

/** A list forgets who has not been heard of for three of these, in milliseconds. */
const EVERY_MS = 60_000;

/** How long one announcement may take, in milliseconds. */
const WITHIN_MS = 15_000;

/**
 * Says to a server that keeps a list of peers that this host answers, each minute, until the signal ends it.
 * @param onFailure told when it begins to fail, and why.
 */
export async function announceAt(
  session: Session,
  { list, port, signal }: { readonly list: URL; readonly port: number; readonly signal: AbortSignal },
  onFailure: (why: string) => void,
): Promise<void> {
  const connection = await session.web(list, redactUrl(list));
  const url = new URL(`peers?port=${port}`, list.href.endsWith('/') ? list : `${list.href}/`);
  let wasTold = false;
  try {
    while (!signal.aborted) {
      try {
        const either = AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]);
        const request = { method: 'PUT', url, headers: {}, access: { action: 'pull' }, idempotent: true } as const;
        const response = await connection.send(request, either);
        response.body.destroy();
        if (response.status !== 204) throw new Error(`it answers ${response.status}`);
        wasTold = false;
      } catch (error) {
        if (!signal.aborted && !wasTold) onFailure(`${redactUrl(list)}: ${describeError(error)}`);
        wasTold = true;
      }
      await systemClock.sleep(EVERY_MS, signal).catch(() => undefined);
    }
  } finally {
    await connection.close();
  }
}
