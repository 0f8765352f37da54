import { createServer, type IncomingMessage, request as send, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Cleanup } from './real-cleanup.ts';

/** What a gate does with a request. */
export type Treatment =
  /** Lets it and its answer through. */
  | { readonly kind: 'pass' }
  /** Lets so many bytes of the answer's body through, and then nothing more. */
  | { readonly kind: 'stall'; readonly bytes: number }
  /** Answers in the registry's place. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: string };

/** A proxy in front of a registry that writes down what was asked, and can stand in the way. */
export class Gate {
  /** `METHOD path`, without the query, in order of arrival. */
  readonly requests: string[] = [];
  /** Decides about every request, named as in {@link requests}. */
  treat: (request: string) => Treatment = () => ({ kind: 'pass' });
  /** Requests whose answer has stopped by now. */
  readonly stalled: string[] = [];
  readonly #stalledAnswers: ServerResponse[] = [];
  readonly #server = createServer((request, response) => this.#serve(request, response));
  readonly #registryPort: number;

  private constructor(registryPort: number) {
    this.#registryPort = registryPort;
  }

  static async start(cleanup: Cleanup, registryPort: number): Promise<Gate> {
    const gate = new Gate(registryPort);
    await new Promise<void>((resolve) => {
      gate.#server.listen(0, '127.0.0.1', resolve);
    });
    cleanup.add(async () => {
      gate.#server.closeAllConnections();
      await new Promise<void>((resolve) => {
        gate.#server.close(() => resolve());
      });
    });
    return gate;
  }

  /** Breaks the connections of all that have stopped. */
  cutOff(): void {
    for (const response of this.#stalledAnswers.splice(0)) response.destroy();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const name = `${request.method ?? ''} ${(request.url ?? '').replace(/\?.*$/s, '')}`;
    this.requests.push(name);
    const treatment = this.treat(name);
    if (treatment.kind === 'answer') {
      request.resume();
      request.once('end', () => response.writeHead(treatment.status).end(treatment.body));
      return;
    }
    const { method, url, headers } = request;
    const upstream = send({ host: '127.0.0.1', port: this.#registryPort, method, path: url, headers });
    upstream.once('error', () => response.destroy());
    response.once('close', () => upstream.destroy());
    upstream.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      if (treatment.kind === 'pass') answer.pipe(response);
      else void this.#stall(name, answer, response, treatment.bytes);
    });
    request.pipe(upstream);
  }

  async #stall(name: string, answer: IncomingMessage, response: ServerResponse, bytes: number): Promise<void> {
    let rest = bytes;
    for await (const piece of answer as AsyncIterable<Buffer>) {
      response.write(piece.subarray(0, rest));
      rest -= piece.length;
      if (rest <= 0) break;
    }
    this.#stalledAnswers.push(response);
    this.stalled.push(name);
  }
}
