import type { Candidate, Fact } from './facts.ts';
import { fishQuoted, functionName } from './quote.ts';

/** For fish from 3.1 on. */
export function fishScript(program: string, facts: readonly Fact[]): string {
  return SCRIPT.replaceAll('@PROGRAM@', program)
    .replaceAll('@FUNCTION@', `__${functionName(program)}`)
    .replace('@FACTS@', () => facts.map(caseOf).join('\n'));
}

function caseOf({ key, candidates }: Fact): string {
  const lines = typeof candidates === 'string' ? [`@${candidates}`] : candidates.map(line);
  const body = lines.length === 0 ? 'return 1' : `printf '%s\\n' ${lines.map(fishQuoted).join(' ')}`;
  return `        case ${fishQuoted(key)}\n            ${body}`;
}

/** As fish takes it: the word, a tab, the meaning. */
function line({ word, about }: Candidate): string {
  return about === '' ? word : `${word}\t${about}`;
}

const SCRIPT = `# fish completion for @PROGRAM@
# Use it with: @PROGRAM@ completion fish | source

function @FUNCTION@_known
    switch $argv[1]
@FACTS@
        case '*'
            return 1
    end
end

function @FUNCTION@_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l at ''
    set -l option ''
    set -l ended ''
    set -l prefix ''
    set -l place 0
    set -l key
    set -l found

    for word in $tokens[2..-1]
        if test -n "$option"
            set option ''
        else if test -z "$ended"; and test "$word" = --
            set ended yes
        else if test -z "$ended"; and string match -q -- '-*' $word
            if @FUNCTION@_known "value:$at:$word" >/dev/null
                set option $word
            end
        else if test $place -eq 0; and set found (@FUNCTION@_known "command:$at:$word")
            set at $found[1]
        else
            set place (math $place + 1)
        end
    end

    if test -n "$option"
        set key "value:$at:$option"
    else if test -z "$ended"; and string match -q -- '--*=*' $current
        set -l parts (string split -m 1 -- = $current)
        set prefix "$parts[1]="
        set key "value:$at:$parts[1]"
        set current $parts[2]
    else if test -z "$ended"; and string match -q -- '-*' $current
        set key "options:$at:"
    else if test $place -eq 0; and @FUNCTION@_known "commands:$at:" >/dev/null
        set key "commands:$at:"
    else
        set key "argument:$at:$place"
        @FUNCTION@_known $key >/dev/null; or set key "argument:$at:rest"
    end
    set found (@FUNCTION@_known $key); or return 0

    # fish itself keeps what fits, and quotes what the shell would act on.
    switch "$found[1]"
        case '@files'
            set found (__fish_complete_path "$current")
        case '@names'
            set found (command @PROGRAM@ __complete names "$current" 2>/dev/null)
    end
    if test (count $found) -gt 0
        printf '%s\\n' "$prefix"$found
    end
end

complete -c @PROGRAM@ -e
complete -c @PROGRAM@ -f -a '(@FUNCTION@_complete)'
`;
