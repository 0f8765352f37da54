import { unreachable } from '../../errors.ts';
import type { ServedContent } from '../contract/served-content.ts';
import { EXPOSITION_TYPE } from '../metrics/exposition.ts';
import type { Observations } from '../metrics/observations.ts';
import type { Exchange } from './exchange.ts';

interface Examined {
  readonly content: Pick<ServedContent, 'status' | 'facts'>;
  readonly observations: Observations;
  /** Told why the content is not ready, for the log alone. */
  readonly onFailure: (error: unknown) => void;
}

/** Never an old answer: of the state now. */
const FRESH = { 'Cache-Control': 'no-store' };

/** `GET /healthz`: that this process answers. `GET /readyz`: that its content can be read as well, and 503 if not. */
export async function getHealth(
  exchange: Exchange,
  asks: 'process' | 'content',
  { content, onFailure }: Examined,
): Promise<void> {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', ...FRESH };
  switch (asks) {
    case 'process':
      return exchange.respond(200, headers, 'ok\n');
    case 'content':
      try {
        await content.status?.().check();
      } catch (error) {
        onFailure(error);
        return exchange.respond(503, headers, 'the content cannot be read\n');
      }
      return exchange.respond(200, headers, 'ok\n');
    default:
      return unreachable(asks);
  }
}

/** `GET /metrics`, for Prometheus. */
export async function getMetrics(exchange: Exchange, { content, observations }: Examined): Promise<void> {
  exchange.respond(200, { 'Content-Type': EXPOSITION_TYPE, ...FRESH }, observations.text(content));
}
