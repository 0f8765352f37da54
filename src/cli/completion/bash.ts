/**
 * For bash from 3.2 (macOS) on, without the bash-completion package.
 *
 * The line is split here because bash also splits at colons, which are in most names; for the same reason, what stands
 * before the last colon is taken off each answer: readline replaces only what follows it. `compgen -W` is not used
 * because it expands its words.
 */
export const BASH_SCRIPT = `# bash completion for @PROGRAM@
# Use it with: source <(@PROGRAM@ completion bash)

@FUNCTION@() {
  local line=\${COMP_LINE:0:COMP_POINT} kind='' word last
  local -a words
  COMPREPLY=()
  IFS=$' \\t\\n' read -r -d '' -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=\${words[\${#words[@]} - 1]}
  local before=$current
  while [[ -n $before ]]; do
    last=\${before:\${#before}-1}
    [[ :=@ == *"$last"* && $COMP_WORDBREAKS == *"$last"* ]] && break
    before=\${before%?}
  done

  while IFS= read -r word; do
    if [[ -z $kind ]]; then
      kind=$word
      continue
    fi
    word=\${word%%$'\\t'*}
    [[ $word == "$current"* ]] || continue
    # A name may hold what the shell would act on.
    printf -v word %q "\${word#"$before"}"
    COMPREPLY+=("$word")
  done < <(command @PROGRAM@ __complete -- "\${words[@]:1}" 2>/dev/null)
  [[ $kind == files ]] && compopt -o default 2>/dev/null
  return 0
}

complete -F @FUNCTION@ @PROGRAM@
`;
