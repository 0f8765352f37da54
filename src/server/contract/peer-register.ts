/** Which hosts of a fleet answer peers (docs/guide/peers.md): each says it of itself. Not trusted, and not kept. */
export interface PeerRegister {
  /**
   * Keeps a host in the list for some minutes.
   * @param client as limits count it. @param address of the client, as its socket says. @param port where it answers.
   */
  announce(client: string, address: string, port: number): void;
  /** Addresses with ports, as they are written, in no order. */
  list(): readonly string[];
}
