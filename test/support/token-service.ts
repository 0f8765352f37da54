import { type Answer, type RecordedRequest, ScriptedRegistry } from './scripted-registry.ts';

/** A token service that counts what it hands out: `token-1`, `token-2` … */
export class TokenService {
  readonly server: ScriptedRegistry;
  /** What to answer instead of a token. */
  answer: ((request: RecordedRequest, count: number) => Answer) | undefined;

  private constructor(server: ScriptedRegistry) {
    this.server = server;
  }

  static async start(): Promise<TokenService> {
    const service = new TokenService(await ScriptedRegistry.start());
    const respond = (request: RecordedRequest, count: number): Answer =>
      service.answer?.(request, count) ?? { body: JSON.stringify({ token: `token-${count}`, expires_in: 300 }) };
    service.server.on('GET /token', respond).on('POST /token', respond);
    return service;
  }

  get realm(): string {
    return `${this.server.origin}/token`;
  }

  /** The header of a 401 that sends clients here. */
  challenge(scope?: string): Answer {
    const asked = scope === undefined ? '' : `,scope="${scope}"`;
    return {
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="${this.realm}",service="registry.example"${asked}` },
    };
  }

  get requests(): readonly RecordedRequest[] {
    return this.server.requests;
  }

  /** The query of each request, decoded. */
  get queries(): [string, string][][] {
    return this.requests.map(({ path }) => [...new URL(path, this.server.origin).searchParams]);
  }
}
