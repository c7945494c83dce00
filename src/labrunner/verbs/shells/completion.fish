# labrunner's completion for fish. In this shell, for now:
#     labrunner completion fish | source
# For every shell:
#     labrunner completion fish > ~/.config/fish/completions/labrunner.fish

function __labrunner_words
    set -l before (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $before[1])
    $program completion words fish -- $before[2..-1] (commandline -ct) 2>/dev/null
end

complete -c labrunner -f -a '(__labrunner_words)'
