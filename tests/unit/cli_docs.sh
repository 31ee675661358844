#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The help of memofs is what its parser reads. The manual and the completions of
# both shells are written by hand: here they must name the same commands and the
# same options, no fewer and no more; and the completion for bash must answer.
# usage: cli_docs.sh MEMOFS SOURCE
set -euo pipefail
shopt -s inherit_errexit

memofs=$1 source=$2
man=$source/cli/memofs.1 zsh=$source/cli/completion/_memofs
failed=0

# The completion is a script for interactive shells; compopt works only there.
compopt() { :; }
# shellcheck source=/dev/null
source "$source/cli/completion/memofs.bash"

same() { # WHAT GOT WANT
	[ "$2" != "$3" ] || return 0
	printf 'FAIL: %s\n' "$1" >&2
	diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") | sed 's/^</missing:/; s/^>/too much:/' >&2 || true
	failed=1
}

# The second column of an indented list below a heading.
section() { # HEADING
	awk -v h="$1:" '$0 == h { on = 1; next } on && !/^ / { exit } on'
}

help_commands() { # [COMMAND]
	"$memofs" help "$@" | section Commands | awk '{ print $1 }' | sort
}

# `-x --long` or `--long`, a line each, sorted.
help_options() { # COMMAND...
	"$memofs" "$@" --help | section Options |
		sed -nE 's/^ +(-(.), )?--([a-z-]+).*/\2 \3/p' | sort
}

# The options that make a key stand once in the manual and in the completion for zsh;
# where a command refers to them (.Sx Keys, $key), it has them.
man_key_options() {
	awk '/^\.S[hs] / { on = $0 == ".Ss Keys"; next } /^\.It Cm / { on = 0 } on' "$man" |
		grep '^\.It Fl ' || true
}

# The manual's items of one command, which run to the next command's.
man_options() { # COMMAND
	{
		awk -v c=".It Cm $1" '
			/^\.It Cm / || /^\.S[hs] / { on = $0 == c || index($0, c " ") == 1 }
			on && /^\.(It Fl|Sx Keys)/' "$man" |
			while IFS= read -r line; do
				[ "${line%% Keys*}" = .Sx ] && man_key_options || printf '%s\n' "$line"
			done
	} | sed -nE 's/^\.It Fl (([^-]) , )?-([a-z-]+).*/\2 \3/p' | sort -u
}

zsh_key_options() {
	sed -n '/^\tkey=($/,/^\t)$/p' "$zsh" | tr " '{},\"[" '\n' |
		sed -nE 's/^\(?\*?--([a-z-]+)([)]|=-?)?$/\1/p'
}

# The options in one arm of the completion's `case`. $mountpoint, $owner, $lease and
# $key there stand for the options of these names.
zsh_options() { # COMMAND
	# shellcheck disable=SC2016
	awk -v c="${1##* })" '
		$1 == c { on = 1 }
		on
		on && /;;/ { exit }' < <(
		if [[ $1 == ns* ]]; then
			sed -n '/^_memofs_ns()/,/^}/p' "$zsh"
		else
			sed -n '/^_memofs()/,/^}/p' "$zsh"
		fi
	) | tr " '{},\"[" '\n' | sed -nE 's/^\(?--([a-z-]+)([)]|=-?)?$/\1/p; s/^\$(mountpoint|owner|lease|key)$/$\1/p' |
		while IFS= read -r word; do
			case $word in
			\$key) zsh_key_options ;;
			*) printf '%s\n' "${word#$}" ;;
			esac
		done | sort -u
}

all=$(help_commands)
every=()
for name in $all; do
	if [ "$name" = ns ]; then
		for sub in $(help_commands ns); do every+=("ns $sub"); done
	elif [ "$name" != help ] && [ "$name" != version ]; then
		every+=("$name")
	fi
done
[ "${#every[@]}" -ge 11 ] || {
	echo "FAIL: memofs help lists ${#every[@]} commands only" >&2
	exit 1
}

same 'commands in the manual' \
	"$(sed -nE 's/^\.Cm ([a-z-]+).*/\1/p' "$man" | sort -u | comm -12 - <(printf '%s\n' "$all"))" \
	"$all"
same 'commands of the completion for zsh' \
	"$(sed -nE "s/^\t\t'([a-z-]+):.*'$/\1/p" "$zsh" | sort)" "$all"

complete_words() { # WORD... (the last is being completed)
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_memofs
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

same 'commands of the completion for bash' \
	"$(complete_words memofs '' | grep -v '^--')" "$all"
same 'ns commands of the completion for bash' \
	"$(complete_words memofs ns '' | grep -v '^--')" "$(help_commands ns)"

for name in "${every[@]}"; do
	read -ra words <<<"$name"
	want=$(help_options "${words[@]}")
	[ -n "$want" ] || {
		echo "FAIL: memofs $name --help lists no options" >&2
		failed=1
	}
	without_help=$(grep -v '^h help$' <<<"$want" || true)
	long=$(awk '{ print $NF }' <<<"$without_help" | sort)
	same "options of $name in the manual" "$(man_options "$name")" "$without_help"
	same "options of $name in the completion for bash" \
		"$(complete_words memofs "${words[@]}" --)" \
		"$(awk '{ print "--" $NF }' <<<"$want" | sort)"
	same "options of $name in the completion for zsh" "$(zsh_options "$name")" "$long"
done

# Values, beginnings of words, and nothing where nothing fits.
same 'values of --sort' "$(complete_words memofs ls --sort '')" \
	"$(printf '%s\n' age expires hits name size)"
same 'a value begun' "$(complete_words memofs ls --sort ag)" age
same 'a command begun' "$(complete_words memofs umo)" umount
same 'an option begun' "$(complete_words memofs put --pa)" --parents
same 'nothing fits' "$(complete_words memofs zz)" ''

exit "$failed"
