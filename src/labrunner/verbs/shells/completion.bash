# labrunner's completion for bash 4 and newer. In this shell, for now:
#     eval "$(labrunner completion bash)"
# For every shell, where the package bash-completion is installed:
#     mkdir -p ~/.local/share/bash-completion/completions
#     labrunner completion bash > ~/.local/share/bash-completion/completions/labrunner
# and where it is not:
#     echo 'eval "$(labrunner completion bash)"' >> ~/.bashrc

_labrunner() {
    local word
    COMPREPLY=()
    # bash cuts words at = and :, so the line itself is what is asked about
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT COMP_WORDBREAKS=$COMP_WORDBREAKS \
        "${COMP_WORDS[0]/#\~/$HOME}" completion words bash 2> /dev/null)
    # of a single word that goes on, no space is put behind it
    if [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *[=./,] || $COMPREPLY == \[* && $COMPREPLY != *\] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}

complete -F _labrunner labrunner
