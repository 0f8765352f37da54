import type { Candidate, Candidates, Fact } from './facts.ts';
import { functionName, posixQuoted } from './quote.ts';

/** For zsh with its completion system on (`compinit`): sourced, or as a file in `fpath`. */
export function zshScript(program: string, facts: readonly Fact[]): string {
  const lines = facts.map(
    ({ key, candidates }) => `    (${posixQuoted(key)}) known=(${entries(candidates).map(posixQuoted).join(' ')}) ;;`,
  );
  return SCRIPT.replaceAll('@PROGRAM@', program)
    .replaceAll('@FUNCTION@', `_${functionName(program)}`)
    .replace('@FACTS@', () => lines.join('\n'));
}

function entries(candidates: Candidates): string[] {
  return typeof candidates === 'string' ? [`@${candidates}`] : candidates.map(entry);
}

/** As `_describe` takes it: the word with its colons escaped, a colon, the meaning. */
function entry({ word, about }: Candidate): string {
  const escaped = word.replaceAll(/[\\:]/g, String.raw`\$&`);
  return about === '' ? escaped : `${escaped}:${about}`;
}

const SCRIPT = `#compdef @PROGRAM@
# zsh completion for @PROGRAM@
# Use it with: source <(@PROGRAM@ completion zsh), after compinit

@FUNCTION@_known() {
  known=()
  case $1 in
@FACTS@
    (*) return 1 ;;
  esac
}

@FUNCTION@() {
  local at='' option='' ended='' word key
  local -i place=0 index
  local -a known

  for ((index = 2; index < CURRENT; index++)); do
    word=\${(Q)words[index]}
    if [[ -n $option ]]; then
      option=''
    elif [[ -z $ended && $word == -- ]]; then
      ended=yes
    elif [[ -z $ended && $word == -* ]]; then
      @FUNCTION@_known "value:$at:$word" && option=$word
    elif ((place == 0)) && @FUNCTION@_known "command:$at:$word"; then
      at=\${known[1]}
    else
      ((place += 1))
    fi
  done

  if [[ -n $option ]]; then
    key=value:$at:$option
  elif [[ -z $ended && $PREFIX == --*=* ]]; then
    key=value:$at:\${PREFIX%%=*}
    compset -P '*='
  elif [[ -z $ended && $PREFIX == -* ]]; then
    key=options:$at:
  elif ((place == 0)) && @FUNCTION@_known "commands:$at:"; then
    key=commands:$at:
  else
    key=argument:$at:$place
    @FUNCTION@_known "$key" || key=argument:$at:rest
  fi
  @FUNCTION@_known "$key" || return 1

  case \${known[1]} in
    ('') return 1 ;;
    (@files) _files ;;
    (@names)
      known=("\${(@f)$(command @PROGRAM@ __complete names "\${(Q)PREFIX}" 2>/dev/null)}")
      known=("\${(@)known:#}")
      # compadd quotes what the shell would act on.
      compadd -a known
      ;;
    (*) _describe '@PROGRAM@' known ;;
  esac
}

if [[ \${funcstack[1]} == @FUNCTION@ ]]; then
  @FUNCTION@ "$@"
elif (( $+functions[compdef] )); then
  compdef @FUNCTION@ @PROGRAM@
fi
`;
