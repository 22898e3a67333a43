# bash completion for ringagent(1). It asks the program itself, so that it knows what that one knows.
_ringagent() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i told words
  local -a path=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -*) ;;
      *) _ringagent_takes_value "${COMP_WORDS[i - 1]}" || path+=("${COMP_WORDS[i]}") ;;
    esac
  done
  if _ringagent_takes_value "$before"; then
    case $before in
      --socket | --config | --*-file | --*-socket | --snippet | --out)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ;;
      --role) mapfile -t COMPREPLY < <(compgen -W "ring leaf spare" -- "$word") ;;
      --data) mapfile -t COMPREPLY < <(compgen -W "auto none" -- "$word") ;;
      --method) mapfile -t COMPREPLY < <(compgen -W "auto clone dump" -- "$word") ;;
    esac
    return
  fi
  told=$(ringagent "${path[@]}" --help 2>/dev/null)
  if [[ $word == -* ]]; then
    words=$({ echo '  --socket' && echo '  --config' && echo "$told"; } | sed -n 's/^  \(-[^ ]*\).*/\1/p' | tr ',' '\n')
  else
    words=$(sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' <<<"$told")
    [[ ${path[*]} != stranded ]] || words="show replay discard"
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

# Whether an option is followed by a value: its line of --help names a type.
_ringagent_takes_value() {
  [[ $1 == -* ]] || return 1
  [[ $1 != --socket && $1 != --config ]] || return 0
  ringagent "${path[@]}" --help 2>/dev/null | grep -qE -- "^  (-[^ ]+,)*$1(,-[^ ]+)* [A-Z]"
}
complete -F _ringagent ringagent
