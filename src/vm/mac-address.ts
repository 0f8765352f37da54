import { TartletError } from '../errors.ts';

/** The hardware address of a VM's network card. Held in lower case, as Tart writes it (tart-formats §3). */
export class MacAddress {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /**
   * Six bytes in hex with `:` between them, in either case.
   *
   * @throws TartletError `CONFIG_INVALID`
   */
  static parse(text: string): MacAddress {
    const address = MacAddress.tryParse(text);
    if (address !== undefined) return address;
    throw new TartletError('CONFIG_INVALID', 'a MAC address is six bytes in hex, written like 7e:12:34:56:78:9a');
  }

  static tryParse(text: string): MacAddress | undefined {
    return /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text) ? new MacAddress(text.toLowerCase()) : undefined;
  }

  /**
   * A new address for one machine, not for a group, that no vendor was given (IEEE 802: the two low bits of the first
   * byte).
   *
   * @param randomBytes makes so many unpredictable bytes: `randomBytes` of `node:crypto`.
   */
  static random(randomBytes: (count: number) => Uint8Array): MacAddress {
    const bytes = Array.from(randomBytes(6), (byte, index) => (index === 0 ? (byte & 0xfc) | 0x02 : byte));
    return new MacAddress(bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
  }

  equals(other: MacAddress): boolean {
    return this.#text === other.#text;
  }

  toString(): string {
    return this.#text;
  }

  toJSON(): string {
    return this.#text;
  }
}
