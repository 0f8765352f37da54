import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** Where collectors of OpenTelemetry listen on the same machine. */
export const DEFAULT_ENDPOINT = 'http://localhost:4318/v1/traces';
/** All that an export may cost a command, in milliseconds. */
const TIMEOUT_MS = 2_000;

/** The encodings of OTLP over HTTP. */
export type OtlpEncoding = 'http/protobuf' | 'http/json';

const CONTENT_TYPES: Readonly<Record<OtlpEncoding, string>> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

/**
 * The encoding that the standard's variables ask for. Protobuf unless they say JSON: it is the default of the standard
 * and what Tart sends (tart-cli §6.2). Over gRPC we send nothing.
 */
export function encodingOf(environment: Readonly<Record<string, string | undefined>>): OtlpEncoding {
  const named = environment['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || environment['OTEL_EXPORTER_OTLP_PROTOCOL'];
  return named?.trim() === 'http/json' ? 'http/json' : 'http/protobuf';
}

/**
 * Sends one export by OTLP over HTTP, once.
 * @returns why it did not arrive, in words without the address's secrets; undefined when it did. Never rejects.
 */
export async function sendExport(
  endpoint: string,
  body: Uint8Array,
  encoding: OtlpEncoding,
): Promise<string | undefined> {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) return 'the endpoint is no http(s) address';
  try {
    return await post(url, body, CONTENT_TYPES[encoding]);
  } catch {
    return 'the endpoint cannot be used'; // Node throws for a user that is badly encoded, and its text may quote it.
  }
}

async function post(url: URL, body: Uint8Array, contentType: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      method: 'POST',
      headers: { 'content-type': contentType, 'content-length': body.length },
      agent: false, // No connection outlives the command.
    });
    const finish = (problem: string | undefined): void => {
      clearTimeout(timer);
      request.destroy();
      resolve(problem);
    };
    // For the name lookup, the connection and the answer together, which no timeout of a socket covers.
    const timer = setTimeout(() => finish(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    request.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.name));
    request.on('response', ({ statusCode = 0 }) =>
      finish(statusCode >= 200 && statusCode < 300 ? undefined : `it answered ${statusCode}`),
    );
    request.end(body);
  });
}
