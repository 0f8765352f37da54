/** The client went away before its body was complete: an answer would not arrive. */
export class ClientAborted extends Error {
  constructor() {
    super('the client closed the connection before the body was complete');
    this.name = 'ClientAborted';
  }
}

/** What a client sends with one request. */
export interface RequestBody {
  /**
   * Asks for the body, where the client waits to be asked, and feeds it to `write`: one call at a time, in their order.
   * While `write` is at work the client is held back, so that memory does not depend on how much it sends.
   * @throws ClientAborted when the connection breaks, after the call under way has ended; whatever `write` throws.
   */
  consume(write: (pieces: readonly Buffer[]) => Promise<void>): Promise<void>;
  /** Ends the connection: {@link consume} throws `ClientAborted` then. */
  abort(): void;
}
