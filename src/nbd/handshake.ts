import type { NamedDevice } from './block-device.ts';
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { answerMetaContext } from './meta-context.ts';
import { type Agreement, type Option, optionReply, readOption, readText } from './option.ts';
import {
  BlockSize,
  ConnectionBroken,
  HandshakeFlag,
  InfoType,
  Magic,
  OptionReply,
  OptionType,
  TransmissionFlag,
} from './protocol.ts';

/** What a client has chosen. */
export interface Negotiated {
  readonly chosen: NamedDevice;
  /** Whether replies are structured. */
  readonly isStructured: boolean;
  /** Whether the client may ask which parts of the device are holes. */
  readonly hasAllocation: boolean;
}

/** A client that asks for more than this before it chooses means no good. */
const MOST_OPTIONS = 256;

/** Bytes behind size and flags, for clients that want them (the answer to `EXPORT_NAME`). */
const ZEROES = 124;

/**
 * Greets a client, and answers what it asks until it has chosen a device: the fixed newstyle handshake.
 *
 * @returns undefined when the client leaves without choosing.
 * @throws ConnectionBroken
 */
export async function negotiate(
  reader: ByteReader,
  writer: ByteWriter,
  devices: readonly NamedDevice[],
): Promise<Negotiated | undefined> {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(Magic.greeting, 0);
  greeting.writeBigUInt64BE(Magic.option, 8);
  greeting.writeUInt16BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 16);
  await writer.write([greeting]);
  const flags = (await reader.read(4)).readUInt32BE(0);
  if (flags !== (flags & (HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes))) throw broken('unknown flags');
  const agreement: Agreement = { isStructured: false, allocationOf: undefined };
  for (let asked = 0; asked < MOST_OPTIONS; asked += 1) {
    const option = await readOption(reader);
    switch (option.type) {
      case OptionType.abort:
        await writer.write([optionReply(option, OptionReply.ack)]);
        return undefined;
      case OptionType.exportName: {
        const chosen = find(devices, option.data.toString());
        // To this option there is no answer that says no.
        if (chosen === undefined) throw broken('no such device');
        await writer.write([oldAnswer(chosen, agreement, (flags & HandshakeFlag.noZeroes) !== 0)]);
        return negotiated(chosen, agreement);
      }
      case OptionType.info:
      case OptionType.go: {
        const asksFor = askedDevice(option, devices);
        await writer.write(informed(option, asksFor, agreement));
        if (option.type === OptionType.go && typeof asksFor === 'object') return negotiated(asksFor, agreement);
        break;
      }
      default:
        await writer.write(answer(option, devices, agreement));
    }
  }
  throw broken('too many options');
}

/** Answers what changes or tells something, and leaves the choice open. */
function answer(option: Option, devices: readonly NamedDevice[], agreement: Agreement): Buffer[] {
  switch (option.type) {
    case OptionType.list:
      if (option.data.length > 0) return [optionReply(option, OptionReply.invalid)];
      return [...devices.map(({ name }) => listed(option, name)), optionReply(option, OptionReply.ack)];
    case OptionType.structuredReply:
      if (option.data.length > 0) return [optionReply(option, OptionReply.invalid)];
      agreement.isStructured = true;
      return [optionReply(option, OptionReply.ack)];
    case OptionType.listMetaContext:
    case OptionType.setMetaContext:
      return answerMetaContext(option, (name) => find(devices, name), agreement);
    default:
      return [optionReply(option, OptionReply.unsupported)];
  }
}

function negotiated(chosen: NamedDevice, { isStructured, allocationOf }: Agreement): Negotiated {
  return { chosen, isStructured, hasAllocation: allocationOf === chosen };
}

function find(devices: readonly NamedDevice[], name: string): NamedDevice | undefined {
  return devices.find((each) => each.name === name);
}

/** The device of `INFO` or `GO`. The details that a client asks for are not looked at: it gets all that we have. */
function askedDevice({ data }: Option, devices: readonly NamedDevice[]): NamedDevice | 'unknown' | 'invalid' {
  const name = readText(data, 0);
  if (name === undefined || data.length < name.end + 2) return 'invalid';
  if (data.length !== name.end + 2 + 2 * data.readUInt16BE(name.end)) return 'invalid';
  return find(devices, name.text) ?? 'unknown';
}

function informed(option: Option, asksFor: NamedDevice | 'unknown' | 'invalid', agreement: Agreement): Buffer[] {
  if (typeof asksFor === 'string') return [optionReply(option, OptionReply[asksFor])];
  const device = Buffer.alloc(12);
  device.writeUInt16BE(InfoType.export, 0);
  sizeAndFlags(asksFor, agreement).copy(device, 2);
  const blockSize = Buffer.alloc(14);
  blockSize.writeUInt16BE(InfoType.blockSize, 0);
  [BlockSize.least, BlockSize.preferred, BlockSize.most].forEach((size, at) =>
    blockSize.writeUInt32BE(size, 2 + 4 * at),
  );
  return [
    optionReply(option, OptionReply.info, device),
    optionReply(option, OptionReply.info, blockSize),
    optionReply(option, OptionReply.ack),
  ];
}

function listed(option: Option, name: string): Buffer {
  const text = Buffer.from(name);
  const data = Buffer.alloc(4 + text.length);
  data.writeUInt32BE(text.length, 0);
  text.copy(data, 4);
  return optionReply(option, OptionReply.server, data);
}

/** The answer to `EXPORT_NAME`, which has no header. */
function oldAnswer(chosen: NamedDevice, agreement: Agreement, isShort: boolean): Buffer {
  return Buffer.concat([sizeAndFlags(chosen, agreement), Buffer.alloc(isShort ? 0 : ZEROES)]);
}

function sizeAndFlags({ device }: NamedDevice, { isStructured }: Agreement): Buffer {
  const { hasFlags, readOnly, sendFlush, sendDf, canMultiConn, sendCache } = TransmissionFlag;
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(device.size), 0);
  bytes.writeUInt16BE(hasFlags | readOnly | sendFlush | canMultiConn | sendCache | (isStructured ? sendDf : 0), 8);
  return bytes;
}

function broken(why: string): ConnectionBroken {
  return new ConnectionBroken(`the client does not keep to the protocol: ${why}`);
}
