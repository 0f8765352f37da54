import type { Candidates, Fact } from './facts.ts';
import { functionName, posixQuoted } from './quote.ts';

/** For bash from 3.2 (macOS) on, without the bash-completion package. */
export function bashScript(program: string, facts: readonly Fact[]): string {
  const lines = facts.map(
    ({ key, candidates }) => `    ${posixQuoted(key)}) known=(${words(candidates).map(posixQuoted).join(' ')}) ;;`,
  );
  return SCRIPT.replaceAll('@PROGRAM@', program)
    .replaceAll('@FUNCTION@', `_${functionName(program)}`)
    .replace('@FACTS@', () => lines.join('\n'));
}

function words(candidates: Candidates): string[] {
  return typeof candidates === 'string' ? [`@${candidates}`] : candidates.map((each) => each.word);
}

/*
 * The line is split here because bash also splits at colons, which are in most names; for the same reason, what stands before the last
 * colon is taken off each answer: readline replaces only what follows it. `compgen -W` is not used because it expands its words.
 */
const SCRIPT = `# bash completion for @PROGRAM@
# Use it with: source <(@PROGRAM@ completion bash)

@FUNCTION@_known() {
  known=()
  case $1 in
@FACTS@
    *) return 1 ;;
  esac
}

@FUNCTION@() {
  local line=\${COMP_LINE:0:COMP_POINT} at='' option='' ended='' prefix='' place=0 index word key
  local -a words known
  COMPREPLY=()
  IFS=$' \\t\\n' read -r -d '' -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=\${words[\${#words[@]} - 1]}

  for ((index = 1; index < \${#words[@]} - 1; index++)); do
    word=\${words[index]}
    if [[ -n $option ]]; then
      option=''
    elif [[ -z $ended && $word == -- ]]; then
      ended=yes
    elif [[ -z $ended && $word == -* ]]; then
      @FUNCTION@_known "value:$at:$word" && option=$word
    elif ((place == 0)) && @FUNCTION@_known "command:$at:$word"; then
      at=\${known[0]}
    else
      ((place += 1))
    fi
  done

  if [[ -n $option ]]; then
    key=value:$at:$option
  elif [[ -z $ended && $current == --*=* ]]; then
    prefix=\${current%%=*}=
    key=value:$at:\${current%%=*}
  elif [[ -z $ended && $current == -* ]]; then
    key=options:$at:
  elif ((place == 0)) && @FUNCTION@_known "commands:$at:"; then
    key=commands:$at:
  else
    key=argument:$at:$place
    @FUNCTION@_known "$key" || key=argument:$at:rest
  fi
  @FUNCTION@_known "$key" && ((\${#known[@]} > 0)) || return 0

  if [[ \${known[0]} == @files ]]; then
    compopt -o default 2>/dev/null
    return 0
  elif [[ \${known[0]} == @names ]]; then
    known=()
    while IFS= read -r word; do
      known+=("$word")
    done < <(command @PROGRAM@ __complete names "\${current#"$prefix"}" 2>/dev/null)
    ((\${#known[@]} > 0)) || return 0
  fi

  local before=$current last
  while [[ -n $before ]]; do
    last=\${before:\${#before}-1}
    [[ :=@ == *"$last"* && $COMP_WORDBREAKS == *"$last"* ]] && break
    before=\${before%?}
  done
  for word in "\${known[@]}"; do
    word=$prefix$word
    [[ $word == "$current"* ]] || continue
    # A name may hold what the shell would act on.
    printf -v word %q "\${word#"$before"}"
    COMPREPLY+=("$word")
  done
}

complete -F @FUNCTION@ @PROGRAM@
`;
