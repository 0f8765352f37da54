/** For zsh with its completion system on (`compinit`): sourced, or as a file in `fpath`. */
export const ZSH_SCRIPT = `#compdef @PROGRAM@
# zsh completion for @PROGRAM@
# Use it with: source <(@PROGRAM@ completion zsh), after compinit

@FUNCTION@() {
  local line word
  local -a lines known
  lines=("\${(@f)$(command @PROGRAM@ __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  if [[ \${lines[1]} == files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
    return
  fi
  for line in "\${(@)lines[2,-1]}"; do
    # As _describe takes it: the word with its colons escaped, a colon, the meaning. It quotes what the shell would act
    # on.
    word=\${line%%$'\\t'*}
    word=\${\${word//\\\\/\\\\\\\\}//:/\\\\:}
    [[ $line == *$'\\t'* ]] && word+=:\${line#*$'\\t'}
    known+=("$word")
  done
  (($#known)) || return 1
  _describe '@PROGRAM@' known
}

if [[ \${funcstack[1]} == @FUNCTION@ ]]; then
  @FUNCTION@ "$@"
elif (( $+functions[compdef] )); then
  compdef @FUNCTION@ @PROGRAM@
fi
`;
