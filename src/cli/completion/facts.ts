import type { Argument, Command, Option } from 'commander';

/** A word to offer, and what it means. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** What can stand at a place: words we know, names of VMs and images asked for when needed, or paths. */
export type Candidates = readonly Candidate[] | 'names' | 'files';

/**
 * One thing that a completion script must know, under the key by which it looks it up:
 *
 * - `command:AT:WORD`: the one candidate is the new AT after this word; AT is the path of subcommands, empty at the root
 * - `commands:AT:`: the subcommands of AT
 * - `options:AT:`: the options of AT
 * - `value:AT:OPTION`: what the option takes; an option without this fact takes nothing
 * - `argument:AT:N`: what the argument N, from 0, can be; `rest` stands for all that follow
 */
export interface Fact {
  readonly key: string;
  readonly candidates: Candidates;
}

/** Arguments with these names stand for something that exists; `new-name` and the like do not. */
const NAMES = /^(?:name|names|source|remote-name|remote-names)$/;
const FILES = /^(?:path|file|folder)$/;

/** All facts of a command tree, hidden commands and options left out. */
export function completionFacts(program: Command): Fact[] {
  return factsOf(program, '');
}

function factsOf(command: Command, at: string): Fact[] {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command);
  const options = help.visibleOptions(command);
  const commands = subcommands.map((each) => ({ word: each.name(), about: firstLine(each.description()) }));
  const facts: Fact[] = [
    { key: `options:${at}:`, candidates: options.flatMap(wordsOf) },
    ...options.flatMap((option) => valueFacts(option, at)),
    ...command.registeredArguments.map((argument, place) => argumentFact(argument, place, at)),
  ];
  if (commands.length > 0) facts.push({ key: `commands:${at}:`, candidates: commands });
  for (const each of subcommands) {
    const inside = at === '' ? each.name() : `${at} ${each.name()}`;
    for (const word of [each.name(), ...each.aliases()]) {
      facts.push({ key: `command:${at}:${word}`, candidates: [{ word: inside, about: '' }] });
    }
    // Commander makes this command up when it is needed: it is not in the list, and its argument is the name of a command.
    if (command.commands.includes(each)) facts.push(...factsOf(each, inside));
    else facts.push({ key: `argument:${inside}:0`, candidates: commands });
  }
  return facts;
}

function wordsOf(option: Option): Candidate[] {
  const about = firstLine(option.description);
  return [option.long, option.short].flatMap((word) => (word === undefined || word === null ? [] : { word, about }));
}

function valueFacts(option: Option, at: string): Fact[] {
  if (!option.required) return [];
  const valueName = /<([^>.]+)(?:\.\.\.)?>/.exec(option.flags)?.[1] ?? '';
  const candidates = option.argChoices?.map(unexplained) ?? (FILES.test(valueName) ? 'files' : []);
  return [option.long, option.short].flatMap((word) =>
    word === undefined || word === null ? [] : { key: `value:${at}:${word}`, candidates },
  );
}

function argumentFact(argument: Argument, place: number, at: string): Fact {
  const key = `argument:${at}:${argument.variadic ? 'rest' : place}`;
  if (argument.argChoices !== undefined) return { key, candidates: argument.argChoices.map(unexplained) };
  if (FILES.test(argument.name())) return { key, candidates: 'files' };
  return { key, candidates: NAMES.test(argument.name()) ? 'names' : [] };
}

function unexplained(word: string): Candidate {
  return { word, about: '' };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
