import type { Argument, Command, Option } from 'commander';

/** A word to offer, and what it means; '' where nothing need be said. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** What can stand at a place. */
export type Candidates =
  | { readonly kind: 'words'; readonly words: readonly Candidate[] }
  /** VMs and images that are here. */
  | { readonly kind: 'names' }
  /** Paths, which the shell knows best. */
  | { readonly kind: 'files' };

/** Arguments with these names stand for something that exists; `new-name` and the like do not. */
const NAMES = /^(?:name|names|source|remote-name|remote-names)$/;
const FILES = /^(?:path|file|directory)(?![a-z])/;

/**
 * What can stand for the last word of a command line. Hidden commands and options are not offered.
 *
 * @param words what follows the program's name; the last one is being typed, and may be empty.
 */
export function candidatesFor(program: Command, words: readonly string[]): Candidates {
  let command = program;
  let option: Option | undefined;
  let isEnded = false;
  let place = 0;
  for (const word of words.slice(0, -1)) {
    if (option !== undefined) option = undefined;
    else if (!isEnded && word === '--') isEnded = true;
    else if (!isEnded && word.startsWith('-')) option = optionWithValue(command, word);
    else {
      const inside = place === 0 ? subcommand(command, word) : undefined;
      if (inside === undefined) place += 1;
      else command = inside;
    }
  }
  if (option !== undefined) return valuesOf(option);
  const current = words.at(-1) ?? '';
  if (!isEnded && current.startsWith('-')) return optionsOrValue(command, current);
  if (place === 0 && subcommands(command).length > 0) return wordsOf(subcommands(command).map(commandWord));
  const argument = command.registeredArguments[place] ?? command.registeredArguments.at(-1);
  const takesIt = argument !== undefined && (place < command.registeredArguments.length || argument.variadic);
  return takesIt ? argumentsOf(argument, program) : NOTHING;
}

const NOTHING: Candidates = { kind: 'words', words: [] };

/** The options of a command, or for `--option=` its values, each with the option before it. */
function optionsOrValue(command: Command, current: string): Candidates {
  const [, name] = /^(--[^=]*)=/.exec(current) ?? [];
  if (name === undefined) {
    return wordsOf(
      visibleOptions(command).flatMap((each) => spellings(each).map((word) => explained(word, each.description))),
    );
  }
  const option = optionWithValue(command, name);
  const values = option === undefined ? NOTHING : valuesOf(option);
  if (values.kind !== 'words') return values;
  return wordsOf(values.words.map(({ word, about }) => ({ word: `${name}=${word}`, about })));
}

function optionWithValue(command: Command, word: string): Option | undefined {
  return visibleOptions(command).find((each) => each.required && spellings(each).includes(word));
}

function valuesOf(option: Option): Candidates {
  const valueName = /<([^>.]+)(?:\.\.\.)?>/.exec(option.flags)?.[1] ?? '';
  if (option.argChoices !== undefined) return wordsOf(option.argChoices.map((word) => explained(word)));
  return FILES.test(valueName) ? { kind: 'files' } : NOTHING;
}

function argumentsOf(argument: Argument, program: Command): Candidates {
  const name = argument.name();
  if (argument.argChoices !== undefined) return wordsOf(argument.argChoices.map((word) => explained(word)));
  // Of `help`, which commander makes.
  if (name === 'command') return wordsOf(subcommands(program).map(commandWord));
  if (FILES.test(name)) return { kind: 'files' };
  return NAMES.test(name) ? { kind: 'names' } : NOTHING;
}

function subcommand(command: Command, word: string): Command | undefined {
  return subcommands(command).find((each) => each.name() === word || each.aliases().includes(word));
}

function subcommands(command: Command): readonly Command[] {
  // A command may look like a parent because commander made it a `help`.
  return command.commands.length === 0 ? [] : command.createHelp().visibleCommands(command);
}

function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

function spellings({ long, short }: Option): readonly string[] {
  return [long, short].filter((word) => typeof word === 'string');
}

function commandWord(command: Command): Candidate {
  return explained(command.name(), command.description());
}

/** @param text its first line is the meaning. */
function explained(word: string, text = ''): Candidate {
  return { word, about: text.split('\n', 1)[0] ?? '' };
}

function wordsOf(words: readonly Candidate[]): Candidates {
  return { kind: 'words', words };
}
