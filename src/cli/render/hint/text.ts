import type { Hint, HintFacts, HintKind, HintOf } from '../../../hint.ts';
import { HOST_TEXTS } from './host.ts';
import { ARCHIVE_TEXTS, DOCTOR_TEXTS, FILE_TEXTS, HOME_TEXTS, IMAGE_TEXTS, VM_TEXTS } from './local.ts';
import { LOGIN_TEXTS, NAME_TEXTS, NETWORK_TEXTS, REGISTRY_TEXTS, SERVE_TEXTS } from './remote.ts';

/** The words for each kind of hint: an imperative without a full stop. A kind without words does not compile. */
const TEXTS: { readonly [Kind in HintKind]: (hint: HintFacts[Kind]) => string } = {
  ...NAME_TEXTS,
  ...LOGIN_TEXTS,
  ...NETWORK_TEXTS,
  ...REGISTRY_TEXTS,
  ...SERVE_TEXTS,
  ...FILE_TEXTS,
  ...HOME_TEXTS,
  ...IMAGE_TEXTS,
  ...VM_TEXTS,
  ...ARCHIVE_TEXTS,
  ...HOST_TEXTS,
  ...DOCTOR_TEXTS,
  'in-words': ({ words }) => words,
};

/** A hint in the words of the command, with its names of commands and options. */
export function hintText(hint: Hint): string {
  return textOf(hint);
}

/** A sentence without a full stop, and what to do about it behind a semicolon. */
export function withHint(sentence: string, next: Hint | undefined): string {
  return next === undefined ? sentence : `${sentence}; ${hintText(next)}`;
}

function textOf<Kind extends HintKind>(hint: HintOf<Kind>): string {
  return TEXTS[hint.kind](hint);
}
