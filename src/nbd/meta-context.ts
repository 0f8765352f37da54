import type { NamedDevice } from './block-device.ts';
import { type Agreement, type Option, optionReply, readText } from './option.ts';
import { ALLOCATION, OptionReply, OptionType } from './protocol.ts';

/** What a client asks about what can be known of a device. */
interface Query {
  readonly name: string;
  /** Empty: about everything. */
  readonly contexts: readonly string[];
}

/**
 * Answers `LIST_META_CONTEXT` and `SET_META_CONTEXT`: of a device its allocation is known, and nothing else.
 *
 * @param agreement what the client chooses is written into it; a further choice takes the place of the former.
 */
export function answerMetaContext(
  option: Option,
  find: (name: string) => NamedDevice | undefined,
  agreement: Agreement,
): Buffer[] {
  const query = agreement.isStructured ? queryOf(option.data) : undefined;
  const isChoice = option.type === OptionType.setMetaContext;
  if (isChoice) agreement.allocationOf = undefined;
  if (query === undefined) return [optionReply(option, OptionReply.invalid)];
  const device = find(query.name);
  if (device === undefined) return [optionReply(option, OptionReply.unknown)];
  if (!(isChoice ? isChosen(query) : isListed(query))) return [optionReply(option, OptionReply.ack)];
  if (isChoice) agreement.allocationOf = device;
  const name = Buffer.from(ALLOCATION.name);
  const context = Buffer.alloc(4 + name.length);
  // In a list no number has a meaning yet.
  context.writeUInt32BE(isChoice ? ALLOCATION.id : 0, 0);
  name.copy(context, 4);
  return [optionReply(option, OptionReply.metaContext, context), optionReply(option, OptionReply.ack)];
}

function isChosen({ contexts }: Query): boolean {
  return contexts.includes(ALLOCATION.name);
}

function isListed({ contexts }: Query): boolean {
  return contexts.length === 0 || contexts.some((each) => each === ALLOCATION.name || each === 'base:');
}

function queryOf(data: Buffer): Query | undefined {
  const name = readText(data, 0);
  if (name === undefined || data.length < name.end + 4) return undefined;
  const contexts: string[] = [];
  let at = name.end + 4;
  for (let left = data.readUInt32BE(name.end); left > 0; left -= 1) {
    const context = readText(data, at);
    if (context === undefined) return undefined;
    contexts.push(context.text);
    at = context.end;
  }
  return at === data.length ? { name: name.text, contexts } : undefined;
}
