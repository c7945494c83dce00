#compdef labrunner
# labrunner's completion for zsh. In this shell, for now, behind `autoload -Uz compinit && compinit`:
#     eval "$(labrunner completion zsh)"
# For every shell:
#     mkdir -p ~/.zfunc && labrunner completion zsh > ~/.zfunc/_labrunner
# with these lines in ~/.zshrc:
#     fpath=(~/.zfunc $fpath)
#     autoload -Uz compinit && compinit

_labrunner() {
    local -a open_shown open_words whole_shown whole_words fields
    local line
    for line in ${(f)"$("${words[1]/#\~/$HOME}" completion words zsh -- \
        "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)"}; do
        fields=("${(@ps:\t:)line}")  # goes on or ends here, the word, what is listed with what it means
        if [[ $fields[1] == + ]]; then
            open_words+=("$fields[2]") open_shown+=("$fields[3]")
        else
            whole_words+=("$fields[2]") whole_shown+=("$fields[3]")
        fi
    done
    _describe -t words labrunner open_shown open_words -S '' -- whole_shown whole_words
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _labrunner "$@"
else
    compdef _labrunner labrunner
fi
