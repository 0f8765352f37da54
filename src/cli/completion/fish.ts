/** For fish from 3.1 on. fish itself keeps what fits, and quotes what the shell would act on. */
export const FISH_SCRIPT = `# fish completion for @PROGRAM@
# Use it with: @PROGRAM@ completion fish | source

function _@FUNCTION@_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l found (command @PROGRAM@ __complete -- $tokens[2..-1] "$current" 2>/dev/null)
    if test "$found[1]" = files
        set -l option (string match -r -- '^--[^=]*=' "$current")
        set -l path (string replace -r -- '^--[^=]*=' '' "$current")
        set found files "$option"(__fish_complete_path "$path")
    end
    if test (count $found) -gt 1
        printf '%s\\n' $found[2..-1]
    end
end

complete -c @PROGRAM@ -e
complete -c @PROGRAM@ -f -a '(_@FUNCTION@_complete)'
`;
