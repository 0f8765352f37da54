import type { RegistryEvent, RouteKind } from '../settings/event.ts';
import type { HistogramSample, MetricFamily } from './exposition.ts';

type RequestEvent = Extract<RegistryEvent, { kind: 'request' }>;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

/** Bounds of the histogram in seconds: from an answer out of memory to a blob of gigabytes. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

interface RouteCounts {
  /** How many took at most as long as each bound of {@link BOUNDS}, and longer than the one before. */
  readonly within: number[];
  seconds: number;
  requests: number;
  receivedBytes: number;
  sentBytes: number;
}

/**
 * Counts requests by method, kind of address and class of the answer. What a client can choose is no label: neither
 * names nor unknown methods, so that the number of series is bounded and none of them tells what is stored here.
 */
export class RequestCounts {
  /** By method, route and class, with spaces between. */
  readonly #answers = new Map<string, number>();
  readonly #routes = new Map<RouteKind, RouteCounts>();
  #failures = 0;

  /** Takes in one event; those that are no requests or failures of one change nothing. */
  observe(event: RegistryEvent): void {
    if (event.kind === 'failure') this.#failures += 1;
    if (event.kind !== 'request') return;
    const key = `${METHODS.has(event.method) ? event.method : 'other'} ${event.route} ${classOf(event)}`;
    this.#answers.set(key, (this.#answers.get(key) ?? 0) + 1);
    const seconds = Math.max(0, event.durationMs) / 1000;
    const counts = this.#routeOf(event.route);
    const at = BOUNDS.findIndex((bound) => seconds <= bound);
    if (at >= 0) counts.within[at] = (counts.within[at] ?? 0) + 1;
    counts.seconds += seconds;
    counts.requests += 1;
    counts.receivedBytes += event.receivedBytes;
    counts.sentBytes += event.sentBytes;
  }

  families(): MetricFamily[] {
    const routes = [...this.#routes].sort(([one], [other]) => (one < other ? -1 : 1));
    return [
      {
        kind: 'counter',
        name: 'tartlet_http_requests_total',
        help: 'Requests that are over, by method, kind of address and class of the answer.',
        samples: [...this.#answers]
          .sort(([one], [other]) => (one < other ? -1 : 1))
          .map(([key, value]) => {
            const [method = '', route = '', status = ''] = key.split(' ');
            return { labels: { method, route, status }, value };
          }),
      },
      {
        kind: 'histogram',
        name: 'tartlet_http_request_duration_seconds',
        help: 'Time from the head of a request to the end of its answer.',
        samples: routes.map(([route, counts]) => distribution(route, counts)),
      },
      {
        kind: 'counter',
        name: 'tartlet_http_received_bytes_total',
        help: 'Bytes of bodies of requests that are over.',
        samples: routes.map(([route, { receivedBytes }]) => ({ labels: { route }, value: receivedBytes })),
      },
      {
        kind: 'counter',
        name: 'tartlet_http_sent_bytes_total',
        help: 'Bytes of answers that are over, heads included.',
        samples: routes.map(([route, { sentBytes }]) => ({ labels: { route }, value: sentBytes })),
      },
      {
        kind: 'counter',
        name: 'tartlet_failures_total',
        help: 'Requests that failed by a fault of the registry or its disk; the log says why.',
        samples: [{ value: this.#failures }],
      },
    ];
  }

  #routeOf(route: RouteKind): RouteCounts {
    const known = this.#routes.get(route);
    if (known !== undefined) return known;
    const counts = { within: BOUNDS.map(() => 0), seconds: 0, requests: 0, receivedBytes: 0, sentBytes: 0 };
    this.#routes.set(route, counts);
    return counts;
  }
}

/** `aborted` when the client went away before an answer. */
function classOf({ status }: RequestEvent): string {
  return status === 0 ? 'aborted' : `${Math.floor(status / 100)}xx`;
}

function distribution(route: RouteKind, { within, seconds, requests }: RouteCounts): HistogramSample {
  let count = 0;
  const buckets = BOUNDS.map((bound, at) => {
    count += within[at] ?? 0;
    return { bound, count };
  });
  return { labels: { route }, buckets, sum: seconds, count: requests };
}
